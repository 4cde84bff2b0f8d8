"""What one image tells about another, whatever the relation of their intensities."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_integer
from mrlayers.losses.volumes import as_float_pair, mean, require_same_shape, volume_axes


@keras.saving.register_keras_serializable(package="mrlayers")
class MutualInformation(keras.losses.Loss):
    """Minus the mutual information of the intensities of two images, for images of different contrast or modality.

    `-(H(true) + H(pred) - H(true, pred))` in nats, with `H = -sum p log p` over the bins of the joint histogram and of its two
    marginals; with `normalized=True` it is `-(H(true) + H(pred)) / H(true, pred)`, from -2 to -1, which depends less on how
    much of the images overlaps. Each voxel adds a cubic B-spline, four bins wide, to the histogram (Parzen window): it is
    smooth in the intensities, and its sum is exactly the number of voxels. Each channel is a pair by itself; the result is
    their mean. Symmetric in its arguments.

    Memory is proportional to `voxels * bins`: the histogram is a matrix product of two arrays of that size. With its gradient a
    pair of 160x192x224 voxels takes 5 to 7 GB at 32 bins.

    Args:
        bins: number of bins of each image, at least 4. The outer bins only hold tails of the Parzen windows.
        value_range: `(lowest, highest)` intensity of both images; what lies outside counts as the nearest of the two. `None`
            takes the extremes of each image and channel, without a gradient through them: indifferent to gain and offset, but
            one bright voxel squeezes the rest into few bins.
        normalized: `True` for normalised mutual information (Studholme).

    Call arguments:
        y_true: the image to match, `(batch, *volume, channels)`.
        y_pred: the image that was moved, of the same shape.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision. A constant image has no information.

    Raises:
        ValueError: fewer than four bins, a range that is not increasing, shapes that differ.

    References:
        Viola and Wells, Alignment by maximization of mutual information, IJCV 24(2), 1997.
        Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE TMI 22(1), 2003.
        Studholme et al., An overlap invariant entropy measure of 3D medical image alignment, Pattern Recognition 32(1), 1999.
    """

    def __init__(self, bins=32, value_range=None, normalized=False, **kwargs):
        require_integer("bins", bins, 4)
        super().__init__(**kwargs)
        self.bins = int(bins)
        self.value_range = _checked_range(value_range)
        self.normalized = bool(normalized)

    def call(self, y_true, y_pred):
        require_same_shape(y_true, y_pred)
        volume_axes(y_pred)
        channels = backend.static_shape(y_pred)[-1]
        true, prediction = [self._positions(x, channels) for x in as_float_pair(y_true, y_pred)]
        joint = parzen_weights(true, self.bins, -2) @ parzen_weights(prediction, self.bins, -1)
        joint = joint / ops.sum(joint, axis=(-2, -1), keepdims=True)
        marginal = _entropy(ops.sum(joint, axis=-1), (-1,)) + _entropy(ops.sum(joint, axis=-2), (-1,))
        both = _entropy(joint, (-2, -1))
        return -mean(marginal / both if self.normalized else marginal - both, (-1,))

    def _positions(self, image, channels):
        """`(batch, channels, voxels)` in units of bins, from 1 to `bins - 2`, so that no Parzen window reaches outside."""
        image = ops.swapaxes(ops.reshape(image, (ops.shape(image)[0], -1, channels)), 1, 2)
        if self.value_range is None:
            lowest = ops.stop_gradient(-ops.max(-image, axis=-1, keepdims=True))
            highest = ops.stop_gradient(ops.max(image, axis=-1, keepdims=True))
            size = highest - lowest
            size = size + ops.cast(ops.equal(size, 0.0), backend.dtype_name(size))
        else:
            lowest, highest = self.value_range
            size = highest - lowest
        place = (image - lowest) / size
        if self.value_range is not None:
            place = 1.0 - ops.relu(1.0 - ops.relu(place))
        return 1.0 + (self.bins - 3.0) * place

    def get_config(self):
        config = super().get_config()
        config.update(bins=self.bins, value_range=self.value_range, normalized=self.normalized)
        return config


def parzen_weights(positions, bins, axis):
    """`(..., voxels)` to the weights that each voxel adds to each bin, a new axis at `axis`: cubic B-splines of the distance.

    With its own gradient, which computes the distances once more instead of keeping half a dozen arrays of this size.
    """

    @ops.custom_gradient
    def weights(positions):
        def gradient(*arguments, upstream=None):
            offset, inner, outer = _distances(positions, bins, axis)
            slope = ops.sign(offset) * (2.0 * ops.square(inner) - 0.5 * ops.square(outer))
            return ops.sum((arguments[0] if upstream is None else upstream) * slope, axis=axis)

        _, inner, outer = _distances(positions, bins, axis)
        return (outer * ops.square(outer) - 4.0 * inner * ops.square(inner)) / 6.0, gradient

    return weights(positions)


def _distances(positions, bins, axis):
    """From the centre of each bin, and by how much they fall short of 1 and of 2."""
    dtype = backend.dtype_name(positions)
    centres = np.arange(bins, dtype=dtype).reshape((bins,) + (1,) * (-1 - axis))
    offset = ops.expand_dims(positions, axis) - ops.convert_to_tensor(centres, dtype=dtype)
    return offset, ops.relu(1.0 - ops.abs(offset)), ops.relu(2.0 - ops.abs(offset))


def _entropy(probability, axes):
    return -ops.sum(probability * ops.log(probability + 1e-12), axis=axes)


def _checked_range(value_range):
    if value_range is None:
        return None
    values = tuple(value_range)
    if len(values) != 2 or not -float("inf") < values[0] < values[1] < float("inf"):
        raise refusal("`value_range` must be (lowest, highest) with lowest < highest, or None", repr(value_range), "(0.0, 1.0)")
    return float(values[0]), float(values[1])
