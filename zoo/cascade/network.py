"""The deep cascade: residual convolution blocks, each followed by data consistency."""

from mrlayers import IFFT, DataConsistency
from mrlayers.backend import keras
from mrlayers.checks import require_choice
from zoo.cascade.blocks import residual_block


def deep_cascade(
    image_shape,
    mask_shape=None,
    num_cascades=5,
    num_convolutions=5,
    filters=64,
    shared=False,
    normalization=None,
    data_weight=None,
    trainable_data_weight=False,
    centered=False,
    engine="auto",
    name="deep_cascade",
):
    """The cascade of Schlemper et al. as a `keras.Model` on `[image, kspace, mask]`.

    Each of `num_cascades` blocks is `num_convolutions` 3x3 convolutions (2 -> filters -> ... -> filters -> 2 channels, ReLU after
    all but the last), a residual connection and `DataConsistency`. The measured k-space is transformed once for all of them.

    Args:
        image_shape: `(height, width)` in pixels.
        mask_shape: shape of one sampling mask, `(height, width, 1)` by default. `(height, 1, 1)` or `(1, width, 1)` for lines:
            then data consistency transforms one axis only.
        num_cascades: how many blocks.
        num_convolutions: convolutions per block, at least 2.
        filters: channels inside a block.
        shared: one block, with its weights and its data weight, for all cascades instead of one for each.
        normalization: `None` (convolutions have a bias) or `"batch"` (batch normalization after every convolution, no bias).
        data_weight: see `DataConsistency`; `None` replaces measured samples.
        trainable_data_weight: learn the data weight, starting from `data_weight`.
        centered: `True` when `kspace` and `mask` have zero frequency in the middle.
        engine: see `FFT`.
        name: of the model.

    Inputs (named): `image` `(batch, height, width, 2)`, the zero-filled reconstruction, magnitude about 0 to 1; `kspace`, same
    shape, orthonormal; `mask` `(batch,) + mask_shape`.

    Output: the reconstructed image `(batch, height, width, 2)`.

    Fidelity: the defaults are D5-C5 of the authors' code, 565,770 parameters; its published weights reproduce the authors' numbers
    (`load_published`). Different on purpose: ReLU layers start from He's initialisation with its factor of two (the authors
    leave it out) and the last convolution of a block from zeros, so that training starts at the zero-filled image.
    `num_convolutions=11, shared=True, normalization="batch", data_weight=1.0, trainable_data_weight=True` is the architecture
    of ModelZoo's CascadeNet: 336,649 parameters, 335,365 of them trainable, and its blend `lam / (0.5 + lam)` with
    `lam = data_weight / 2`. It differs in He's initialisation instead of Glorot's, a weight that cannot become negative, and no
    penalty on the weights. Its shared batch normalization is updated once per cascade; TensorFlow 1.15 does not fix the order.

    Raises:
        ValueError: a number below its minimum, an unknown normalization, a mask shape that does not fit.

    References:
        Schlemper et al., IEEE TMI 37 (2018); github.com/js3611/Deep-MRI-Reconstruction; Ascend ModelZoo CascadeNet_ID2121.
    """
    require_choice("normalization", normalization, (None, "batch"))
    for argument, value, least in [
        ("num_cascades", num_cascades, 1),
        ("num_convolutions", num_convolutions, 2),
        ("filters", filters, 1),
    ]:
        if not isinstance(value, int) or value < least:
            raise ValueError("`{}` must be a whole number of at least {}. Received: {!r}.".format(argument, least, value))
    height, width = image_shape
    image = keras.Input((height, width, 2), name="image")
    kspace = keras.Input((height, width, 2), name="kspace")
    mask = keras.Input(tuple(mask_shape or (height, width, 1)), name="mask")

    zero_filled = IFFT(centered=centered, engine=engine, name="zero_filled")(kspace)
    x = image
    for cascade in range(num_cascades):
        if cascade == 0 or not shared:
            prefix = "cascade" if shared else "cascade{}".format(cascade + 1)
            block = residual_block(num_convolutions, filters, prefix, normalization)
            consistency = DataConsistency(
                data_weight, trainable_data_weight, centered, engine, reference="image", name=prefix + "_consistency"
            )
        x = keras.layers.Add(name="cascade{}_residual".format(cascade + 1), dtype="float32")([x, block(x)])
        x = consistency([x, zero_filled, mask])
    return keras.Model([image, kspace, mask], x, name=name)
