"""Warping: images and landmarks carried along by a displacement field or an affine matrix."""

import numbers

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, fits, refusal, require_choice, require_real, require_two
from mrlayers.fourier import as_float

INTERPOLATIONS = ("linear", "nearest")


def warp(moving, displacement, interpolation="linear", fill=None):
    """`moved(p) = moving(p + u(p))` for tensors `(batch, *size, channels)` and `(batch, *size, ndim)`, see `SpatialTransformer`."""
    if fill is not None:  # one voxel of it on every side, and beyond that the edge is repeated as always
        sides = [[0, 0]] + [[1, 1]] * int(displacement.shape[-1]) + [[0, 0]]
        moving = ops.pad(moving, sides, constant_values=fill)
    first = 0 if fill is None else 1
    if interpolation == "linear":
        return backend.sample(moving, displacement, first)
    return _nearest(moving, displacement, first)


def as_coordinates(x):
    """As `as_float`, in float32 at least: half precision could not tell a voxel from the next."""
    x = as_float(x)
    return ops.cast(x, "float32") if backend.dtype_name(x) in ("float16", "bfloat16") else x


def warp_points(points, displacement):
    """`p + u(p)` for points `(batch, n, ndim)` in voxels, see `PointTransformer`."""
    return points + backend.sample(displacement, points, None)


def affine_to_dense(matrix, size):
    """`u(p) = A (p - c) + c + t - p` on a grid of `size`, from `[A | t]` `(batch, ndim, ndim + 1)`."""
    ndim = len(size)
    ones = [1] * ndim
    displacement = ops.reshape(matrix[..., ndim], [-1] + ones + [ndim])
    for axis, length in enumerate(size):
        from_centre = (np.arange(length) - (length - 1) / 2).reshape([-1] + [1] * (ndim - axis))
        column = matrix[..., axis] - _like(np.arange(ndim) == axis, matrix)
        displacement = displacement + ops.reshape(column, [-1] + ones + [ndim]) * _like(from_centre, matrix)
    return displacement


def _like(array, tensor):
    return ops.cast(ops.convert_to_tensor(array.astype("float32")), tensor.dtype)


def _nearest(volume, displacement, first):
    size = backend.static_shape(volume)[1:-1]
    ndim = len(size)
    index = ops.reshape(ops.arange(ops.shape(volume)[0]) * int(np.prod(size)), [-1] + [1] * ndim)
    for axis, length in enumerate(size):
        places = first + np.arange(backend.static_shape(displacement)[axis + 1])
        x = displacement[..., axis] + _like(places.reshape([-1] + [1] * (ndim - 1 - axis)), displacement)
        nearest = ops.cast(ops.clip(ops.round(x), 0, length - 1), "int32")
        nearest = ops.maximum(nearest, 0)  # what is not a number becomes the lowest integer
        index = index + nearest * int(np.prod(size[axis + 1 :]))
    return ops.take(ops.reshape(volume, [-1, int(volume.shape[-1])]), index, axis=0)


@keras.saving.register_keras_serializable(package="mrlayers")
class SpatialTransformer(keras.layers.Layer):
    """Warps images by a displacement field or an affine matrix: `moved(p) = moving(p + u(p))`.

    1-D, 2-D and 3-D; a batch is one gather. With linear interpolation the gradient flows to both inputs. On the lattice, where
    linear interpolation has a kink, the derivative with respect to the displacement is that to the right (towards the next
    voxel); beyond the volume it is 0.

    Args:
        interpolation: `"linear"`, or `"nearest"` for labels: the voxel at `p + u(p)` rounded to whole numbers, halves to the even
            one, on every runtime; integer labels stay integers, and no gradient flows to the transform.
        fill: the constant that surrounds the volume: within one voxel beyond the edge, linear interpolation runs into it.
            `None` repeats the edge.

    Call arguments:
        inputs: one list `[moving, transform]`.

    Input shape: moving `(batch, *size, channels)`. Transform: a displacement field `(batch, *size, ndim)` in voxels, in the order
        of the axes, or affine matrices `(batch, ndim, ndim + 1)` about the centre `c = (size - 1) / 2`: `A` and a translation `t`
        in voxels, `p + u(p) = A (p - c) + c + t`.

    Output shape: as moving. float32 for `"linear"`, whatever the mixed-precision policy: half precision could not tell a voxel
        from the next.

    Raises:
        ValueError: unknown interpolation, shapes that do not fit, sizes that are not known when the model is built.

    Example:

    >>> import numpy as np
    >>> from mrlayers import SpatialTransformer
    >>> moving = np.arange(6, dtype="float32").reshape(1, 6, 1)
    >>> displacement = np.full((1, 6, 1), 2.0, "float32")
    >>> moved = SpatialTransformer()([moving, displacement])    # 2, 3, 4, 5, 5, 5

    References:
        Jaderberg et al., Spatial transformer networks, NeurIPS 2015; Balakrishnan et al., VoxelMorph, IEEE TMI 38 (2019).
    """

    def __init__(self, interpolation="linear", fill=None, **kwargs):
        require_choice("interpolation", interpolation, INTERPOLATIONS)
        if fill is not None:
            if not (isinstance(fill, numbers.Real) and np.isfinite(fill)):
                raise refusal("`fill` must be a finite number, or None to repeat the edge", repr(fill), "0")
            fill = int(fill) if fill == int(fill) else float(fill)  # a whole number fills integer labels, too
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.interpolation = interpolation
        self.fill = fill

    def call(self, inputs):
        moving, transform = require_two(inputs, "[moving, transform]")
        shape = backend.static_shape(moving)
        affine = _check_shapes(shape, backend.static_shape(transform))
        for name, known in (("moving", shape), ("transform", backend.static_shape(transform))):
            if None in known[1:]:
                advice = "keras.Input((160, 192, 224, 1)) or another fixed size"
                raise refusal("`%s` must have a known size" % name, describe(known), advice)
        require_real("moving", moving.dtype)
        transform = as_coordinates(transform)
        if self.interpolation == "linear":
            moving = ops.cast(moving, transform.dtype)
        elif isinstance(self.fill, float) and "float" not in backend.dtype_name(moving):
            raise refusal("`fill` must be a whole number for integer labels", repr(self.fill), "0")
        if affine:
            transform = affine_to_dense(transform, shape[1:-1])
        return warp(moving, transform, self.interpolation, self.fill)

    def compute_output_shape(self, input_shape):
        moving, transform = require_two(input_shape, "[moving, transform]")
        _check_shapes(backend.static_shape(moving), backend.static_shape(transform))
        return input_shape[0]

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([x.shape for x in require_two(inputs, "[moving, transform]")])
        linear = self.interpolation == "linear"
        return keras.KerasTensor(shape, dtype=self.compute_dtype if linear else inputs[0].dtype)

    def get_config(self):
        config = super().get_config()
        config.update(interpolation=self.interpolation, fill=self.fill)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class PointTransformer(keras.layers.Layer):
    """Carries landmarks along with the warp of an image: `p + u(p)`, the displacement interpolated linearly.

    A warp pulls values back, so a point `p` of the fixed image goes to where `SpatialTransformer` has taken `moved(p)` from: the
    corresponding point of the moving image. For the other direction use `InvertDisplacement` first.

    Call arguments:
        inputs: one list `[points, displacement]`.

    Input shape: points `(batch, n, ndim)` in voxels, in the order of the axes; displacement `(batch, *size, ndim)`.

    Output shape: as points, float32.

    Raises:
        ValueError: shapes that do not fit.
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs):
        points, displacement = require_two(inputs, "[points, displacement]")
        _check_points(backend.static_shape(points), backend.static_shape(displacement), known=True)
        displacement = as_coordinates(displacement)
        return warp_points(ops.cast(points, displacement.dtype), displacement)

    def compute_output_shape(self, input_shape):
        points, displacement = require_two(input_shape, "[points, displacement]")
        _check_points(backend.static_shape(points), backend.static_shape(displacement))
        return input_shape[0]


def require_displacement(name, shape, known=False):
    """A displacement field is `(batch, *size, ndim)` with one to three axes."""
    if not (3 <= len(shape) <= 5 and shape[-1] == len(shape) - 2):
        raise refusal(
            "`%s` must be a displacement field (batch, *size, ndim), with as many components as axes" % name,
            describe(shape),
            "numpy.stack([along_axis_0, along_axis_1, ...], axis=-1)",
        )
    if known and None in shape[1:]:
        raise refusal(
            "`%s` must have a known size" % name, describe(shape), "keras.Input((160, 192, 224, 3)) or another fixed size"
        )


def _check_shapes(moving, transform):
    """True for affine matrices, False for a displacement field."""
    ndim = len(moving) - 2
    if not 1 <= ndim <= 3:
        raise refusal("`moving` must be (batch, *size, channels) with one to three axes", describe(moving), "moving[..., None]")
    field, matrices = tuple(moving[:-1]) + (ndim,), (moving[0], ndim, ndim + 1)
    if not fits(transform, field) and not fits(transform, matrices):
        raise refusal(
            "`transform` must be a displacement field {} or affine matrices {}".format(field, matrices),
            describe(transform),
            "a field on the grid of `moving`",
        )
    return not fits(transform, field)


def _check_points(points, displacement, known=False):
    require_displacement("displacement", displacement, known)
    expected = (displacement[0], None, displacement[-1])
    if not fits(points, expected):
        advice = "points[None] for one set of points"
        raise refusal("`points` must be (batch, n, ndim), here {}".format(expected), describe(points), advice)
