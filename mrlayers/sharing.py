"""Data sharing: fill what a frame did not measure with what the frames around it did."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice, require_integer, require_real, require_series, require_two
from mrlayers.fourier import ENGINES, SPATIAL_AXES, as_float, fourier_transform, shift

DIVISORS = ("count", "window", "frames")
BOUNDARIES = ("circular", "clipped")
DOMAINS = ("kspace", "image")


def data_sharing(kspace, mask, distances, divide_by="count", boundary="circular", axis=-1):
    """`mask * kspace + (1 - mask) * (sum over the window) / divisor` for each distance, see `DataSharing`.

    `axis=-1` puts real and imaginary parts of the copies behind each other: `(batch, time, ..., 2 * copies)`; `axis=1` gives the
    copies an axis of their own: `(batch, copies, time, ..., 2)`. `mask` is 0 or 1, so that measured samples keep every bit.

    Running sums: the window of one distance is that of the one before and two frames more. Nothing is ever subtracted, as it
    would be from a cumulative sum, whose rounding errors are those of the whole series. Windows are symmetric, so the gradient
    runs over the same sums in the opposite order, and needs nothing but the mask.
    """
    weights = _weights(mask, backend.static_shape(kspace)[1], tuple(sorted(set(distances) - {0})), divide_by, boundary)

    @ops.custom_gradient
    def linear(kspace):
        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            own, longer = _spread(upstream, mask, weights, distances, axis)
            return _gathered(own, longer, boundary)

        return _copies(kspace, mask, weights, distances, boundary, axis), gradient

    return linear(kspace)


@backend.fused
def _copies(kspace, mask, weights, distances, boundary, axis):
    found = {0: kspace}  # a window of one frame
    if weights:
        measured = kspace * mask
        for distance, total in _running_sums(kspace, max(distances), boundary):
            if distance in weights:
                found[distance] = measured + weights[distance] * total
    copies = [found[distance] for distance in distances]
    return (
        backend.concatenate_pairs(copies) if axis == -1 else ops.concatenate([ops.expand_dims(copy, 1) for copy in copies], 1)
    )


@backend.fused
def _spread(upstream, mask, weights, distances, axis):
    """The adjoint, frame by frame: what stays with a frame, and what goes to those as far away as each distance.

    A frame this far away belongs to the windows of this distance and of all longer ones.
    """
    of_distance, longer, total = {}, {}, None
    for index, distance in enumerate(distances):
        part = upstream[..., 2 * index : 2 * index + 2] if axis == -1 else upstream[:, index]
        of_distance[distance] = of_distance[distance] + part if distance in of_distance else part
    for distance in sorted(weights, reverse=True):
        # Where a frame has measured, its weight is 0 and all stays with it; elsewhere the weight is all there is.
        part = (mask + weights[distance]) * of_distance[distance]
        total = part if total is None else total + part
        longer[distance] = (1.0 - mask) * total
    own = [part for part in (of_distance.get(0), total) if part is not None]
    return sum(own[1:], own[0]), longer


@backend.fused
def _gathered(own, longer, boundary):
    """The adjoint, from frame to frame: a region of its own, or what `_spread` makes would be made anew for each that takes it."""
    result, source = own, None
    for distance in range(max(longer, default=0), 0, -1):
        source = longer.get(distance, source)
        padded = _padded(source, distance, boundary)
        result = result + (padded[:, : -2 * distance] + padded[:, 2 * distance :])
    return result


def _running_sums(x, reach, boundary):
    """Pairs `d, x[t - d] + ... + x[t + d]` for `d` from 1 to `reach`."""
    padded, total, number = _padded(x, reach, boundary), x, backend.static_shape(x)[1]
    for distance in range(1, reach + 1):
        before, after = reach - distance, reach + distance
        # The two new frames are added to each other first: in a series that runs backwards the sums are the same to the bit.
        total = total + (padded[:, before : before + number] + padded[:, after : after + number])
        yield distance, total


@backend.fused
def _weights(mask, number, distances, divide_by, boundary):
    """What the sum over a window is multiplied by, for each distance above 0: 0 where the frame itself has measured."""
    if not distances:
        return {}
    if divide_by == "count":
        for_each_frame = mask * backend.constant(_along_time(np.ones(number), mask))
        counts = _running_sums(for_each_frame, max(distances), boundary)
        return {distance: (1.0 - mask) / ops.maximum(count, 1.0) for distance, count in counts if distance in distances}
    inside = _frames_inside if divide_by == "frames" and boundary == "clipped" else _frames_of_window
    return {
        distance: (1.0 - mask) * backend.constant(_along_time(1.0 / inside(distance, number), mask)) for distance in distances
    }


def _padded(x, reach, boundary):
    """`reach` more frames on either side: zeros, or those of the other end, over and over where the series is shorter."""
    if not reach:
        return x
    if boundary == "clipped":
        return ops.pad(x, [(0, 0), (reach, reach)] + [(0, 0)] * (len(x.shape) - 2))
    number = backend.static_shape(x)[1]
    rounds, rest = divmod(reach, number)
    ends = ([x[:, number - rest :]], [x[:, :rest]]) if rest else ([], [])
    return ops.concatenate(ends[0] + [x] * (2 * rounds + 1) + ends[1], axis=1)


def _frames_of_window(distance, number):
    return np.full(number, 2 * distance + 1)


def _frames_inside(distance, number):
    """How many frames of a clipped window there are, around each of `number` frames."""
    frame = np.arange(number)
    return np.minimum(frame + distance, number - 1) - np.maximum(frame - distance, 0) + 1


def _along_time(values, mask):
    """An array over frames that multiplies `mask`."""
    shape = (1, len(values)) + (1,) * (len(mask.shape) - 2)
    return np.reshape(values, shape).astype(backend.dtype_name(mask))


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
