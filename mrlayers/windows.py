"""Windows of a series: sums over neighbouring frames, divided, where a frame has not measured itself; and their adjoint."""

import collections

import numpy as np

from mrlayers import backend
from mrlayers.backend import ops


def data_sharing(kspace, mask, distances, divide_by="count", boundary="circular", axis=-1):
    """`mask * kspace + (1 - mask) * (sum over the window) / divisor` for each distance, see `DataSharing`.

    `axis=-1` puts real and imaginary parts of the copies behind each other: `(batch, time, ..., 2 * copies)`; `axis=1` gives the
    copies an axis of their own: `(batch, copies, time, ..., 2)`. `mask` is 0 or 1, so that measured samples keep every bit.

    Running sums: the window of one distance is that of the one before and two frames more. Nothing is ever subtracted, as it
    would be from a cumulative sum, whose rounding errors are those of the whole series. Windows are symmetric, so the gradient
    runs over the same sums in the opposite order, and needs nothing but the mask.
    """
    mask = backend.mask_of_pairs(mask)
    frames, others = backend.static_shape(kspace)[1], tuple(sorted(set(distances) - {0}))
    weights = _weights(mask, frames, others, divide_by, boundary)
    options = _Options(tuple(distances), boundary, axis)

    @ops.custom_gradient
    def linear(kspace):
        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            return _adjoint(upstream, mask, weights, options)

        return _copies(_padded(kspace, max(distances), boundary), kspace, mask, weights, options), gradient

    return linear(kspace)


_Options = collections.namedtuple("_Options", "distances boundary axis")


@backend.in_slabs
def _copies(padded, kspace, mask, weights, options):
    found = {0: kspace}  # a window of one frame
    if weights:
        measured = kspace * mask
        for distance, total in _running_sums(padded, kspace, max(weights)):
            if distance in weights:
                found[distance] = measured + weights[distance] * total
    copies = [found[distance] for distance in options.distances]
    return copies if options.axis == -1 else ops.concatenate([ops.expand_dims(copy, 1) for copy in copies], 1)


def _spread(upstream, mask, weights, options):
    """The adjoint, frame by frame: what a frame's own sample is given, and what each in reach of a distance is.

    A frame this far away belongs to the windows of this distance and of all longer ones.
    """
    distances, axis = options.distances, options.axis
    of_distance, longer, total = {}, {}, None
    parts = backend.split_pairs(upstream) if axis == -1 else [upstream[:, index] for index in range(len(distances))]
    for distance, part in zip(distances, parts):
        of_distance[distance] = of_distance[distance] + part if distance in of_distance else part
    for distance in sorted(weights, reverse=True):
        part = weights[distance] * of_distance[distance]
        total = longer[distance] = part if total is None else total + part
    own = [of_distance.pop(0)] if 0 in of_distance else []
    if of_distance:
        own.append(mask * _sum(of_distance.values()))
    return _sum(own), longer


def _gathered(own, longer, options):
    """The adjoint, from frame to frame."""
    result, source = own, None
    for distance in range(max(longer, default=0), 0, -1):
        source = longer.get(distance, source)
        padded = _padded(source, distance, options.boundary)
        result = result + (padded[:, : -2 * distance] + padded[:, 2 * distance :])
    return result if source is None else result + source


_adjoint = backend.in_slabs(_spread, _gathered)


def _sum(tensors):
    first, *others = tensors
    return sum(others, first)


def _running_sums(padded, x, reach):
    """Pairs `d, x[t - d] + ... + x[t + d]` for `d` from 1 to `reach`; `padded` is `x` with that many frames on either side."""
    total, number = x, backend.static_shape(x)[1]
    for distance in range(1, reach + 1):
        before, after = reach - distance, reach + distance
        # The two new frames are added to each other first: in a series that runs backwards the sums are the same to the bit.
        total = total + (padded[:, before : before + number] + padded[:, after : after + number])
        yield distance, total


def _weights(mask, number, distances, divide_by, boundary):
    """What the sum over a window is multiplied by, for each distance above 0: 0 where the frame itself has measured."""
    if not distances:
        return {}
    if divide_by == "count":
        for_each_frame = mask * backend.constant(_along_time(np.ones(number), mask))
        return _one_by_count(_padded(for_each_frame, max(distances), boundary), for_each_frame, distances)
    inside = _frames_inside if divide_by == "frames" and boundary == "clipped" else _frames_of_window
    return {
        distance: (1.0 - mask) * backend.constant(_along_time(1.0 / inside(distance, number), mask)) for distance in distances
    }


@backend.in_slabs
def _one_by_count(padded, mask, distances):
    counts = _running_sums(padded, mask, max(distances))
    return {distance: (1.0 - mask) / ops.maximum(count, 1.0) for distance, count in counts if distance in distances}


def _padded(x, reach, boundary):
    """`reach` more frames on either side: zeros, or those of the other end, over and over where the series is shorter.

    Outside of the compiled region of the running sums: XLA would choose between the ends anew for each number of each sum.
    """
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
