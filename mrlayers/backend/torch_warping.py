"""Linear interpolation on PyTorch: `grid_sample`, made exact on the lattice and parallel for a single sample.

The volume is padded to powers of two: only then do relative coordinates hold every voxel exactly, so that zero displacement is
the identity.
"""

import math

import torch

MOST_PARTS = 4  # of one sample: the gradient of the volume is kept once for each


def sample(volume, where, first):
    """Values of `volume` `(batch, *size, channels)` at `where` `(batch, *places, ndim)`: see `tensorflow_warping.sample`."""
    batch, *places, ndim = where.shape
    coordinates = [_coordinates(where, axis, first) for axis in range(ndim)]
    if ndim == 1:  # a line is a plane of width one
        volume, ndim, coordinates = volume[:, :, None], 2, coordinates + [torch.zeros_like(coordinates[0])]
    relative, padding = [], []
    for x, length in zip(coordinates, volume.shape[1:-1]):
        x = torch.where((x >= 0) & (x < length - 1), x, x.detach().clamp(0, length - 1))
        padded = 1 << (length - 1).bit_length()
        relative.insert(0, x * (2 / padded) + (1 / padded - 1))
        padding = [0, padded - length] + padding
    shape = places if len(places) == ndim else [math.prod(places)] + [1] * (ndim - 1)
    # On CPUs `grid_sample` gives each sample of a batch a thread: with one sample, parts of the grid take the place of others.
    parts = math.gcd(shape[0], min(torch.get_num_threads(), MOST_PARTS)) if batch == 1 and not where.is_cuda else 1
    grid = torch.stack(relative, -1).reshape([batch * parts, shape[0] // parts] + shape[1:] + [ndim])
    volume = torch.nn.functional.pad(volume.movedim(-1, 1), padding).expand([batch * parts] + [-1] * (ndim + 1))
    values = torch.nn.functional.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return values.movedim(1, -1).reshape([batch] + places + [volume.shape[1]])


def _coordinates(where, axis, first):
    x = where[..., axis]
    if first is None:
        return x
    places = torch.arange(first, first + where.shape[axis + 1], dtype=x.dtype, device=x.device)
    return x + places.view([-1] + [1] * (where.ndim - axis - 3))
