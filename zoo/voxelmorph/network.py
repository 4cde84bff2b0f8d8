"""VoxelMorph: a U-Net that looks at two volumes and says how to warp one onto the other."""

from mrlayers import InvertDisplacement, RescaleTransform, SpatialTransformer, VecInt, backend
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_choice, require_integer

VARIANTS = {
    "vm1": ((16, 32, 32, 32), (32, 32, 32, 32, 8, 8)),
    "vm2": ((16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16)),
    "vm2double": ((32, 64, 64, 64), (64, 64, 64, 64, 64, 32, 32)),
}
DIFFEOMORPHIC = {True: ((16, 32, 32, 32), (32, 32, 32, 32, 16)), False: ((16, 32, 32, 32), (32, 32, 32, 32, 16, 16))}
SAMPLE = ("training", "always", "never")


def voxelmorph(volume_shape, variant="vm2", encoder=None, decoder=None, bidirectional=False, name="voxelmorph"):
    """The network of VoxelMorph (CVPR 2018, TMI 2019) as a `keras.Model` on `[moving, fixed]`.

    Args:
        volume_shape: sizes of a volume in voxels, one to three of them, any sizes. Where they are not multiples of
            `2**len(encoder)` the network pads with zeros at the far ends and crops its field back.
        variant: `"vm1"`, `"vm2"` or `"vm2double"`: numbers of filters.
        encoder: filters of the stride-2 convolutions, instead of the variant's.
        decoder: filters of the convolutions on the way up, instead of the variant's: one for each level of the encoder from the
            lowest to half resolution, one more at half resolution, and at least one at full resolution.
        bidirectional: warp `fixed` onto `moving` too. The inverse is found by fixed-point iteration (`InvertDisplacement`), and
            training differentiates through it: every iteration costs as much as a warp of three channels, in time and in
            memory. `voxelmorph_diffeomorphic` has its inverse for one more integration.
        name: of the model.

    Inputs (named): `moving` and `fixed`, `(batch,) + volume_shape + (1,)`, intensities about 0 to 1.

    Outputs, a list: `moved`, like the inputs; `displacement` `(batch,) + volume_shape + (ndim,)`, in voxels, pull-back:
    `moved(p) = moving(p + displacement(p))`; with `bidirectional` also `moved_fixed`, `fixed` warped onto `moving`, and
    `inverse_displacement`, which does that.

    Fidelity: where the volume needs no padding this is the published network bit for bit, for 3-D volumes with 259,675 (vm1),
    300,547 (vm2) and 1,195,523 (vm2double) parameters; the authors' `cvpr2018_vm1_cc.h5` (`load_published`) passes the point
    test of their code on every runtime.

    Raises:
        ValueError: an unknown variant, sizes or filters that are no positive integers, too few filters.

    References:
        Balakrishnan et al., An unsupervised learning model for deformable medical image registration, CVPR 2018;
        VoxelMorph: a learning framework for deformable medical image registration, IEEE TMI 38 (2019).
    """
    require_choice("variant", variant, tuple(VARIANTS))
    encoder, decoder = _filters(encoder, decoder, VARIANTS[variant], half_resolution=False)
    moving, fixed = _inputs(volume_shape)
    features = _unet(moving, fixed, encoder, decoder)
    displacement = _crop(_head(features, "flow", len(volume_shape), 1e-5), volume_shape, "displacement")
    outputs = [SpatialTransformer(name="moved")([moving, displacement]), displacement]
    if bidirectional:
        inverse = InvertDisplacement(name="inverse_displacement")(displacement)
        outputs += [SpatialTransformer(name="moved_fixed")([fixed, inverse]), inverse]
    return keras.Model([moving, fixed], outputs, name=name)


def voxelmorph_diffeomorphic(
    volume_shape,
    steps=7,
    half_resolution=True,
    probabilistic=True,
    sample="training",
    encoder=None,
    decoder=None,
    bidirectional=False,
    name="voxelmorph_diffeomorphic",
):
    """The diffeomorphic network of VoxelMorph (MICCAI 2018, MedIA 2019) as a `keras.Model` on `[moving, fixed]`.

    It predicts a stationary velocity, of which the displacement is the integral (`VecInt`): smooth and invertible.

    Args:
        volume_shape: see `voxelmorph`.
        steps: of scaling and squaring.
        half_resolution: predict and integrate the velocity on every second voxel, which costs an eighth in 3-D.
        probabilistic: predict a normal distribution of velocities, mean and log variance, instead of one velocity.
        sample: when to draw the velocity from that distribution: `"training"` only, with the mean at inference, `"always"` (the
            published code, whose result differs from call to call) or `"never"`.
        encoder: see `voxelmorph`.
        decoder: see `voxelmorph`; none at full resolution with `half_resolution`.
        bidirectional: warp `fixed` onto `moving` too, by the integral of the negative velocity.
        name: of the model.

    Inputs (named): as of `voxelmorph`.

    Outputs, a list: `moved` and `displacement` as of `voxelmorph`; then `posterior` `(batch,) + grid + (2 * ndim,)`, mean and
    log variance of the velocity, or with `probabilistic=False` the `velocity` `(batch,) + grid + (ndim,)`. The grid is the
    volume's, or with `half_resolution` every second voxel of it, `(size + 1) // 2`; a velocity is in voxels of its grid. With
    `bidirectional` also `moved_fixed` and `inverse_displacement`.

    Fidelity: the defaults are the published `miccai2018_net`, 266,374 parameters in 3-D, but for the mean at inference
    (`sample="always"` is the published behaviour). `half_resolution=False` adds 16 filters at full resolution.

    Raises:
        ValueError: as of `voxelmorph`, and an unknown `sample`.

    References:
        Dalca et al., Unsupervised learning for fast probabilistic diffeomorphic registration, MICCAI 2018;
        Unsupervised learning of probabilistic diffeomorphic registration for images and surfaces, MedIA 57 (2019).
    """
    require_choice("sample", sample, SAMPLE)
    half_resolution = bool(half_resolution)
    encoder, decoder = _filters(encoder, decoder, DIFFEOMORPHIC[half_resolution], half_resolution)
    moving, fixed = _inputs(volume_shape)
    ndim = len(volume_shape)
    grid = [(size + 1) // 2 for size in volume_shape] if half_resolution else volume_shape
    features = _unet(moving, fixed, encoder, decoder)
    field = velocity = _crop(_head(features, "flow", ndim, 1e-5), grid, "mean" if probabilistic else "velocity")
    if probabilistic:
        log_variance = _crop(_head(features, "log_sigma", ndim, 1e-10, bias=-10.0), grid, "log_variance")
        field = keras.layers.Concatenate(dtype="float32", name="posterior")([velocity, log_variance])
        if sample != "never":
            velocity = NormalSample(always=sample == "always", name="sample")([velocity, log_variance])

    displacement = integral(velocity, volume_shape, steps, "displacement")
    outputs = [SpatialTransformer(name="moved")([moving, displacement]), displacement, field]
    if bidirectional:
        inverse = integral(Negative(name="negative_velocity")(velocity), volume_shape, steps, "inverse_displacement")
        outputs += [SpatialTransformer(name="moved_fixed")([fixed, inverse]), inverse]
    return keras.Model([moving, fixed], outputs, name=name)


def integral(velocity, volume_shape, steps, name):
    """The displacement on `volume_shape` that a velocity, given on the same grid or on every second voxel, leads to."""
    x = VecInt(steps, name=name + "_integration")(velocity)
    if backend.static_shape(x)[1:-1] != tuple(volume_shape):
        x = RescaleTransform(2, name=name + "_rescaled")(x)
    return _crop(x, volume_shape, name)


@keras.saving.register_keras_serializable(package="mrlayers")
class NormalSample(keras.layers.Layer):
    """`mean + exp(log_variance / 2) * noise` of `[mean, log_variance]`: a draw from a normal distribution that gradients pass.

    Args:
        always: draw at inference too, instead of the mean.
    """

    def __init__(self, always=False, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.always = bool(always)
        self.noise = keras.layers.GaussianNoise(1.0, dtype="float32")

    def call(self, inputs, training=None):
        mean, log_variance = inputs
        noise = self.noise(ops.zeros_like(mean), training=True if self.always else training)
        return mean + ops.exp(log_variance / 2) * noise

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        config = super().get_config()
        config.update(always=self.always)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class Negative(keras.layers.Layer):
    """`-x`, in float32."""

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs):
        return -inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def _inputs(volume_shape):
    if not isinstance(volume_shape, (list, tuple)) or not 1 <= len(volume_shape) <= 3:
        raise refusal("`volume_shape` must be a tuple of one to three sizes", repr(volume_shape), "(160, 192, 224)")
    for size in volume_shape:
        require_integer("volume_shape", size, 1)
    return [keras.Input(tuple(volume_shape) + (1,), name=name) for name in ("moving", "fixed")]


def _filters(encoder, decoder, defaults, half_resolution):
    encoder, decoder = [tuple(default if given is None else given) for given, default in zip((encoder, decoder), defaults)]
    for name, filters in [("encoder", encoder), ("decoder", decoder)]:
        for number in filters:
            require_integer(name, number, 1)
    if not encoder:
        raise refusal("`encoder` must have at least one number of filters", repr(encoder), "(16, 32, 32, 32)")
    least = len(encoder) + (1 if half_resolution else 2)
    if len(decoder) < least or half_resolution and len(decoder) > least:
        raise refusal(
            "`decoder` must have %s%d numbers of filters for an encoder of %d levels"
            % ("" if half_resolution else "at least ", least, len(encoder)),
            repr(decoder),
            repr(defaults[1]),
        )
    return encoder, decoder


def _unet(moving, fixed, encoder, decoder):
    volume_shape = backend.static_shape(moving)[1:-1]
    padding = [(0, -size % 2 ** len(encoder)) for size in volume_shape]
    images = [moving, fixed]
    if any(after for _, after in padding):
        # One by one: TensorFlow on CPUs fuses a padding that only one Conv3D follows into it, and loses the convolution's own.
        pad = _layer("ZeroPadding", padding)(padding if len(padding) > 1 else padding[0], name="padded")
        images = [pad(image) for image in images]
    pair = keras.layers.Concatenate(name="pair")(images)
    x, skipped = pair, []
    for level, filters in enumerate(encoder, 1):
        skipped.append(x)
        x = _convolution(x, filters, "encoder%d" % level, strides=2)
    for index, filters in enumerate(decoder, 1):
        # One stands at each level of the encoder, the next still at half resolution, and all others at full.
        if 1 < index <= len(encoder) or index == len(encoder) + 2:
            x = _layer("UpSampling", padding)(2, name="upsampling%d" % index)(x)
            x = keras.layers.Concatenate(name="skip%d" % index)([x, skipped.pop()])
        x = _convolution(x, filters, "decoder%d" % index)
    return x


def _convolution(x, filters, name, strides=1):
    layer = _layer("Conv", backend.static_shape(x)[1:-1])
    layer = layer(filters, 3, strides=strides, padding="same", kernel_initializer="he_normal", name=name)
    x = backend.without_copies(layer)(x)
    return keras.layers.LeakyReLU(0.2, name=name + "_activation")(x)


def _head(x, name, channels, deviation, bias=0.0):
    layer = _layer("Conv", backend.static_shape(x)[1:-1])(
        channels,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(0.0, deviation),
        bias_initializer=keras.initializers.Constant(bias),
        dtype="float32",
        name=name,
    )
    return backend.without_copies(layer)(x)


def _crop(x, volume_shape, name):
    """The near part of a field. It gives the field its name where there is nothing to crop, too."""
    cropping = [(0, full - size) for full, size in zip(backend.static_shape(x)[1:-1], volume_shape)]
    if not any(after for _, after in cropping):
        return keras.layers.Activation("linear", dtype="float32", name=name)(x)
    return _layer("Cropping", cropping)(cropping if len(cropping) > 1 else cropping[0], dtype="float32", name=name)(x)


def _layer(kind, axes):
    return getattr(keras.layers, "%s%dD" % (kind, len(axes)))
