"""Displacement fields made from others: integrated, composed, rescaled, inverted, or made from affine matrices."""

import math

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, fits, refusal, require_integer, require_two
from mrlayers.warping import affine_to_dense, as_coordinates, require_displacement, warp


def compose(first, second):
    """The displacement that warps as `first` and then `second` do: `u(p) = second(p) + first(p + second(p))`."""
    return second + warp(first, second)


def integrate(velocity, steps=7):
    """Displacement of the flow along a stationary velocity after unit time: halved `steps` times, then squared as often."""
    displacement = velocity * (0.5**steps)
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


def invert(displacement, iterations=10):
    """`v` with `v(p) = -u(p + v(p))`, by fixed-point iteration from `v = -u`."""
    inverse = -displacement
    for _ in range(iterations):
        inverse = -warp(displacement, inverse)
    return inverse


def rescale(displacement, factor):
    """The same displacement on a grid `factor` times as fine: voxel `i` of it is at `i / factor`, and values grow by `factor`."""
    ndim = int(displacement.shape[-1])
    for axis, length in enumerate(backend.static_shape(displacement)[1:-1]):
        position = np.minimum(np.arange(_rescaled(length, factor)) / factor, length - 1)
        low = np.floor(position).astype("int32")
        above = (position - low).astype("float32").reshape([-1] + [1] * (ndim - axis))
        below, above = [ops.cast(ops.convert_to_tensor(weight), displacement.dtype) for weight in (1 - above, above)]
        lower = ops.take(displacement, ops.convert_to_tensor(low), axis=axis + 1)
        upper = ops.take(displacement, ops.convert_to_tensor(np.minimum(low + 1, length - 1)), axis=axis + 1)
        displacement = below * lower + above * upper
    return displacement * factor


def _rescaled(length, factor):
    return None if length is None else max(1, math.floor(length * factor + 1e-6))


@keras.saving.register_keras_serializable(package="mrlayers")
class VecInt(keras.layers.Layer):
    """Integrates a stationary velocity field by scaling and squaring: the displacement after unit time, a diffeomorphism.

    Args:
        steps: squarings, at least 0. Each halves the error of the time steps until that of linear interpolation is left: 5 to 7
            are enough as long as velocities divided by `2 ** steps` are below half a voxel.

    Call arguments:
        inputs: the velocity.

    Input shape: `(batch, *size, ndim)` in voxels.

    Output shape: as the input, float32.

    Raises:
        ValueError: `steps` is no whole number of at least 0, or the input no displacement field.

    References:
        Arsigny et al., A log-Euclidean framework for statistics on diffeomorphisms, MICCAI 2006; Dalca et al., Unsupervised
        learning for fast probabilistic diffeomorphic registration, MICCAI 2018.
    """

    def __init__(self, steps=7, **kwargs):
        require_integer("steps", steps, 0)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, inputs):
        require_displacement("inputs", backend.static_shape(inputs), known=True)
        return integrate(as_coordinates(inputs), self.steps)

    def compute_output_shape(self, input_shape):
        require_displacement("inputs", backend.static_shape(input_shape))
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(steps=self.steps)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class ComposeTransform(keras.layers.Layer):
    """The one displacement that warps an image as `first` and then `second` would: `u(p) = second(p) + first(p + second(p))`.

    `warp(warp(image, first), second)` equals `warp(image, u)` up to interpolation, which then happens once.

    Call arguments:
        inputs: one list `[first, second]`.

    Input shape: both `(batch, *size, ndim)` in voxels.

    Output shape: the same, float32.

    Raises:
        ValueError: an input is no displacement field, or they differ in shape.
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs):
        first, second = require_two(inputs, "[first, second]")
        _check_same(backend.static_shape(first), backend.static_shape(second), known=True)
        first = as_coordinates(first)
        return compose(first, ops.cast(second, first.dtype))

    def compute_output_shape(self, input_shape):
        first, second = require_two(input_shape, "[first, second]")
        _check_same(backend.static_shape(first), backend.static_shape(second))
        return input_shape[0]


@keras.saving.register_keras_serializable(package="mrlayers")
class InvertDisplacement(keras.layers.Layer):
    """The displacement that undoes another: `v(p) = -u(p + v(p))`, by fixed-point iteration.

    Args:
        iterations: at least 1. The error shrinks each time by the largest slope of the field (its Lipschitz constant, below 1
            where nothing folds by more than half): 10 are enough up to 0.4. Near the edge `u` is taken as constant outside.

    Call arguments:
        inputs: the displacement. The inverse of a velocity's is that of the negative velocity: exact, and cheaper.

    Input shape: `(batch, *size, ndim)` in voxels.

    Output shape: as the input, float32.

    Raises:
        ValueError: `iterations` is no whole number of at least 1, or the input no displacement field.

    References:
        Chen et al., A simple fixed-point approach to invert a deformation field, Medical Physics 35 (2008).
    """

    def __init__(self, iterations=10, **kwargs):
        require_integer("iterations", iterations, 1)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.iterations = iterations

    def call(self, inputs):
        require_displacement("inputs", backend.static_shape(inputs), known=True)
        return invert(as_coordinates(inputs), self.iterations)

    def compute_output_shape(self, input_shape):
        require_displacement("inputs", backend.static_shape(input_shape))
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(iterations=self.iterations)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class RescaleTransform(keras.layers.Layer):
    """A displacement field on a finer or coarser grid, interpolated linearly, its values in voxels of the new grid.

    Voxel 0 stays where it is: voxel `i` of the new grid lies at `i / factor` of the old one, as in VoxelMorph, and the last ones
    repeat the edge.

    Args:
        factor: above 0; 2 doubles every size and every value.

    Call arguments:
        inputs: the displacement, or a velocity.

    Input shape: `(batch, *size, ndim)` in voxels.

    Output shape: `(batch, *floor(size * factor), ndim)`, at least 1 in every axis; float32.

    Raises:
        ValueError: `factor` is not above 0, or the input no displacement field.
    """

    def __init__(self, factor, **kwargs):
        if not 0 < factor < math.inf:
            raise refusal("`factor` must be a finite number above 0", repr(factor), "2")
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        require_displacement("inputs", backend.static_shape(inputs), known=True)
        return rescale(as_coordinates(inputs), self.factor)

    def compute_output_shape(self, input_shape):
        shape = backend.static_shape(input_shape)
        require_displacement("inputs", shape)
        return (shape[0],) + tuple(_rescaled(length, self.factor) for length in shape[1:-1]) + (shape[-1],)

    def get_config(self):
        config = super().get_config()
        config.update(factor=self.factor)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class AffineToDense(keras.layers.Layer):
    """The displacement field of affine matrices about the centre: `u(p) = A (p - c) + c + t - p`, `c = (size - 1) / 2`.

    Args:
        shape: of the grid, one to three whole numbers.

    Call arguments:
        inputs: the matrices `[A | t]`, `t` in voxels.

    Input shape: `(batch, ndim, ndim + 1)`.

    Output shape: `(batch, *shape, ndim)`, float32.

    Raises:
        ValueError: `shape` is no grid, or the matrices have another number of axes.
    """

    def __init__(self, shape, **kwargs):
        whole = np.ndim(shape) == 1 and all(isinstance(length, (int, np.integer)) and length > 0 for length in shape)
        if not whole or not 1 <= len(shape) <= 3:
            raise refusal("`shape` must be one to three whole numbers above 0", repr(shape), "(160, 192, 224)")
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.shape = tuple(int(length) for length in shape)

    def call(self, inputs):
        self._check(backend.static_shape(inputs))
        return affine_to_dense(as_coordinates(inputs), self.shape)

    def compute_output_shape(self, input_shape):
        shape = backend.static_shape(input_shape)
        self._check(shape)
        return (shape[0],) + self.shape + (len(self.shape),)

    def _check(self, shape):
        expected = (len(self.shape), len(self.shape) + 1)
        if len(shape) != 3 or tuple(shape[1:]) != expected:
            advice = "matrix[None, :{}] of one homogeneous matrix".format(expected[0])
            raise refusal("`inputs` must be affine matrices (batch, {}, {})".format(*expected), describe(shape), advice)

    def get_config(self):
        config = super().get_config()
        config.update(shape=list(self.shape))
        return config


def _check_same(first, second, known=False):
    require_displacement("first", first, known)
    require_displacement("second", second, known)
    if not fits(second, first):
        raise refusal("`second` must have the shape of `first`, {}".format(tuple(first)), describe(second), "RescaleTransform")
