"""Blocks of convolutions at one size, and what the blocks of other sizes build theirs with."""

import contextlib

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import describe, refusal, require_choice, require_integer
from mrlayers.unet.normalization import GroupNormalization, require_divisor

PADDING = ("same", "valid")
NORMALIZATION = (None, "batch", "instance", "group")


@keras.saving.register_keras_serializable(package="mrlayers")
class ConvBlock(keras.layers.Layer):
    """Convolutions, each followed by normalization (if any) and activation; dropout after the last.

    Two- or three-dimensional, as its input. With a normalization the convolutions have no bias: it would be taken off again.

    Args:
        filters: channels of every convolution.
        num_convolutions: how many convolutions.
        kernel_size: in pixels, the same along every axis.
        padding: `"same"` keeps the size, `"valid"` takes `kernel_size - 1` pixels off every axis with each convolution.
        activation: name of a Keras activation; `None` is linear, `"leaky_relu"` has the slope 0.2 on every runtime.
        normalization: `None`, `"batch"`, `"instance"` (every channel of every sample by itself) or `"group"`.
        groups: number of groups of channels for `normalization="group"`; divides `filters`.
        dropout: part of the values that training drops after the last activation, from 0 to below 1.
        kernel_initializer: of the convolutions, a name or a Keras initializer.

    Call arguments:
        inputs: an image or a volume.

    Input shape: `(batch, height, width, channels)` or `(batch, depth, height, width, channels)`, the channels known.

    Output shape: the input's with `filters` channels, and smaller with `padding="valid"`.

    Raises:
        ValueError: an argument out of its range, a tensor of another rank, or one that valid convolutions would use up.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import ConvBlock
    >>> smaller_by_four = ConvBlock(4, padding="valid")(np.ones((1, 16, 12, 1), "float32"))

    References:
        Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
    """

    def __init__(
        self,
        filters,
        num_convolutions=2,
        kernel_size=3,
        padding="same",
        activation="relu",
        normalization=None,
        groups=8,
        dropout=0.0,
        kernel_initializer="he_normal",
        **kwargs,
    ):
        numbers = {"filters": filters, "num_convolutions": num_convolutions, "kernel_size": kernel_size, "groups": groups}
        for name, value in numbers.items():
            require_integer(name, value, 1)
        require_choice("padding", padding, PADDING)
        require_choice("normalization", normalization, NORMALIZATION)
        if normalization == "group":
            require_divisor(groups, filters)
        if not 0 <= dropout < 1:
            raise refusal("`dropout` must be from 0 to below 1", repr(dropout), "dropout=0.5")
        _require_activation(activation)
        super().__init__(**kwargs)
        self.filters = filters
        self.num_convolutions = num_convolutions
        self.kernel_size = kernel_size
        self.padding = padding
        self.activation = activation
        self.normalization = normalization
        self.groups = groups
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = backend.static_shape(input_shape)
        self.convolved(shape, self.num_convolutions)
        self.convolution_layers, self.normalization_layers = [], []
        for index in range(1, self.num_convolutions + 1):
            self.convolution_layers.append(self.convolution("convolution%d" % index, shape, self.kernel_size, self.padding))
            shape = self.convolved(shape, 1)
            if self.normalization:
                self.normalization_layers.append(self.normalized("normalization%d" % index, shape))
        leaky = self.activation == "leaky_relu"
        activation = keras.layers.LeakyReLU if leaky else keras.layers.Activation
        self.activation_layer = built(activation(0.2 if leaky else self.activation, **self.inner_options()), shape)
        if self.dropout:
            self.dropout_layer = built(keras.layers.Dropout(self.dropout, **self.inner_options()), shape)
        super().build(input_shape)

    def call(self, inputs, training=None):
        return self.convolve(inputs, training)

    def compute_output_shape(self, input_shape):
        return self.convolved(backend.static_shape(input_shape), self.num_convolutions)

    def get_config(self):
        config = super().get_config()
        config.update(
            filters=self.filters,
            num_convolutions=self.num_convolutions,
            kernel_size=self.kernel_size,
            padding=self.padding,
            activation=self.activation,
            normalization=self.normalization,
            groups=self.groups,
            dropout=self.dropout,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
        )
        return config

    def convolve(self, x, training, shortcut=None):
        """All convolutions; the shortcut is added before the last activation."""
        self.convolved(backend.static_shape(x), self.num_convolutions)
        for index, convolution in enumerate(self.convolution_layers):
            x = convolution(x)
            if self.normalization:
                x = self.normalization_layers[index](x, training=training)
            if shortcut is not None and index == self.num_convolutions - 1:
                x = x + shortcut
            x = self.activation_layer(x)
        return self.dropout_layer(x, training=training) if self.dropout else x

    def convolved(self, shape, num_convolutions):
        """The shape after so many convolutions."""
        require_image(shape)
        loss = self.loss(num_convolutions)
        sizes = tuple(size and max(0, size - loss) for size in shape[1:-1])
        if 0 in sizes:
            raise refusal(
                "`inputs` must be larger than the %d pixels that valid convolutions take off every axis" % loss,
                describe(shape),
                "a larger image, or padding='same'",
            )
        return shape[:1] + sizes + (self.filters,)

    def loss(self, num_convolutions):
        """Pixels that so many convolutions take off every axis."""
        return num_convolutions * (self.kernel_size - 1) if self.padding == "valid" else 0

    def convolution(self, name, shape, kernel_size, padding):
        """A convolution for inputs of that shape."""
        options = dict(self.inner_options(), kernel_initializer=fresh(self.kernel_initializer), name=name)
        bias = self.normalization is None
        layer = keras_layer("Conv%dD", shape)(self.filters, kernel_size, padding=padding, use_bias=bias, **options)
        return built(backend.without_copies(layer), shape)

    def normalized(self, name, shape):
        """A normalization for inputs of that shape."""
        options = dict(self.inner_options(), name=name)
        if self.normalization == "batch":
            return built(keras.layers.BatchNormalization(**options), shape)
        return built(GroupNormalization(self.groups if self.normalization == "group" else self.filters, **options), shape)

    def inner_options(self):
        """What the layers inside have from this one. The private name dies with TensorFlow 1.15."""
        return {"dtype": getattr(self, "dtype_policy", None) or self._dtype_policy, "trainable": self.trainable}


@keras.saving.register_keras_serializable(package="mrlayers")
class ResidualBlock(ConvBlock):
    """A `ConvBlock` whose input is added before its last activation.

    Where the number of channels changes, the input goes through a convolution of 1 pixel (and a normalization, if any) first.
    With `padding="valid"` its middle is taken.

    Args:
        filters: channels of every convolution; all other arguments are those of `ConvBlock`.

    Call arguments:
        inputs: an image or a volume.

    Input shape: as of `ConvBlock`.

    Output shape: as of `ConvBlock`.

    Raises:
        ValueError: as of `ConvBlock`.

    Example:

    >>> import numpy as np
    >>> from mrlayers.unet import ResidualBlock
    >>> same_shape = ResidualBlock(4, normalization="batch")(np.ones((1, 9, 12, 4), "float32"))

    References:
        He et al., Deep residual learning for image recognition, CVPR 2016.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(filters, **kwargs)

    def build(self, input_shape):
        shape = backend.static_shape(input_shape)
        require_image(shape)
        self.projects = shape[-1] != self.filters
        if self.projects:
            self.shortcut_layer = self.convolution("shortcut", shape, 1, "same")
            if self.normalization:
                self.shortcut_normalization_layer = self.normalized("shortcut_normalization", shape[:-1] + (self.filters,))
        super().build(input_shape)

    def call(self, inputs, training=None):
        shape = backend.static_shape(inputs)
        require_image(shape)
        loss = self.loss(self.num_convolutions)
        middle = slice(loss // 2, loss // 2 - loss)
        shortcut = inputs[(slice(None),) + (middle,) * (len(shape) - 2)] if loss else inputs
        if self.projects:
            shortcut = self.shortcut_layer(shortcut)
            if self.normalization:
                shortcut = self.shortcut_normalization_layer(shortcut, training=training)
        return self.convolve(inputs, training, shortcut)


def keras_layer(kind, shape):
    """`"Conv%dD"` for the rank of a shape."""
    return getattr(keras.layers, kind % (len(shape) - 2))


def built(layer, shape):
    """A layer inside another, built. Keras 3 names its weights after both by itself; the scope dies with TensorFlow 1.15."""
    with getattr(keras.backend, "name_scope", contextlib.nullcontext)(layer.name):
        layer.build(shape)
    return layer


def fresh(initializer):
    """Another of the same kind: one initializer of Keras 3 gives all who share it the same values."""
    if not hasattr(initializer, "get_config"):  # a function, which has no seed to share
        return initializer
    return type(initializer).from_config(initializer.get_config())


def require_image(shape):
    """Two or three axes between batch and channels, and a known number of channels."""
    if len(shape) not in (4, 5) or shape[-1] is None:
        raise refusal(
            "`inputs` must have the shape (batch, height, width, channels) or (batch, depth, height, width, channels), with a "
            "known number of channels",
            describe(shape),
            "`numpy.expand_dims(images, -1)`",
        )


def _require_activation(activation):
    known = activation is None or isinstance(activation, str)
    try:
        if activation != "leaky_relu":
            keras.activations.get(activation)
    except (ValueError, TypeError):
        known = False
    if not known:
        raise refusal("`activation` must be the name of a Keras activation, or None", repr(activation), "activation='relu'")
