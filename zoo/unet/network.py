"""U-Net: a way down that sees more and more of an image, a way up that says what every pixel is."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_choice, require_integer
from mrlayers.unet import ConvBlock, DownBlock, UpBlock
from mrlayers.unet.convolutions import PADDING
from mrlayers.unet.levels import UP


def unet(
    input_shape,
    num_classes,
    filters=64,
    depth=4,
    padding="same",
    up="transpose2",
    dropout=0.0,
    normalization=None,
    name="unet",
):
    """U-Net (Ronneberger et al. 2015) in two or three dimensions as a `keras.Model` from images to logits.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`. With `padding="same"` any sizes, and
            `None` for those that only the images tell: the network pads with zeros at the far ends, and crops its output back.
        num_classes: channels of the output.
        filters: channels at full size, doubled at every level down.
        depth: how often sizes are halved.
        padding: of the convolutions. `"valid"` never invents what lies outside: the output is the input's middle, and only
            some sizes fit (a size that does not is refused with the next ones that do).
        up: how sizes are doubled, see `UpBlock`.
        dropout: part of the values at the lowest level that training drops.
        normalization: `None`, `"batch"`, `"instance"` or `"group"` (of 8 channels), see `ConvBlock`.
        name: of the model.

    Input: `image` `(batch,) + input_shape`, intensities about -1 to 1.

    Output: logits `(batch,) + sizes + (num_classes,)`, float32 also with mixed precision; `softmax` makes them probabilities.

    Fidelity: with the defaults and one channel, 31,030,658 parameters for two classes: the paper's network but for the padding.
    As in the authors' release, but not in the paper's text, an activation follows every upsampling. Kernels before a ReLU start
    from He's normal distribution, as in the paper.

    Raises:
        ValueError: an unknown choice, numbers out of range, sizes that valid convolutions cannot halve.

    References:
        Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015;
        Cicek et al., 3D U-Net: learning dense volumetric segmentation from sparse annotation, MICCAI 2016.
    """
    return _network(input_shape, num_classes, filters, depth, padding, up, dropout, normalization, name)


def unet_mindspore(input_shape=(572, 572, 1), num_classes=2, filters=64, name="unet_mindspore"):
    """The U-Net of MindSpore's model zoo: valid convolutions, 572x572 -> 388x388.

    Args:
        input_shape: see `unet`.
        num_classes: see `unet`.
        filters: see `unet`; 64 is the published network.
        name: of the model.

    Input, output: as of `unet`. Published preparation: image / 127.5 - 1; class 1 is what the labels code as 255.

    Fidelity: 31,029,698 parameters; upsampling by transposed convolutions of 2 pixels without bias, ReLU after each; biases 0;
    kernels from a normal distribution of deviation 0.06 cut at two deviations, those of the transposed convolutions from an
    uncut one of 0.01, MindSpore's default. The published code runs in float16 throughout, here the mixed-precision policy
    decides. Published weights have not been at hand.

    Raises:
        ValueError: as of `unet`.

    References:
        MindSpore model zoo, official/cv/unet (unet_medical).
    """
    return _network(
        input_shape,
        num_classes,
        filters,
        padding="valid",
        name=name,
        up_bias=False,
        kernel_initializer=keras.initializers.TruncatedNormal(0.0, 0.06),
        up_initializer=keras.initializers.RandomNormal(0.0, 0.01),
        head_initializer=keras.initializers.TruncatedNormal(0.0, 0.06),
    )


def unet_medical(input_shape=(572, 572, 1), num_classes=2, filters=64, name="unet_medical"):
    """NVIDIA's UNet_Medical, and its port UNet2D in Ascend's ModelZoo: valid convolutions, 572x572 -> 388x388.

    Args:
        input_shape: see `unet`.
        num_classes: see `unet`.
        filters: see `unet`; 64 is the published network.
        name: of the model.

    Input, output: as of `unet`. Published preparation: image / 127.5 - 1; class 1 is what the labels code as 255.

    Fidelity: 34,512,258 parameters in 46 arrays; upsampling by transposed convolutions of 3 pixels with bias, ReLU after each;
    Glorot's uniform kernels, biases 0; half of the values of the lowest level dropped, in training only (the port drops at
    inference too). Upsampling counts the pixels before an output's first as zero: the first 15 along every axis are not what
    they would be inside of a larger image (`predict_tiles` leaves them out with `margin=15`). Published weights have not
    been at hand.

    Raises:
        ValueError: as of `unet`.

    References:
        NVIDIA DeepLearningExamples, TensorFlow/Segmentation/UNet_Medical; Ascend ModelZoo UNet2D_ID0008.
    """
    return _network(
        input_shape,
        num_classes,
        filters,
        padding="valid",
        up="transpose3",
        dropout=0.5,
        name=name,
        kernel_initializer="glorot_uniform",
    )


def _network(
    input_shape,
    num_classes,
    filters,
    depth=4,
    padding="same",
    up="transpose2",
    dropout=0.0,
    normalization=None,
    name=None,
    up_bias=True,
    kernel_initializer="he_normal",
    up_initializer=None,
    head_initializer="glorot_uniform",
):
    for argument, value in [("num_classes", num_classes), ("filters", filters), ("depth", depth)]:
        require_integer(argument, value, 1)
    require_choice("padding", padding, PADDING)
    require_choice("up", up, UP)
    sizes = _sizes(input_shape)
    if padding == "valid":
        _require_halves(input_shape, depth, up)
    block = {"padding": padding, "normalization": normalization, "kernel_initializer": kernel_initializer}

    image = keras.Input(tuple(input_shape), name="image")
    padded = padding == "same" and any(size is None or size % 2**depth for size in sizes)
    x = PadToMultiple(2**depth, name="padded")(image) if padded else image
    x = ConvBlock(filters, name="top", **block)(x)
    skips = [x]
    for level in range(1, depth + 1):
        lowest = dropout if level == depth else 0.0
        x = DownBlock(filters * 2**level, dropout=lowest, name="down%d" % level, **block)(x)
        skips.append(x)
    skips.pop()
    for index in range(1, depth + 1):
        channels = filters * 2 ** (depth - index)
        x = UpBlock(channels, up, up_bias, up_initializer, name="up%d" % index, **block)([x, skips.pop()])
    head = keras.layers.Conv2D if len(sizes) == 2 else keras.layers.Conv3D
    head = head(num_classes, 1, kernel_initializer=head_initializer, dtype="float32", name="logits")
    x = backend.without_copies(head)(x)
    if padded:
        x = CropToImage(name="cropped")([x, image])
    return keras.Model(image, x, name=name)


@keras.saving.register_keras_serializable(package="mrlayers")
class PadToMultiple(keras.layers.Layer):
    """Zeros at the far ends, until every size is a multiple of `multiple`.

    Args:
        multiple: of pixels.
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, inputs):
        x = inputs
        for axis, size in enumerate(backend.static_shape(inputs)[1:-1], 1):
            if size is None or size % self.multiple:
                shape = list(ops.shape(x))
                shape[axis] = -shape[axis] % self.multiple
                # Not `ops.pad`: TensorFlow on CPUs fuses that with a Conv3D behind it, and loses the convolution's own padding.
                x = ops.concatenate([x, ops.zeros(shape, dtype=x.dtype)], axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        shape = backend.static_shape(input_shape)
        return shape[:1] + tuple(size and size + -size % self.multiple for size in shape[1:-1]) + shape[-1:]

    def get_config(self):
        config = super().get_config()
        config.update(multiple=self.multiple)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class CropToImage(keras.layers.Layer):
    """The near part of `x`, in the size of `image`: of `[x, image]`. In float32."""

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs):
        x, image = inputs
        return x[(slice(None),) + tuple(slice(size) for size in ops.shape(image)[1:-1])]

    def compute_output_shape(self, input_shape):
        x, image = [backend.static_shape(shape) for shape in input_shape]
        return image[:-1] + x[-1:]


def _sizes(input_shape):
    if not isinstance(input_shape, (list, tuple)) or len(input_shape) not in (3, 4):
        raise refusal(
            "`input_shape` must be (height, width, channels) or (depth, height, width, channels)",
            repr(input_shape),
            "(256, 256, 1)",
        )
    for size in input_shape[:-1]:
        if size is not None:
            require_integer("input_shape", size, 1)
    require_integer("input_shape", input_shape[-1], 1)
    return tuple(input_shape[:-1])


def _require_halves(input_shape, depth, up):
    """Every size must be known, and stay even wherever it is halved, or skips could not be cropped about their middle."""
    *sizes, channels = input_shape
    if all(size is not None and _output_size(size, depth, up) for size in sizes):
        return
    least = next(size for size in range(1, 2 ** (2 * depth + 6)) if _output_size(size, depth, up))
    step = 2**depth
    smaller = [max(least, size - (size - least) % step) for size in (size or least for size in sizes)]
    larger = [least if size is None or size < least else size + (least - size) % step for size in sizes]
    raise refusal(
        "`input_shape` must have sizes that valid convolutions can halve %d times, %d + %d n" % (depth, least, step),
        repr(tuple(input_shape)),
        " or ".join(str(tuple(shape) + (channels,)) for shape in ([smaller] if smaller == larger else [smaller, larger])),
    )


def _output_size(size, depth, up):
    """What valid convolutions leave of a size, or `None` where it is odd before it is halved, or used up."""
    size -= 4
    for _ in range(depth):
        if size % 2:
            return None
        size = size // 2 - 4
    for _ in range(depth):
        if size < 1:
            return None
        size = 2 * size - (2 if up == "nearest" else 0) - 4
    return size if size > 0 else None
