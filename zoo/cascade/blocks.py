"""What the networks of this family are made of."""

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer


def residual_block(num_convolutions, filters, prefix, normalization=None, kernel_size=3, dimensions=2):
    """Convolutions as a function of a tensor, the same layers every time it is called; the last one starts from zeros."""
    convolution = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[dimensions]
    layers = []
    for index in range(1, num_convolutions + 1):
        last = index == num_convolutions
        layer = convolution(
            2 if last else filters,
            kernel_size,
            padding="same",
            use_bias=normalization is None,
            kernel_initializer="zeros" if last and normalization is None else "he_normal",
            name="{}_convolution{}".format(prefix, index),
        )
        layers.append(backend.without_copies(layer))
        if normalization == "batch":
            layers.append(keras.layers.BatchNormalization(name="{}_normalization{}".format(prefix, index)))
        if not last:
            layers.append(keras.layers.ReLU(name="{}_relu{}".format(prefix, index)))

    def block(x):
        for layer in layers:
            x = layer(x)
        return x

    return block


def series_inputs(series_shape, mask_shape):
    """The inputs `image`, `kspace` and `mask` of a network for series; the masks of one series are checked against its shape."""
    if not isinstance(series_shape, (tuple, list)) or len(series_shape) != 3:
        raise refusal("`series_shape` must be (frames, height, width)", repr(series_shape), "(30, 256, 256)")
    for size in series_shape:
        require_integer("series_shape", size, 1)
    series_shape = tuple(int(size) for size in series_shape)
    mask_shape = series_shape + (1,) if mask_shape is None else mask_shape
    fits = isinstance(mask_shape, (tuple, list)) and len(mask_shape) == 4
    if not fits or any(size not in (1, full) for size, full in zip(mask_shape, series_shape + (1,))):
        frames, height, _ = series_shape
        expected = "`mask_shape` must be %s, with 1 for an axis that the masks do not depend on" % (series_shape + (1,),)
        raise refusal(expected, repr(mask_shape), "(%d, %d, 1, 1) for lines" % (frames, height))
    shapes = [("image", series_shape + (2,)), ("kspace", series_shape + (2,)), ("mask", tuple(mask_shape))]
    return [keras.Input(shape, name=name) for name, shape in shapes]
