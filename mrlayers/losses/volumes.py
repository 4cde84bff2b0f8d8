"""What the losses share: tensors `(batch, *volume, channels)` with a volume of one, two or three axes (or more)."""

import functools
import math
import operator

import numpy as np

from mrlayers import backend
from mrlayers.backend import ops
from mrlayers.checks import describe, refusal


def as_floats(x):
    """Float32 and float64 as they are; integers, booleans and half precision as float32: sums over a volume need its digits."""
    x = ops.convert_to_tensor(x)
    return x if backend.dtype_name(x) in ("float32", "float64") else ops.cast(x, "float32")


def as_float_pair(y_true, y_pred):
    """Both in the float type of the prediction."""
    prediction = as_floats(y_pred)
    return ops.cast(y_true, backend.dtype_name(prediction)), prediction


def volume_axes(x, smallest=1):
    """The axes between batch and channels, each of at least `smallest` voxels where that is known."""
    shape = backend.static_shape(x)
    if len(shape) < 3:
        raise refusal("`y_pred` must have the shape (batch, *volume, channels)", describe(shape), "`y_pred[..., None]`")
    axes = tuple(range(1, len(shape) - 1))
    thin = [axis for axis in axes if shape[axis] is not None and shape[axis] < smallest]
    if thin:
        raise refusal(
            "`y_pred` must have at least {} voxels along each axis of its volume".format(smallest),
            describe(shape),
            "a model of fewer axes, or `numpy.squeeze(array, {})`".format(thin[0]),
        )
    return axes


def require_same_shape(y_true, y_pred):
    """Both must have one shape, as far as it is known; TensorFlow 1.15 does not know that of the targets of `fit`."""
    true, prediction = backend.static_shape(y_true), backend.static_shape(y_pred)
    if len(true) != len(prediction) or any(None not in pair and pair[0] != pair[1] for pair in zip(true, prediction)):
        raise refusal(
            "`y_true` must have the shape of `y_pred`, {}".format(prediction), describe(true), "to crop or pad one of them"
        )


def part(x, axis, start, stop):
    """`x[start:stop]` along `axis`."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def differences(x, axis):
    """Each element's successor along `axis` minus the element itself: one element fewer."""
    return part(x, axis, 1, None) - part(x, axis, None, -1)


def mean(x, axes, keepdims=False):
    """The mean over `axes`; `ops.mean` of Keras 3 turns float64 into float32."""
    sizes = ops.shape(x)
    count = functools.reduce(operator.mul, [sizes[axis] for axis in axes])
    return ops.sum(x, axis=axes, keepdims=keepdims) / ops.cast(count, backend.dtype_name(x))


def mean_of_samples(x):
    """The mean over all axes but the first."""
    return mean(x, tuple(range(1, len(x.shape))))


def checked_spacing(spacing):
    """`None`, a number or a tuple of numbers, as a layer stores it."""
    if spacing is None:
        return None
    sizes = np.asarray(spacing, "float64")
    if sizes.ndim > 1 or not sizes.size or not all(size > 0 and math.isfinite(size) for size in sizes.ravel()):
        raise refusal(
            "`spacing` must be positive: one number, one for each axis of the volume, or None", repr(spacing), "spacing=1.0"
        )
    return float(sizes) if not sizes.ndim else tuple(float(size) for size in sizes)


def spacing_of_axes(spacing, axes):
    """One number for each axis."""
    if not isinstance(spacing, tuple):
        return (1.0 if spacing is None else spacing,) * len(axes)
    if len(spacing) != len(axes):
        raise refusal(
            "`spacing` must have one number for each of the {} axes of the volume".format(len(axes)),
            repr(spacing),
            "spacing={!r}".format((spacing + (1.0,) * len(axes))[: len(axes)]),
        )
    return spacing
