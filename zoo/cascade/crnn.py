"""CRNN-MRI: one recurrent block that goes over the iterations of a reconstruction and over the frames of a series."""

from mrlayers import IFFT, BidirectionalConvRecurrent2D, ConvRecurrent2D, DataConsistency, backend
from mrlayers.backend import keras
from mrlayers.checks import require_integer
from zoo.cascade.blocks import series_inputs


def crnn_mri(
    series_shape,
    mask_shape=None,
    num_iterations=5,
    num_convolutions=5,
    filters=64,
    data_weight=None,
    trainable_data_weight=False,
    centered=False,
    engine="auto",
    name="crnn_mri",
):
    """The convolutional recurrent network of Qin et al. as a `keras.Model` on `[image, kspace, mask]`.

    In each iteration a bidirectional recurrence over time, `num_convolutions - 2` recurrences over the iterations and a last
    convolution make a residual, then `DataConsistency` follows. All iterations and all frames have the same weights.

    Args:
        series_shape: `(frames, height, width)`.
        mask_shape: shape of the sampling masks of one series, `(frames, height, width, 1)` by default. `(frames, height, 1, 1)` for
            lines: then data consistency transforms one axis only. `(1, height, 1, 1)` is one mask for all frames.
        num_iterations: how often the block is applied.
        num_convolutions: layers of the block, at least 2.
        filters: channels of the hidden states.
        data_weight: see `DataConsistency`; `None` replaces measured samples.
        trainable_data_weight: learn the data weight, one for all iterations, starting from `data_weight`.
        centered: `True` when `kspace` and `mask` have zero frequency in the middle.
        engine: see `FFT`.
        name: of the model.

    Inputs (named): `image` `(batch, frames, height, width, 2)`, the zero-filled reconstruction, magnitude about 0 to 1; `kspace`,
    same shape, orthonormal; `mask` `(batch,) + mask_shape`.

    Output: the reconstructed series `(batch, frames, height, width, 2)`.

    Fidelity: the defaults are the authors' network, 297,794 parameters; `load_published` reads their weights. Different on purpose:
    the last convolution and all biases start from zeros, so that training starts at the zero-filled series.

    Raises:
        ValueError: a number below its minimum, a shape without time axis, a mask shape that does not fit.

    References:
        Qin et al., Convolutional recurrent neural networks for dynamic MR image reconstruction, IEEE TMI 38 (2019);
        github.com/js3611/Deep-MRI-Reconstruction.
    """
    for argument, value, least in [
        ("num_iterations", num_iterations, 1),
        ("num_convolutions", num_convolutions, 2),
        ("filters", filters, 1),
    ]:
        require_integer(argument, value, least)
    image, kspace, mask = inputs = series_inputs(series_shape, mask_shape)

    # The authors', PyTorch's default. With He's a state would grow with each frame and each iteration, up to a thousandfold.
    options = dict(kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"))
    recurrences = [BidirectionalConvRecurrent2D(filters, name="recurrence", **options)]
    for index in range(1, num_convolutions - 1):
        recurrences.append(ConvRecurrent2D(filters, name="recurrence{}".format(index), **options))
    last = keras.layers.Conv3D(2, (1, 3, 3), padding="same", kernel_initializer="zeros", name="convolution")
    last = backend.without_copies(last)
    consistency = DataConsistency(data_weight, trainable_data_weight, centered, engine, reference="image", name="consistency")

    zero_filled = IFFT(centered=centered, engine=engine, name="zero_filled")(kspace)
    x, hidden = image, [None] * len(recurrences)
    for iteration in range(num_iterations):
        features = x
        for index, recurrence in enumerate(recurrences):
            before = hidden[index]
            features = hidden[index] = recurrence(features if before is None else [features, before])
        x = keras.layers.Add(name="iteration{}_residual".format(iteration + 1), dtype="float32")([x, last(features)])
        x = consistency([x, zero_filled, mask])
    return keras.Model(list(inputs), x, name=name)
