"""Data sharing and CRNN-MRI as published, in each framework's own functions: what `dynamic.py` measures against.

Restated from the authors' PyTorch (js3611/Deep-MRI-Reconstruction): sums over neighbouring frames are a convolution over time
whose weights are ones and never learn; the recurrence calls its three convolutions for each frame and each direction. Axes are
in the order that the framework's convolutions like best: `(..., channels)`, on PyTorch `(batch, channels, ...)`.
"""

import importlib

import numpy as np

from mrlayers.backend import RUNTIME, keras

RATE, EPSILON = 1e-4, 1e-8


def framework():
    return {"tensorflow1": _TensorFlow1, "tensorflow": _TensorFlow, "jax": _Jax, "torch": _Torch}[RUNTIME]()


def arranged(array, back=False):
    """An array `(..., channels)` with its axes in the order of the framework's convolutions; `back` from there."""
    if RUNTIME != "torch":
        return array
    return np.ascontiguousarray(np.moveaxis(array, 1, -1) if back else np.moveaxis(array, -1, 1))


def data_sharing(distances, together=True):
    """A function of k-space and a mask of the same size, circular, divided by the count of measurements.

    `together`: one convolution as long as the longest window makes the copies of all distances, as published; else each
    distance has its own, no longer than it must be.
    """
    tools = framework()
    groups = [list(distances)] if together else [[distance] for distance in distances]
    kernels = [tools.kernel(_ones(group)) for group in groups]

    def function(kspace, mask, *upstream):
        def sums(x, kernel, reach):
            frames = tools.frames(x)
            around = [frames(-reach, None), x, frames(None, reach)] if reach else [x]
            return tools.convolve(tools.concatenate(around, tools.time), kernel, padding=0)

        copies = []
        for group, kernel in zip(groups, kernels):
            reach = max(group)
            shared = sums(kspace, kernel, reach) / tools.at_least_one(sums(mask, kernel, reach))
            measured = tools.concatenate([mask] * len(group), tools.channels)
            copies.append((1 - measured) * shared + measured * tools.concatenate([kspace] * len(group), tools.channels))
        return tools.concatenate(copies, tools.channels)

    return function


def _ones(distances):
    """`(time, 1, 1, in, out)`: a window for each distance and channel."""
    reach = max(distances)
    kernel = np.zeros((2 * reach + 1, 1, 1, 2, 2 * len(distances)), "float32")
    for index, distance in enumerate(distances):
        for channel in range(2):
            kernel[reach - distance : reach + distance + 1, 0, 0, channel, 2 * index + channel] = 1
    return kernel


class Crnn:
    """CRNN-MRI of one series with tensors by the authors' names, and a training step: MSE, backward, Adam.

    Image, k-space and target are `(frames, height, width, 2)`, the mask `(frames, height, 1 or width, 1)`.
    """

    def __init__(self, tensors, iterations, image, kspace, mask, target):
        self.tools = framework()
        self.iterations = iterations
        weights = {
            name: np.ascontiguousarray(tensor.transpose(2, 3, 1, 0)) if tensor.ndim == 4 else tensor
            for name, tensor in tensors.items()
        }
        inputs = [arranged(array) for array in (image, kspace, mask, target)]
        self._predict, self.train = self.tools.training(self._forward, weights, inputs)

    def outputs(self):
        return arranged(self._predict(), back=True)

    def _forward(self, weights, image, kspace, mask):
        tools, frames, x = self.tools, int(image.shape[0]), image

        def convolve(x, name):
            return tools.convolve(x, weights[name + ".weight"], 1, weights[name + ".bias"])

        zeros = tools.zeros_like(convolve(image, "bcrnn.CRNN_model.i2h"))
        hidden = [zeros] * 4
        for _ in range(self.iterations):
            total = 0
            for order in (range(frames), reversed(range(frames))):
                state, states = zeros[:1], [None] * frames
                for frame in order:
                    from_input = convolve(x[frame : frame + 1], "bcrnn.CRNN_model.i2h")
                    from_time = convolve(state, "bcrnn.CRNN_model.h2h")
                    from_iteration = convolve(hidden[0][frame : frame + 1], "bcrnn.CRNN_model.ih2ih")
                    state = states[frame] = tools.relu(from_input + from_time + from_iteration)
                total = total + tools.concatenate(states, 0)
            hidden[0] = total
            for layer in (1, 2, 3):
                given = convolve(hidden[layer - 1], "conv%d_x" % layer)
                hidden[layer] = tools.relu(convolve(hidden[layer], "conv%d_h" % layer) + given)
            x = tools.consistent(x + convolve(hidden[3], "conv4_x"), kspace, mask)
        return x


class _TensorFlow:
    channels, time = -1, 1

    def __init__(self):
        self.tf = importlib.import_module("tensorflow")
        self.kernel, self.relu, self.zeros_like = self.tf.constant, self.tf.nn.relu, self.tf.zeros_like
        self.concatenate = self.tf.concat

    def frames(self, x):
        return lambda first, last: x[:, first:last]

    def at_least_one(self, x):
        return self.tf.maximum(x, 1.0)

    def convolve(self, x, kernel, padding, bias=None):
        ndim = len(x.shape) - 2
        convolution = {2: self.tf.nn.conv2d, 3: self.tf.nn.conv3d}[ndim]
        y = convolution(x, kernel, strides=[1] * (ndim + 2), padding="SAME" if padding else "VALID")
        return y if bias is None else self.tf.nn.bias_add(y, bias)

    def consistent(self, x, kspace, mask):
        tf = self.tf
        found, measured = [tf.complex(pair[..., 0], pair[..., 1]) for pair in (x, kspace)]
        mask = tf.cast(mask[..., 0], found.dtype)
        y = tf.signal.ifft2d((1 - mask) * tf.signal.fft2d(found) + mask * measured * self._scale(x))
        return tf.stack([tf.math.real(y), tf.math.imag(y)], axis=-1)

    def _scale(self, x):
        """TensorFlow's transforms are not orthonormal."""
        return float(np.sqrt(int(x.shape[1]) * int(x.shape[2])))

    def training(self, forward, weights, inputs):
        tf = self.tf
        *inputs, target = [tf.constant(array) for array in inputs]
        variables = {name: tf.Variable(array) for name, array in weights.items()}
        optimizer = tf.compat.v1.train.AdamOptimizer(RATE, epsilon=EPSILON)

        @tf.function(autograph=False)
        def predict():
            return forward(variables, *inputs)

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(forward(variables, *inputs) - target))
            names = sorted(variables)
            gradients = tape.gradient(loss, [variables[name] for name in names])
            optimizer.apply_gradients(zip(gradients, [variables[name] for name in names]))
            return loss

        return lambda: predict().numpy(), lambda: float(step())


class _TensorFlow1(_TensorFlow):
    def training(self, forward, weights, inputs):
        tf, session = self.tf, keras.backend.get_session()
        tensors = [tf.Variable(array, trainable=False) for array in inputs]  # constants would be folded before the clock starts
        variables = {name: tf.Variable(array) for name, array in weights.items()}
        outputs = forward(variables, *tensors[:3])
        loss = tf.reduce_mean(tf.square(outputs - tensors[3]))
        update = tf.compat.v1.train.AdamOptimizer(RATE, epsilon=EPSILON).minimize(loss, var_list=list(variables.values()))
        session.run(tf.compat.v1.global_variables_initializer())
        return lambda: session.run(outputs), lambda: float(session.run([loss, update])[0])


class _Jax:
    channels, time = -1, 1

    def __init__(self):
        self.jax, self.jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
        self.kernel, self.relu, self.zeros_like = self.jnp.asarray, self.jax.nn.relu, self.jnp.zeros_like
        self.concatenate = self.jnp.concatenate

    def frames(self, x):
        return lambda first, last: x[:, first:last]

    def at_least_one(self, x):
        return self.jnp.maximum(x, 1.0)

    def convolve(self, x, kernel, padding, bias=None):
        spatial = "DHW"[5 - x.ndim :]
        order = ("N" + spatial + "C", spatial + "IO", "N" + spatial + "C")
        padding = [(padding, padding)] * len(spatial)
        y = self.jax.lax.conv_general_dilated(x, kernel, [1] * len(spatial), padding, dimension_numbers=order)
        return y if bias is None else y + bias

    def consistent(self, x, kspace, mask):
        found, measured = [self.jax.lax.complex(pair[..., 0], pair[..., 1]) for pair in (x, kspace)]
        mask, fft = mask[..., 0], self.jnp.fft
        y = fft.ifft2((1 - mask) * fft.fft2(found, norm="ortho") + mask * measured, norm="ortho")
        return self.jnp.stack([y.real, y.imag], axis=-1)

    def training(self, forward, weights, inputs):
        jax, jnp = self.jax, self.jnp
        *inputs, target = [jnp.asarray(array) for array in inputs]
        weights = {name: jnp.asarray(array) for name, array in weights.items()}
        zeros = jax.tree_util.tree_map(jnp.zeros_like, weights)

        @jax.jit
        def step(state, *inputs):
            weights, mean, square, number = state
            loss, gradients = jax.value_and_grad(lambda w: jnp.mean((forward(w, *inputs[:3]) - inputs[3]) ** 2))(weights)
            number = number + 1
            each = jax.tree_util.tree_map
            mean = each(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
            square = each(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradients)
            rate = RATE * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            weights = each(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, mean, square)
            return loss, (weights, mean, square, number)

        state, predict = [(weights, zeros, zeros, jnp.zeros(()))], jax.jit(forward)

        def train():
            loss, state[0] = step(state[0], *inputs, target)
            return float(loss)

        return lambda: np.asarray(predict(state[0][0], *inputs)), train


class _Torch:
    channels, time = 1, 2

    def __init__(self):
        self.torch = importlib.import_module("torch")
        self.relu, self.zeros_like, self.concatenate = self.torch.relu, self.torch.zeros_like, self.torch.cat

    def kernel(self, array):
        return self.torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, [-1, -2], [0, 1])))

    def frames(self, x):
        return lambda first, last: x[:, :, first:last]

    def at_least_one(self, x):
        return x.clamp(min=1)

    def convolve(self, x, kernel, padding, bias=None):
        functional = self.torch.nn.functional
        return {4: functional.conv2d, 5: functional.conv3d}[x.ndim](x, kernel, bias, padding=padding)

    def consistent(self, x, kspace, mask):
        torch = self.torch
        found, measured = [torch.view_as_complex(pair.movedim(1, -1).contiguous()) for pair in (x, kspace)]
        mask, fft = mask[:, 0], torch.fft
        y = fft.ifft2((1 - mask) * fft.fft2(found, norm="ortho") + mask * measured, norm="ortho")
        return torch.view_as_real(y).movedim(-1, 1)

    def training(self, forward, weights, inputs):
        torch = self.torch
        *inputs, target = [torch.from_numpy(array) for array in inputs]
        weights = {
            name: torch.nn.Parameter(self.kernel(array) if array.ndim == 4 else torch.from_numpy(array))
            for name, array in weights.items()
        }
        optimizer = torch.optim.Adam(weights.values(), RATE, eps=EPSILON)

        def predict():
            with torch.inference_mode():
                return forward(weights, *inputs).numpy()

        def train():
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(forward(weights, *inputs), target)
            loss.backward()
            optimizer.step()
            return loss.item()

        return predict, train
