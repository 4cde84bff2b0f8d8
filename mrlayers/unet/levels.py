"""Blocks from one size to the next: down by half, up by two, and the skip from the one to the other."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice
from mrlayers.unet.convolutions import ConvBlock, built, fresh, keras_layer, require_image
from mrlayers.warping import require_two

UP = ("transpose2", "transpose3", "nearest")


@keras.saving.register_keras_serializable(package="mrlayers")
class DownBlock(ConvBlock):
    """One level down: max pooling over 2 pixels along every axis, then a `ConvBlock`.

    The last pixel of an odd size is left out.

    Args:
        filters: channels of every convolution; all other arguments are those of `ConvBlock`.

    Call arguments:
        inputs: an image or a volume.

    Input shape: as of `ConvBlock`, at least 2 pixels along every axis.

    Output shape: as of `ConvBlock` for an input of half the size, rounded down.

    Raises:
        ValueError: as of `ConvBlock`.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import DownBlock
    >>> half = DownBlock(4)(np.ones((1, 9, 12, 2), "float32"))

    References:
        Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(filters, **kwargs)

    def build(self, input_shape):
        pooled = _pooled(backend.static_shape(input_shape))
        self.pooling_layer = built(keras_layer("MaxPooling%dD", pooled)(2, **self.inner_options()), input_shape)
        super().build(pooled)

    def call(self, inputs, training=None):
        _pooled(backend.static_shape(inputs))
        return self.convolve(self.pooling_layer(inputs), training)

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(_pooled(backend.static_shape(input_shape)))


@keras.saving.register_keras_serializable(package="mrlayers")
class UpBlock(ConvBlock):
    """One level up: upsampling and activation, then `CropConcatenate` with the skip, then a `ConvBlock`.

    Args:
        filters: channels of the upsampling and of every convolution; arguments not listed here are those of `ConvBlock`.
        up: `"transpose2"`: a transposed convolution of 2 pixels, stride 2. `"transpose3"`: of 3 pixels, stride 2, cropped at
            the far ends to twice the size, as TensorFlow's `padding="same"` does. `"nearest"`: every pixel repeated, then a
            convolution of 3 pixels with `padding`. `"transpose3"` counts the pixels before the first as zero, and so lets the
            border of an image into the output of valid convolutions.
        up_bias: whether upsampling has a bias.
        up_initializer: of the upsampling's kernel; `None` is `kernel_initializer`.

    Call arguments:
        inputs: one list `[x, skip]`: what comes from the level below, and what the way down had at this level.

    Input shape: both as of `ConvBlock`; `skip` has at least the size of the upsampled `x` along every axis.

    Output shape: as of `ConvBlock` for an input of twice the size of `x`, less 2 with `"nearest"` and valid convolutions.

    Raises:
        ValueError: as of `ConvBlock`, an unknown `up`, no list of two, or a skip that is too small.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import UpBlock
    >>> x, skip = np.ones((1, 4, 6, 8), "float32"), np.ones((1, 9, 12, 4), "float32")
    >>> twice = UpBlock(4)([x, skip])

    References:
        Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
    """

    def __init__(self, filters, up="transpose2", up_bias=True, up_initializer=None, **kwargs):
        require_choice("up", up, UP)
        super().__init__(filters, **kwargs)
        self.up = up
        self.up_bias = bool(up_bias)
        self.up_initializer = keras.initializers.get(up_initializer)

    def build(self, input_shape):
        x, skip = _shapes(input_shape)
        initializer = fresh(self.up_initializer or self.kernel_initializer)
        weights = dict(self.inner_options(), name="upsampling", use_bias=self.up_bias, kernel_initializer=initializer)
        if self.up == "nearest":
            convolution = keras_layer("Conv%dD", x)(self.filters, 3, padding=self.padding, **weights)
            repeated = x[:1] + tuple(size and 2 * size for size in x[1:-1]) + x[-1:]
            repetition = keras_layer("UpSampling%dD", x)(2, **self.inner_options())
            self.up_layers = [built(repetition, x), built(backend.without_copies(convolution), repeated)]
        else:
            kernel_size = 2 if self.up == "transpose2" else 3
            self.up_layers = [built(keras_layer("Conv%dDTranspose", x)(self.filters, kernel_size, 2, "valid", **weights), x)]
        if self.up == "transpose3":
            # Not padding="same", which older releases of Keras 3 place differently on PyTorch.
            larger = x[:1] + tuple(size and 2 * size + 1 for size in x[1:-1]) + (self.filters,)
            cropping = keras_layer("Cropping%dD", x)(((0, 1),) * (len(x) - 2), **self.inner_options())
            self.up_layers.append(built(cropping, larger))
        merged = self._merged(x, skip)
        self.merging_layer = built(CropConcatenate(**self.inner_options()), [merged[:-1] + (self.filters,), skip])
        super().build(merged)

    def call(self, inputs, training=None):
        x, skip = require_two(inputs, "[x, skip]")
        self._merged(backend.static_shape(x), backend.static_shape(skip))
        for layer in self.up_layers:
            x = layer(x)
        return self.convolve(self.merging_layer([self.activation_layer(x), skip]), training)

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(self._merged(*_shapes(input_shape)))

    def get_config(self):
        config = super().get_config()
        initializer = self.up_initializer and keras.initializers.serialize(self.up_initializer)
        config.update(up=self.up, up_bias=self.up_bias, up_initializer=initializer)
        return config

    def _merged(self, x, skip):
        require_image(x)
        loss = self.loss(1) if self.up == "nearest" else 0
        return _concatenated(x[:1] + tuple(size and 2 * size - loss for size in x[1:-1]) + (self.filters,), skip)


@keras.saving.register_keras_serializable(package="mrlayers")
class CropConcatenate(keras.layers.Layer):
    """The channels of `x`, then those of the middle of `skip`, which is cropped to the size of `x`.

    Where an odd number of pixels has to go, one more goes at the far end.

    Call arguments:
        inputs: one list `[x, skip]`.

    Input shape: both as of `ConvBlock`; `skip` has at least the size of `x` along every axis.

    Output shape: that of `x`, with the channels of both.

    Raises:
        ValueError: no list of two, another rank, or a skip that is too small.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import CropConcatenate
    >>> x, skip = np.ones((1, 56, 56, 3), "float32"), np.ones((1, 64, 64, 2), "float32")
    >>> both = CropConcatenate()([x, skip])

    References:
        Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs):
        x, skip = require_two(inputs, "[x, skip]")
        shapes = [backend.static_shape(tensor) for tensor in (x, skip)]
        _concatenated(*shapes)
        sizes, full_sizes = [shape[1:-1] for shape in shapes]
        if None not in sizes and sizes == full_sizes:  # a slice of everything would still be copied by some runtimes
            return ops.concatenate([x, skip], axis=-1)
        window = [slice(None)]
        for size, full in zip(ops.shape(x)[1:-1], ops.shape(skip)[1:-1]):
            window.append(slice((full - size) // 2, (full - size) // 2 + size))
        return ops.concatenate([x, skip[tuple(window)]], axis=-1)

    def compute_output_shape(self, input_shape):
        return _concatenated(*_shapes(input_shape))


def _shapes(input_shape):
    return [backend.static_shape(shape) for shape in require_two(input_shape, "[x, skip]")]


def _pooled(shape):
    require_image(shape)
    sizes = tuple(size and size // 2 for size in shape[1:-1])
    if 0 in sizes:
        raise refusal(
            "`inputs` must have at least 2 pixels along every axis to be pooled",
            describe(shape),
            "fewer levels, or a larger image",
        )
    return shape[:1] + sizes + shape[-1:]


def _concatenated(x, skip):
    for shape in (x, skip):
        require_image(shape)
    small = any(full is not None and size is not None and full < size for size, full in zip(x[1:-1], skip[1:-1]))
    if len(x) != len(skip) or small:
        raise refusal(
            "`skip` must have at least the size of the (upsampled) `x` along every axis, %s" % describe(x),
            describe(skip),
            "the output of the way down at the same level",
        )
    return x[:-1] + (x[-1] + skip[-1],)
