"""The published data consistency, in each framework's own complex numbers: FFT2 of prediction and reference, blend, inverse FFT2.

This is the formulation of Ascend ModelZoo's CascadeNet with a blend of 1, restated for each framework; `mask` has the full size.
"""

from mrlayers.backend import RUNTIME


def published(image, reference, mask):
    """`F^-1[F(image) (1 - mask) + F(reference) mask]` on pairs."""
    return globals()["_" + RUNTIME](image, reference, mask)


def _tensorflow(image, reference, mask):
    import tensorflow as tf

    mask = tf.cast(mask[..., 0], tf.complex64)
    predicted, measured = [tf.signal.fft2d(tf.complex(x[..., 0], x[..., 1])) for x in (image, reference)]
    result = tf.signal.ifft2d(predicted * (1 - mask) + measured * mask)
    return tf.stack([tf.math.real(result), tf.math.imag(result)], axis=-1)


_tensorflow1 = _tensorflow


def _jax(image, reference, mask):
    import jax
    import jax.numpy as jnp

    predicted, measured = [jnp.fft.fft2(jax.lax.complex(x[..., 0], x[..., 1])) for x in (image, reference)]
    result = jnp.fft.ifft2(predicted * (1 - mask[..., 0]) + measured * mask[..., 0])
    return jnp.stack([result.real, result.imag], axis=-1)


def _torch(image, reference, mask):
    import torch

    predicted, measured = [torch.fft.fft2(torch.view_as_complex(x)) for x in (image, reference)]
    return torch.view_as_real(torch.fft.ifft2(predicted * (1 - mask[..., 0]) + measured * mask[..., 0]))
