"""Other people's linear interpolation as warps by a displacement in voxels, ready to be timed: one function a library."""

import numpy as np
import scipy.ndimage

from mrlayers.backend import RUNTIME, ops
from timing import ready

NAMES = ["neurite 0.2", "SciPy"] if RUNTIME == "tensorflow1" else ["grid_sample", "bare call", "SciPy", "Keras"]


def warps(arrays, to):
    """What warps `arrays = [moving, displacement, upstream]`, by name, with the gradients to the inputs of numbers `to`."""
    moving, displacement, upstream = arrays
    if RUNTIME == "tensorflow1":
        found = {"neurite 0.2": ready(_neurite, arrays, bool(to), to, 2)}
    else:
        first = [np.moveaxis(moving, -1, 1).copy(), displacement, np.moveaxis(upstream, -1, 1).copy()]
        found = {"grid_sample": ready(_grid_sample, first, bool(to), to, 2, "torch")}
        first[1] = _relative(displacement, np.stack, np.arange).astype("float32")
        found["bare call"] = ready(_bare_call, first, bool(to), to, 2, "torch")
        if not (to and RUNTIME == "torch"):  # where Keras has no gradient for it
            found["Keras"] = ready(_keras, arrays, bool(to), to, 2)
    if not to:
        found["SciPy"] = lambda: _scipy(moving, displacement)
    return found


def integrals(arrays, steps, to):
    """Scaling and squaring of `arrays = [velocity, upstream]`."""

    def squared(warp):
        def integrate(velocity, upstream):
            displacement = velocity / 2**steps
            for _ in range(steps):
                displacement = displacement + warp(displacement, displacement, None)
            return displacement

        return integrate

    def channels_first(displacement, *_):
        return _grid_sample(displacement.movedim(-1, 1), displacement, None).movedim(1, -1)

    if RUNTIME == "tensorflow1":
        return {"neurite 0.2": ready(squared(_neurite), arrays, bool(to), to, 1)}
    found = {"grid_sample": ready(squared(channels_first), arrays, bool(to), to, 1, "torch")}
    if not to:
        found["SciPy"] = lambda: squared(lambda volume, where, _: _scipy(volume, where))(arrays[0], None)
    return found


def _neurite(moving, displacement, upstream):
    import neurite
    import tensorflow as tf

    places = np.stack(np.meshgrid(*map(np.arange, moving.shape.as_list()[1:-1]), indexing="ij"), axis=-1).astype("float32")
    return neurite.utils.interpn(moving[0], displacement[0] + tf.constant(places))[None]


def _grid_sample(moving, displacement, upstream):
    """Channels first, as torch has them, so that nothing is transposed."""
    import torch

    return _bare_call(moving, _relative(displacement, torch.stack, torch.arange), upstream)


def _bare_call(moving, relative, upstream):
    import torch

    return torch.nn.functional.grid_sample(moving, relative, mode="bilinear", padding_mode="border", align_corners=True)


def _relative(displacement, stack, arange):
    """Coordinates from -1 to 1, the last axis first."""
    coordinates = []
    for axis, length in enumerate(displacement.shape[1:-1]):
        places = arange(length).reshape([-1] + [1] * (displacement.ndim - 3 - axis))
        coordinates.insert(0, (displacement[..., axis] + places) * (2 / (length - 1)) - 1)
    return stack(coordinates, -1)


def _scipy(moving, displacement):
    places = np.moveaxis(displacement[0], -1, 0) + np.indices(displacement.shape[1:-1], "float32")
    moved = [
        scipy.ndimage.map_coordinates(moving[0, ..., channel], places, order=1, mode="nearest")
        for channel in range(moving.shape[-1])
    ]
    return np.stack(moved, axis=-1)[None]


def _keras(moving, displacement, upstream):
    places = ops.transpose(displacement[0], (3, 0, 1, 2)) + ops.convert_to_tensor(
        np.indices(displacement.shape[1:-1], "float32")
    )
    moved = [
        ops.image.map_coordinates(moving[0, ..., channel], places, order=1, fill_mode="nearest")
        for channel in range(moving.shape[-1])
    ]
    return ops.stack(moved, axis=-1)[None]
