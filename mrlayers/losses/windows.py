"""Sums over a box around each voxel, in a dozen additions per axis whatever the box."""

from mrlayers.backend import ops
from mrlayers.losses.volumes import part


def box_sum(x, windows):
    """The sum over a box around each voxel of `(batch, *volume, channels)`; zeros stand outside.

    `windows` has an odd size for each axis of the volume. The sum is symmetric and so its own gradient. Additions of slices
    rather than a convolution or a matrix product: they are exact to float32 also where those compute in half precision (TF32,
    NPUs), and sums of doubled length need the fewest.
    """

    @ops.custom_gradient
    def self_adjoint(x):
        def gradient(*arguments, upstream=None):
            return box_sum(arguments[0] if upstream is None else upstream, windows)

        return _plain_box_sum(x, windows), gradient

    return self_adjoint(x)


def box_size(x, windows):
    """How many voxels of the box around each voxel lie inside the volume: `(1, *volume, 1)`."""
    size = 1.0
    for axis, window in enumerate(windows, start=1):
        line = x[(slice(0, 1),) * axis + (slice(None),) + (slice(0, 1),) * (len(x.shape) - axis - 1)]
        size = size * _line_sum(ops.ones_like(line), axis, window)
    return size


def _plain_box_sum(x, windows):
    for axis, window in enumerate(windows, start=1):
        x = _line_sum(x, axis, window)
    return x


def _line_sum(x, axis, window):
    """The sum over `window` elements around each, from sums over 1, 2, 4, ...: those in the binary digits of `window`."""
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (window // 2, window // 2)
    run, length, begin, total = ops.pad(x, padding), 1, 0, None
    while True:  # run[i] is the sum of `length` elements from i on
        if window & length:
            rest = begin + length - window  # so that each term is as long as the result: `rest` elements fewer at the end
            term = part(run, axis, begin, rest or None)
            total = term if total is None else total + term
            begin += length
        if begin == window:
            return total
        run = part(run, axis, None, -length) + part(run, axis, length, None)
        length *= 2
