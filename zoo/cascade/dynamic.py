"""The deep cascade of dynamic series: convolutions over space and time, with or without data sharing."""

from mrlayers import IFFT, DataConsistency, DataSharing, StochasticDepth
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer
from zoo.cascade.blocks import residual_block, series_inputs


def dynamic_cascade(
    series_shape,
    mask_shape=None,
    num_cascades=10,
    num_convolutions=5,
    filters=64,
    kernel_size=3,
    shared=False,
    distances=None,
    divide_by="window",
    boundary="circular",
    stochastic=0.0,
    data_weight=None,
    trainable_data_weight=False,
    centered=False,
    engine="auto",
    name="dynamic_cascade",
):
    """The 2-D + time cascade of Schlemper et al. as a `keras.Model` on `[image, kspace, mask]`.

    Each of `num_cascades` blocks is `num_convolutions` convolutions over time, height and width (ReLU after all but the last), a
    residual connection and `DataConsistency`. With `distances` the first convolution of each block sees the image and its copies
    of `DataSharing`.

    Args:
        series_shape: `(frames, height, width)`.
        mask_shape: shape of the sampling masks of one series, `(frames, height, width, 1)` by default. `(frames, height, 1, 1)` for
            lines: then data consistency and data sharing transform one axis only. `(1, height, 1, 1)` is one mask for all frames.
        num_cascades: how many blocks.
        num_convolutions: convolutions per block, at least 2.
        filters: channels inside a block.
        kernel_size: 3, or three numbers: `(1, 3, 3)` is the static cascade, where frames do not know of each other.
        shared: one block, with its weights and its data weight, for all cascades instead of one for each.
        distances: `None`, or the distances of `DataSharing` in frames, such as `(0, 1, 2, 3, 4)`.
        divide_by: see `DataSharing`, from the second cascade on. The first always takes `"count"`, as its k-space is zero-filled.
        boundary: see `DataSharing`.
        stochastic: probability from 0 to below 1 that the last cascade is left out while training. That of the others grows evenly
            from 0 at the first (`StochasticDepth`).
        data_weight: see `DataConsistency`; `None` replaces measured samples.
        trainable_data_weight: learn the data weight, starting from `data_weight`.
        centered: `True` when `kspace` and `mask` have zero frequency in the middle.
        engine: see `FFT`.
        name: of the model.

    Inputs (named): `image` `(batch, frames, height, width, 2)`, the zero-filled reconstruction, magnitude about 0 to 1; `kspace`,
    same shape, orthonormal; `mask` `(batch,) + mask_shape`.

    Output: the reconstructed series `(batch, frames, height, width, 2)`.

    Fidelity: the defaults with `distances=(0, 1, 2, 3, 4)` are D5-C10(S) of the authors' code, 3,562,260 parameters, whose 12 input
    channels hold the image twice (as it is, and as distance 0); `num_cascades=2, num_convolutions=2, filters=16, distances=(0, 1)`
    is D2-C2(S), 6,948. The authors published no weights of them. Different on purpose: the initial weights, as in
    `deep_cascade`; samples of a batch, not whole batches, are drawn for `stochastic`.

    Raises:
        ValueError: a number below its minimum, a shape without time axis, a mask shape that does not fit.

    References:
        Schlemper et al., A deep cascade of convolutional neural networks for dynamic MR image reconstruction, IEEE TMI 37 (2018);
        github.com/js3611/Deep-MRI-Reconstruction.
    """
    for argument, value, least in [
        ("num_cascades", num_cascades, 1),
        ("num_convolutions", num_convolutions, 2),
        ("filters", filters, 1),
    ]:
        require_integer(argument, value, least)
    if isinstance(stochastic, bool) or not isinstance(stochastic, (int, float)) or not 0 <= stochastic < 1:
        raise refusal("`stochastic` must be a number from 0 to below 1", repr(stochastic), "stochastic=0.5")
    image, kspace, mask = inputs = series_inputs(series_shape, mask_shape)

    zero_filled = IFFT(centered=centered, engine=engine, name="zero_filled")(kspace)
    x = image
    for cascade in range(num_cascades):
        number = "cascade{}".format(cascade + 1)
        if cascade == 0 or not shared:
            prefix = "cascade" if shared else number
            block = residual_block(num_convolutions, filters, prefix, kernel_size=kernel_size, dimensions=3)
            consistency = DataConsistency(
                data_weight, trainable_data_weight, centered, engine, reference="image", name=prefix + "_consistency"
            )
        seen = x
        if distances is not None:
            seen = DataSharing(
                distances,
                divide_by if cascade else "count",
                boundary,
                include_input=True,
                domain="image",
                centered=centered,
                engine=engine,
                name=number + "_sharing",
            )([x, mask])
        result = keras.layers.Add(name=number + "_residual", dtype="float32")([x, block(seen)])
        result = consistency([result, zero_filled, mask])
        rate = stochastic * cascade / max(1, num_cascades - 1)
        x = StochasticDepth(rate, name=number + "_depth")([x, result]) if rate else result
    return keras.Model(list(inputs), x, name=name)
