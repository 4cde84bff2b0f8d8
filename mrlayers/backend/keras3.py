"""Keras 3 on TensorFlow, JAX or PyTorch."""

import functools
import importlib.util
import os

from mrlayers.backend import slabs

_INSTALL = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def _import_keras():
    """Keras, or one sentence that says what to install."""
    installed = [name for name in _INSTALL if importlib.util.find_spec(name)]
    if importlib.util.find_spec("keras") is None:
        raise ImportError(
            "mrlayers needs Keras 3.8 or later and one backend. Received: no Keras. Try `pip install mrlayers[tensorflow]`."
        )
    if not installed:
        raise ImportError(
            "mrlayers needs a Keras backend: TensorFlow, JAX or PyTorch. Received: none of them. "
            "Try `pip install mrlayers[tensorflow]` (or `[jax]`, `[torch]`)."
        )
    try:
        import keras
    except (ImportError, ValueError) as error:
        wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ImportError(
            "mrlayers could not import Keras with its backend {!r} ({}). Installed backends: {}. "
            "Try `export KERAS_BACKEND={}`, or `pip install mrlayers[{}]`.".format(
                wanted, error, ", ".join(installed), installed[0], _INSTALL.get(wanted, "tensorflow")
            )
        ) from error
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 8):
        raise ImportError(
            "mrlayers needs Keras 3.8 or later on this Python. Received: Keras {}. Try `pip install --upgrade keras`.".format(
                keras.__version__
            )
        )
    if keras.backend.backend() not in _INSTALL:
        raise ImportError(
            "mrlayers runs on the Keras backends tensorflow, jax and torch. Received: KERAS_BACKEND={}. "
            "Try `export KERAS_BACKEND={}`.".format(keras.backend.backend(), installed[0])
        )
    return keras


keras = _import_keras()
ops = keras.ops

RUNTIME = keras.backend.backend()
FASTEST_FOURIER_ENGINE = "fft"
SAVED_MODEL_SUFFIX = ".keras"
COMPILE_OPTIONS = {"auto_scale_loss": False}  # Keras would put a loss scale of its own in place of the optimizer's

if RUNTIME == "jax":
    from mrlayers.backend.jax_kernels import fourier, fourier_projection
    from mrlayers.backend.jax_warping import sample
elif RUNTIME == "torch":
    from mrlayers.backend.torch_kernels import convolution, fourier, fourier_projection, in_slabs, split_pairs
    from mrlayers.backend.torch_warping import sample
else:
    import tensorflow as tf

    from mrlayers.backend import tensorflow_kernels, tensorflow_warping
    from mrlayers.backend.tensorflow_slabs import in_slabs

    if not tf.config.list_physical_devices("GPU"):
        # Keras would compile the whole step with XLA, whose convolutions are 1.4 to 9 times slower than oneDNN's on CPUs.
        COMPILE_OPTIONS["jit_compile"] = False

    # A compiled region of its own: XLA fuses the packing around the transforms (2 to 3 times faster on CPUs), while the
    # convolutions around it stay with oneDNN, which is faster than XLA there.
    _COMPILED_PROJECTION = {
        axes: tensorflow_kernels.self_adjoint(
            tf.function(
                lambda x, mask, axes=axes: tensorflow_kernels.projection(x, mask, axes), jit_compile=True, autograph=False
            )
        )
        for axes in [(-3,), (-2,), (-3, -2)]
    }

    def fourier(x, axes, inverse):
        """See `tensorflow_kernels.transform`."""
        return tensorflow_kernels.transform(x, axes, inverse)

    def fourier_projection(x, mask, axes):
        """See `tensorflow_kernels.projection`."""
        return _COMPILED_PROJECTION[axes](x, mask)

    _sample, _gradient_volume, _gradient_where = [
        tf.function(function, jit_compile=True, autograph=False)
        for function in (
            tensorflow_warping.sample,
            tensorflow_warping.gradient_volume,
            tensorflow_warping.gradient_where,
        )
    ]

    def sample(volume, where, first):
        """See `tensorflow_warping.sample`. Three regions, so that a gradient nobody asks for is not computed."""

        @tf.custom_gradient
        def differentiable(volume, where):
            def pull_back(upstream):
                return _gradient_volume(volume, where, first, upstream), _gradient_where(volume, where, first, upstream)

            return _sample(volume, where, first), pull_back

        return differentiable(volume, where)


def mask_of_pairs(mask):
    return mask


def without_copies(layer):
    """See `torch_kernels.convolution`. A saved model brings back Keras's own, which gives the same."""
    if RUNTIME == "torch" and set(layer.strides) == {1}:
        layer.convolution_op = lambda x, kernel: convolution(x, ops.convert_to_tensor(kernel), layer.padding)
    return layer


if RUNTIME == "jax":

    def in_slabs(*steps):
        """The steps as they are: JAX compiles whole models itself."""
        return slabs.in_turn(*slabs.joined(steps, functools.partial(ops.concatenate, axis=-1)))


if RUNTIME != "torch":
    split_pairs = slabs.split_pairs


@keras.saving.register_keras_serializable(package="mrlayers")
class DecayingAdam(keras.optimizers.Adam):
    """Adam with weight decay of either kind on weights whose name has neither beta nor gamma in it; see `zoo.optimizers.adam`.

    Not Keras's own `weight_decay`: that is of one kind, goes by names that differ between backends, and forgets in a saved
    model which weights are left out.
    """

    def __init__(self, learning_rate, decay_rate, decoupled, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.decay_rate = decay_rate
        self.decoupled = decoupled

    def build(self, variables):
        if not self.built:
            self.decays = [not ("beta" in variable.name or "gamma" in variable.name) for variable in variables]
            super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        if self.decays[self._get_variable_index(variable)]:
            decay = self.decay_rate * ops.convert_to_tensor(variable)
            if self.decoupled:
                self.assign_sub(variable, ops.cast(learning_rate, decay.dtype) * decay)
            else:
                gradient = gradient + decay
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        config = super().get_config()
        config.update(decay_rate=self.decay_rate, decoupled=self.decoupled)
        return config


def adam(learning_rate, weight_decay, decay, accumulate, loss_scale, beta_1, beta_2, epsilon):
    """See `zoo.optimizers.adam`."""
    dynamic = loss_scale == "dynamic"
    options = {
        "beta_1": beta_1,
        "beta_2": beta_2,
        "epsilon": epsilon,
        "gradient_accumulation_steps": accumulate if accumulate > 1 else None,
        "loss_scale_factor": None if dynamic else loss_scale,
    }
    if weight_decay:
        optimizer = DecayingAdam(learning_rate, weight_decay, decay == "decoupled", **options)
    else:
        optimizer = keras.optimizers.Adam(learning_rate, **options)
    return keras.optimizers.LossScaleOptimizer(optimizer) if dynamic else optimizer


def set_precision(name):
    """The dtypes of the layers that are made from now on."""
    if name not in ("float32", "mixed_float16", "mixed_bfloat16"):
        raise ValueError(
            "`name` must be 'float32', 'mixed_float16' or 'mixed_bfloat16'. Received: {!r}. Try 'mixed_float16'.".format(name)
        )
    keras.config.set_dtype_policy(name)


def matrix_product(rows, matrix):
    """The operator, not `ops.matmul`: that one turns float64 into float32 on torch."""
    return rows @ constant(matrix)


def constant(array):
    """A NumPy array as a tensor of the same type."""
    return ops.convert_to_tensor(array, dtype=str(array.dtype))


def dtype_name(x):
    """Such as `"float32"`."""
    return keras.backend.standardize_dtype(x.dtype)


def static_shape(x):
    """The shape of a tensor, or a shape, as a tuple of `int`, `None` where it is only known when the model runs."""
    return tuple(getattr(x, "shape", x))


def in_train_phase(training, if_training, otherwise):
    """`if_training()` when `training` is true, else `otherwise()`: Keras 3 always passes a Python boolean or `None`."""
    return if_training() if training else otherwise()


def set_seed(seed):
    """Seeds Python, NumPy and the framework."""
    keras.utils.set_random_seed(seed)


def training_state(model):
    """Arrays of the optimizer (step, learning rate, moments) and of the random generators inside layers."""
    return [keras.ops.convert_to_numpy(variable) for variable in _state_variables(model)]


def set_training_state(model, arrays):
    """Puts the arrays of `training_state` back."""
    if not model.optimizer.built:  # the wrapper for a dynamic loss scale would make its variables twice
        model.optimizer.build(model.trainable_variables)
    variables = _state_variables(model)
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise ValueError(
            "`arrays` must come from the same model and optimizer. Received: {} arrays for {} variables.".format(
                len(arrays), len(variables)
            )
        )
    for variable, array in zip(variables, arrays):
        variable.assign(array)


def _state_variables(model):
    weights = {id(weight) for weight in model.weights}
    metrics = {id(variable) for variable in model.metrics_variables}
    generators = [variable for variable in model.variables if id(variable) not in weights | metrics]
    return list(model.optimizer.variables) + generators
