"""A loss as a function of arrays: one value for each sample, and their gradients."""

from mrlayers.backend import keras, ops
from runtime import RUNTIME, gradients, to_numpy


def values(loss, *arrays):
    """`loss.call(y_true, y_pred)`; losses that ignore `y_true` may be given one array."""
    tensors = [ops.convert_to_tensor(array, dtype=str(array.dtype)) for array in arrays]
    return to_numpy(compiled(loss.call)(tensors[0], tensors[-1]))


def gradients_of(loss, arrays, cotangent):
    """Of `sum(values * cotangent)` with respect to both arrays; `None` where none flows."""
    return gradients(Applied(loss, dtype=str(arrays[-1].dtype)), arrays, cotangent.astype(arrays[-1].dtype))[0]


def compiled(function):
    """JAX compiles every single operation for every shape, which takes seven times as long as to compile all at once."""
    if RUNTIME != "jax":
        return function
    import jax

    return jax.jit(function)


class Applied(keras.layers.Layer):
    """What `runtime.gradients` can differentiate."""

    def __init__(self, loss, **kwargs):
        super().__init__(**kwargs)
        self.loss = loss

    def call(self, inputs):
        return compiled(self.loss.call)(*inputs)
