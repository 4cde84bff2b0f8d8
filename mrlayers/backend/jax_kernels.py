"""Complex FFT on JAX. XLA fuses the packing, and its own gradient is as fast as a hand-written one (measured)."""

import jax
import jax.numpy as jnp


def fourier(x, axes, inverse):
    """Orthonormal FFT of pairs `(..., height, width, 2)` over `axes`, of which -3 is height and -2 width."""
    function = jnp.fft.ifftn if inverse else jnp.fft.fftn
    return _pairs(function(_complex(x), axes=[axis + 1 for axis in axes], norm="ortho"))


def fourier_projection(x, mask, axes):
    """`F^H mask F x` in one complex piece."""
    if axes == (-3,):  # XLA transforms innermost axes; to transpose pairs around it costs less than complex numbers inside
        return jnp.swapaxes(fourier_projection(jnp.swapaxes(x, -3, -2), jnp.swapaxes(mask, -3, -2), (-2,)), -3, -2)
    axes = [axis + 1 for axis in axes]
    return _pairs(jnp.fft.ifftn(jnp.fft.fftn(_complex(x), axes=axes) * mask[..., 0], axes=axes))


def _complex(x):
    return jax.lax.complex(x[..., 0], x[..., 1])


def _pairs(z):
    return jnp.stack([z.real, z.imag], axis=-1)
