"""Complex FFT on TensorFlow, 1.15 and 2: the code that both generations share."""

import tensorflow as tf


def transform(x, axes, inverse, widen=False):
    """Orthonormal FFT of pairs `(..., height, width, 2)` over `axes`, of which -3 is height and -2 width.

    `widen` computes in double precision: the FFT of TensorFlow 1.15 loses two digits at lengths that are no power of two.
    """
    dtype = x.dtype.base_dtype
    wide = tf.float64 if widen else dtype
    last = axes[0] == -3 and len(axes) == 1
    if last:
        x = swap(x)
    x = tf.cast(x, wide)
    z = tf.complex(x[..., 0], x[..., 1])
    z = _FFT[len(axes), inverse](z)
    lengths = tf.shape(z)[-len(axes) :]
    scale = tf.sqrt(tf.cast(tf.reduce_prod(lengths), wide))
    scale = scale if inverse else 1.0 / scale
    y = tf.cast(tf.stack([tf.math.real(z), tf.math.imag(z)], axis=-1) * scale, dtype)
    return swap(y) if last else y


def projection(x, mask, axes, widen=False):
    """`F^H mask F x` in one complex piece: no packing between the transforms, and the scales cancel."""
    dtype = x.dtype.base_dtype
    wide = tf.float64 if widen else dtype
    last = axes[0] == -3 and len(axes) == 1
    if last:
        x, mask = swap(x), swap(mask)
    x = tf.cast(x, wide)
    gain = tf.cast(mask[..., 0], tf.complex128 if wide == tf.float64 else tf.complex64)
    z = _FFT[len(axes), False](tf.complex(x[..., 0], x[..., 1]))
    z = _FFT[len(axes), True](z * gain)
    y = tf.cast(tf.stack([tf.math.real(z), tf.math.imag(z)], axis=-1), dtype)
    return swap(y) if last else y


def swap(x):
    """`x` with height and width exchanged: TensorFlow transforms innermost axes only."""
    rank = x.shape.rank
    return tf.transpose(x, list(range(rank - 3)) + [rank - 2, rank - 3, rank - 1])


def self_adjoint(project):
    """`project(x, mask)` with its own gradient, `project(gradient, mask)`: one projection instead of two plain transforms."""

    @tf.custom_gradient
    def function(x, mask):
        def gradient(upstream):
            return function(upstream, mask), None

        return project(x, mask), gradient

    return function


_FFT = {
    (1, False): tf.signal.fft,
    (1, True): tf.signal.ifft,
    (2, False): tf.signal.fft2d,
    (2, True): tf.signal.ifft2d,
}
