"""Normalization over space and channels of every sample by itself."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_integer


@keras.saving.register_keras_serializable(package="mrlayers")
class GroupNormalization(keras.layers.Layer):
    """Mean 0 and variance 1 for every group of channels of every sample, then a learned scale and offset for every channel.

    As `keras.layers.GroupNormalization` of Keras 3, which TensorFlow 1.15 lacks; here the mean is taken off before anything is
    squared on every runtime, and half precision is summed in float32. As many groups as channels is instance normalization.

    Args:
        groups: of channels; divides their number.
        epsilon: added to the variance, in squared units of the input.

    Call arguments:
        inputs: any number of axes between batch and channels.

    Input shape: `(batch, ..., channels)`; the number of channels is known.

    Output shape: as the input.

    Raises:
        ValueError: groups that do not divide the channels.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import GroupNormalization
    >>> normalized = GroupNormalization(2)(np.random.rand(1, 5, 7, 4).astype("float32"))

    References:
        Wu and He, Group normalization, ECCV 2018.
    """

    def __init__(self, groups=8, epsilon=1e-5, **kwargs):
        require_integer("groups", groups, 1)
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, input_shape):
        channels = backend.static_shape(input_shape)[-1]
        require_divisor(self.groups, channels)
        self.gamma = self.add_weight(name="gamma", shape=(channels,), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(channels,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs, training=None):
        shape = backend.static_shape(inputs)
        x = ops.cast(inputs, "float32") if backend.dtype_name(inputs) in ("float16", "bfloat16") else inputs
        space = tuple(range(1, len(shape) - 1))
        mean = ops.mean(x, axis=space, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=space, keepdims=True)
        # From channels to groups by the law of total variance: these are small, and the image is never reshaped.
        grouped = (-1,) + (1,) * len(space) + (self.groups, shape[-1] // self.groups)
        mean, variance, gamma, beta = [
            ops.reshape(ops.cast(moment, x.dtype), grouped) for moment in (mean, variance, self.gamma, self.beta)
        ]
        group_mean = ops.mean(mean, axis=-1, keepdims=True)
        group_variance = ops.mean(variance + ops.square(mean - group_mean), axis=-1, keepdims=True)
        scale = gamma / ops.sqrt(group_variance + self.epsilon)
        scale, offset = [ops.reshape(part, grouped[:-2] + shape[-1:]) for part in (scale, beta - group_mean * scale)]
        return ops.cast(x * scale + offset, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(groups=self.groups, epsilon=self.epsilon)
        return config


def require_divisor(groups, channels):
    """Groups of equal size only."""
    if channels % groups:
        largest = max(divisor for divisor in range(1, groups) if channels % divisor == 0)
        raise refusal("`groups` must divide the %d channels" % channels, groups, "groups=%d" % largest)
