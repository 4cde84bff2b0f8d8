"""Values and gradients as NumPy arrays on whatever runtime the tests run: the only test code that knows the frameworks."""

import contextlib

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops

RUNTIME = backend.RUNTIME
RNG = np.random.RandomState


def random(*shape, seed=0, dtype="float32"):
    return RNG(seed).standard_normal(shape).astype(dtype)


def to_complex(pairs):
    return pairs[..., 0] + 1j * pairs[..., 1]


def to_pairs(z, dtype="float32"):
    return np.stack([z.real, z.imag], axis=-1).astype(dtype)


def relative_error(value, expected):
    return np.abs(np.asarray(value, "float64") - expected).max() / np.abs(expected).max()


def evaluate(function, *arrays):
    """`function` of tensors (one list of them when there are several), as an array."""
    inputs = [ops.convert_to_tensor(array) for array in arrays]
    result = function(inputs if len(inputs) > 1 else inputs[0])
    return to_numpy(result)


def to_numpy(tensor):
    if RUNTIME == "tensorflow1":
        return keras.backend.get_session().run(tensor)
    return ops.convert_to_numpy(tensor)


def gradients(layer, arrays, cotangent):
    """Gradients of `sum(layer(inputs) * cotangent)`: a list for the inputs (`None` where none flows) and one for the weights."""
    call = {
        "tensorflow1": _gradients_tensorflow1,
        "tensorflow": _gradients_tensorflow,
        "jax": _gradients_jax,
        "torch": _gradients_torch,
    }
    return call[RUNTIME](layer, arrays, cotangent)


def _pack(inputs):
    return list(inputs) if len(inputs) > 1 else inputs[0]


def _gradients_tensorflow1(layer, arrays, cotangent):
    import tensorflow as tf

    inputs = [tf.constant(array) for array in arrays]
    total = tf.reduce_sum(layer(_pack(inputs)) * cotangent)
    weights = list(layer.trainable_weights)
    found = tf.gradients(total, inputs + weights)
    session = keras.backend.get_session()
    values = [None if gradient is None else session.run(gradient) for gradient in found]
    return values[: len(inputs)], values[len(inputs) :]


def _gradients_tensorflow(layer, arrays, cotangent):
    import tensorflow as tf

    inputs = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        for x in inputs:
            tape.watch(x)
        total = tf.reduce_sum(layer(_pack(inputs)) * cotangent)
    weights = [weight.value for weight in layer.trainable_weights]
    found = tape.gradient(total, inputs + weights)
    values = [None if gradient is None else gradient.numpy() for gradient in found]
    return values[: len(inputs)], values[len(inputs) :]


def _gradients_jax(layer, arrays, cotangent):
    import jax
    import jax.numpy as jnp

    inputs = [jnp.asarray(array) for array in arrays]
    layer(_pack(inputs))
    weights = [weight.value for weight in layer.trainable_weights]
    others = [weight.value for weight in layer.non_trainable_variables]

    def total(inputs, weights):
        return jnp.sum(layer.stateless_call(weights, others, _pack(inputs))[0] * cotangent)

    found = jax.grad(total, argnums=(0, 1))(inputs, weights)
    return tuple([np.asarray(gradient) for gradient in group] for group in found)


def _gradients_torch(layer, arrays, cotangent):
    import torch

    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    total = (layer(_pack(inputs)) * torch.tensor(cotangent)).sum()
    weights = [weight.value for weight in layer.trainable_weights]
    found = torch.autograd.grad(total, inputs + weights, allow_unused=True)
    values = [None if gradient is None else gradient.numpy() for gradient in found]
    return values[: len(inputs)], values[len(inputs) :]


def second_gradient(function, x, direction):
    """The Hessian of `sum(function(x)**2) / 2` times `direction`, by differentiating twice."""
    if RUNTIME == "tensorflow1":
        import tensorflow as tf

        tensor = tf.constant(x)
        (first,) = tf.gradients(tf.reduce_sum(tf.square(function(tensor))) / 2, tensor)
        return to_numpy(tf.gradients(tf.reduce_sum(first * direction), tensor)[0])
    if RUNTIME == "tensorflow":
        import tensorflow as tf

        tensor = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(tensor)
            with tf.GradientTape() as inner:
                inner.watch(tensor)
                total = tf.reduce_sum(tf.square(function(tensor))) / 2
            along = tf.reduce_sum(inner.gradient(total, tensor) * direction)
        return outer.gradient(along, tensor).numpy()
    if RUNTIME == "jax":
        import jax
        import jax.numpy as jnp

        first = jax.grad(lambda tensor: jnp.sum(jnp.square(function(tensor))) / 2)
        return np.asarray(jax.grad(lambda tensor: jnp.sum(first(tensor) * direction))(jnp.asarray(x)))
    import torch

    tensor = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(function(tensor).square().sum() / 2, tensor, create_graph=True)
    return torch.autograd.grad((first * torch.tensor(direction)).sum(), tensor)[0].numpy()


@contextlib.contextmanager
def double_precision():
    """JAX knows float64 only when told; the others always do."""
    if RUNTIME != "jax":
        yield
        return
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
