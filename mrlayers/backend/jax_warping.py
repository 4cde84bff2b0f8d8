"""Linear interpolation on JAX. Its own gradient would keep eight corners a place and scatter eight times; this one keeps nothing."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def sample(volume, where, first):
    """Values of `volume` `(batch, *size, channels)` at `where` `(batch, *places, ndim)`: see `tensorflow_warping.sample`."""
    return _sample(volume, where, first)


@functools.partial(jax.jit, static_argnums=2)
def _sample(volume, where, first):
    index, fractions, _ = _cells(volume, where, first)
    values = _corners(volume, index)
    for fraction in reversed(fractions):
        values = [_between(fraction, low, high) for low, high in zip(values[::2], values[1::2])]
    return values[0]


def _forward(volume, where, first):
    return _sample(volume, where, first), (volume, where)


@functools.partial(jax.jit, static_argnums=0)
def _backward(first, kept, upstream):
    # Behind a barrier the corners are gathered again: shared with the forward pass, they would be written out and read back.
    volume, where = jax.lax.optimization_barrier(kept)
    index, fractions, inside = _cells(volume, where, first)
    return _gradient_volume(volume, index, fractions, upstream), _gradient_where(volume, index, fractions, inside, upstream)


sample.defvjp(_forward, _backward)


def _gradient_where(volume, index, fractions, inside, upstream):
    values, slopes = _corners(volume, index), []
    for fraction in reversed(fractions):
        slopes = [[_between(fraction, low, high) for low, high in zip(s[::2], s[1::2])] for s in slopes]
        slopes.insert(0, [high - low for low, high in zip(values[::2], values[1::2])])
        values = [_between(fraction, low, high) for low, high in zip(values[::2], values[1::2])]
    gradients = []
    for move, (slope,) in zip(inside, slopes):
        product = upstream * slope
        # Channel by channel: XLA's reduction over a short last axis is twenty times slower on CPUs.
        gradients.append(jnp.where(move, sum(product[..., channel] for channel in range(product.shape[-1])), 0))
    return jnp.stack(gradients, axis=-1)


def _gradient_volume(volume, index, fractions, upstream):
    weights = [upstream]
    for fraction in fractions:
        weights = [part for weight in weights for part in ((1 - fraction) * weight, fraction * weight)]
    channels = volume.shape[-1]
    total = jnp.zeros((volume.size // channels, channels), upstream.dtype)
    for distance, weight in zip(_distances(volume), weights):
        total = total.at[(index + distance).reshape(-1)].add(weight.reshape(-1, channels), mode="promise_in_bounds")
    return total.reshape(volume.shape)


def _cells(volume, where, first):
    """Index of the lowest corner of the cell around each place, the fractions, and where a place moves inside the volume."""
    size = volume.shape[1:-1]
    rank = where.ndim - 1
    index = (jnp.arange(volume.shape[0], dtype="int32") * int(np.prod(size))).reshape([-1] + [1] * (rank - 1))
    fractions, inside = [], []
    for axis, (length, stride) in enumerate(zip(size, _strides(size))):
        x = where[..., axis]
        if first is not None:
            x = x + (first + jnp.arange(where.shape[axis + 1], dtype=x.dtype)).reshape([-1] + [1] * (rank - axis - 2))
        clipped = jnp.clip(x, 0, length - 1)
        lowest = jnp.minimum(jnp.floor(clipped), max(length - 2, 0))
        index = index + lowest.astype("int32") * stride
        fractions.append((clipped - lowest)[..., None])
        inside.append((x >= 0) & (x < length - 1))
    return index, fractions, inside


def _corners(volume, index):
    flat = volume.reshape(-1, volume.shape[-1])
    return [flat.at[index + distance].get(mode="promise_in_bounds") for distance in _distances(volume)]


def _distances(volume):
    return [sum(corner) for corner in itertools.product(*[(0, stride) for stride in _strides(volume.shape[1:-1])])]


def _strides(size):
    return [int(np.prod(size[axis + 1 :])) * (length > 1) for axis, length in enumerate(size)]


def _between(fraction, low, high):
    return (1 - fraction) * low + fraction * high
