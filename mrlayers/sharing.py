"""Data sharing: fill what a frame did not measure with what the frames around it did."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice, require_integer, require_real, require_series, require_two
from mrlayers.fourier import ENGINES, SPATIAL_AXES, as_float, fourier_transform, shift
from mrlayers.windows import data_sharing

DIVISORS = ("count", "window", "frames")
BOUNDARIES = ("circular", "clipped")
DOMAINS = ("kspace", "image")


@keras.saving.register_keras_serializable(package="mrlayers")
class DataSharing(keras.layers.Layer):
    """Copies of a series in which frames share their k-space samples with their neighbours.

    One copy for each distance `d`. A sample that the frame `t` has measured keeps its own value, to the bit; any other becomes
    `sum(kspace[t - d] ... kspace[t + d]) / divisor`, a sliding average over time. Distance 0 is the series as it is. With lines
    that change from frame to frame the copies are sharp in space and blurred in time, each more than the one before; a network
    that sees all of them need not find out where its neighbours' samples belong.

    Args:
        distances: how far the neighbours are, in frames: distinct whole numbers from 0.
        divide_by: `"count"`: how many frames of the window have measured the sample, at least 1: an average of measurements, for
            k-space that is zero where nothing was measured. `"window"`: always `2 * d + 1`, for k-space that a network has
            filled. `"frames"`: how many frames of the window exist, which differs from `"window"` only with `"clipped"`, near
            the first and the last frame.
        boundary: `"circular"`: after the last frame comes the first, as in a heartbeat. A window longer than the series goes
            round it and sums and counts frames as often as it meets them. `"clipped"`: windows end with the series.
        include_input: a copy of the input before all others.
        domain: `"kspace"`: input and output are k-space. `"image"`: they are images, transformed to k-space and back along the
            axes that the mask depends on.
        centered: for images: `True` when zero frequency of `mask` is in the middle, `False` when it is at index 0.
        engine: for images: `"auto"`, `"fft"`, `"matmul"` or `"split"`, see `FFT`.

    Call arguments:
        inputs: one list `[series, mask]`. No gradient flows to `mask`.

    Input shape: series `(batch, time, [coils,] height, width, 2)` with a known number of frames; mask of the same rank, 0 or 1,
        last axis 1, every other axis either that of the series or 1, with 1 where k-space was measured. One mask for all frames
        (`(batch, 1, height, width, 1)`) is accepted: what it leaves out no neighbour has measured either.

    Output shape: the input's with `2 * (len(distances) + include_input)` channels: real and imaginary part of the input (if
        included), of the first distance, of the second, and so on. float32 whatever the mixed-precision policy.

    Raises:
        ValueError: distances negative, repeated or none at all, an unknown option, no time axis, shapes that do not fit, a
            complex dtype.

    Example:

    >>> import numpy as np
    >>> from mrlayers import DataSharing
    >>> mask = (np.random.rand(1, 6, 8, 1, 1) < 0.3).astype("float32")
    >>> kspace = mask * np.random.rand(1, 6, 8, 4, 2).astype("float32")
    >>> six_channels = DataSharing(distances=(0, 1, 2))([kspace, mask])

    References:
        Schlemper et al., A deep cascade of convolutional neural networks for dynamic MR image reconstruction, IEEE TMI 37 (2018),
        section III.C. Theano layer of the authors: `include_input=True`, boundary as there, `"count"` in the first cascade and
        `"window"` in later ones. Their PyTorch layer: `"count"`, then `"frames"`.
    """

    def __init__(
        self,
        distances=(0, 1, 2, 3, 4),
        divide_by="count",
        boundary="circular",
        include_input=False,
        domain="kspace",
        centered=False,
        engine="auto",
        **kwargs,
    ):
        for name, value, choices in [
            ("divide_by", divide_by, DIVISORS),
            ("boundary", boundary, BOUNDARIES),
            ("domain", domain, DOMAINS),
            ("engine", engine, ENGINES),
        ]:
            require_choice(name, value, choices)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.distances = _checked_distances(distances)
        self.divide_by = divide_by
        self.boundary = boundary
        self.include_input = bool(include_input)
        self.domain = domain
        self.centered = bool(centered)
        self.engine = engine

    def call(self, inputs):
        series, mask = require_two(inputs, "[series, mask]")
        _check_shapes(backend.static_shape(series), backend.static_shape(mask))
        require_real("series", series.dtype)
        require_real("mask", mask.dtype)
        series = as_float(series)
        mask = ops.stop_gradient(ops.cast(mask, series.dtype))
        distances = (0,) * self.include_input + self.distances
        sizes = backend.static_shape(mask)
        axes = tuple(axis for axis in SPATIAL_AXES if sizes[axis] != 1)
        if self.domain == "kspace" or not axes:
            return data_sharing(series, mask, distances, self.divide_by, self.boundary)
        return self._share_images(series, mask, distances, axes)

    def _share_images(self, series, mask, distances, axes):
        # Copies of the images themselves, where the distances begin with them, need no transform.
        front = len(distances) - len(self.distances) + (self.distances[0] == 0)
        copies = [ops.expand_dims(series, 1)] * front
        if distances[front:]:
            if self.centered:  # shifts of the image cancel, so only the mask moves
                mask = shift(mask, axes, inverse=True)
            kspace = fourier_transform(series, axes, engine=self.engine)
            shared = data_sharing(kspace, mask, distances[front:], self.divide_by, self.boundary, axis=1)
            copies.append(fourier_transform(shared, axes, inverse=True, engine=self.engine))
        return _interleaved(ops.concatenate(copies, axis=1))

    def compute_output_shape(self, input_shape):
        series, mask = [backend.static_shape(shape) for shape in require_two(input_shape, "[series, mask]")]
        _check_shapes(series, mask)
        return series[:-1] + (2 * (len(self.distances) + self.include_input),)

    def get_config(self):
        config = super().get_config()
        config.update(
            distances=self.distances,
            divide_by=self.divide_by,
            boundary=self.boundary,
            include_input=self.include_input,
            domain=self.domain,
            centered=self.centered,
            engine=self.engine,
        )
        return config


def _interleaved(copies):
    """`(batch, copies, ..., 2)` to `(batch, ..., 2 * copies)`."""
    shape = ops.shape(copies)
    pairs = ops.swapaxes(ops.reshape(copies, (shape[0], shape[1], -1, 2)), 1, 2)
    return ops.reshape(pairs, (shape[0],) + tuple(shape[2:-1]) + (2 * shape[1],))


def _checked_distances(distances):
    chosen = tuple(distances) if isinstance(distances, (tuple, list, range, np.ndarray)) else (distances,)
    for distance in chosen:
        require_integer("distances", distance, 0)
    if not chosen or len(set(chosen)) != len(chosen):
        raise refusal("`distances` must be one or more whole numbers, none of them twice", repr(distances), "(0, 1, 2)")
    return tuple(int(distance) for distance in chosen)


def _check_shapes(series, mask):
    require_series("series", series)
    expected = "{} or 1 in any axis, and 1 in the last".format(tuple(series[:-1]) + (1,))
    if len(mask) != len(series):
        fix = "`numpy.expand_dims(mask, 1)` if one mask is for all frames, `numpy.expand_dims(mask, -1)` if the last axis is absent"
        raise refusal("`mask` must have the rank of the series: " + expected, describe(mask), fix)
    if mask[1] not in (series[1], 1):
        raise refusal(
            "`mask` must have as many frames as the series, %d, or one for all of them" % series[1],
            "%s frames, %s" % (mask[1], describe(mask)),
            "`mask[:, :%d]`" % series[1] if mask[1] and mask[1] > series[1] else "a mask for every frame",
        )
    if mask[-1] != 1 or not all(size == 1 or None in (full, size) or full == size for full, size in zip(series[:-1], mask)):
        raise refusal("`mask` must be broadcastable to the series: " + expected, describe(mask), "`mask[..., :1]`")
