"""The Fourier transform as products with real matrices: no complex number, and safe from half precision where that is asked for."""

import functools

import numpy as np

from mrlayers import backend
from mrlayers.backend import ops
from mrlayers.checks import describe

SPLIT = 2.0**11  # what half precision resolves: the second half is scaled up to the first


def multiply_width(x, inverse, centered_from, centered_to, engine):
    """`(..., width, 2)` seen as rows of `2 * width` real numbers, times a constant matrix."""
    arguments = _width(x), inverse, centered_from, centered_to, backend.dtype_name(x)
    rows = ops.reshape(x, (-1, 2 * arguments[0]))
    rows = _split_product(rows, *arguments) if engine == "split" else backend.matrix_product(rows, real_dft_matrix(*arguments))
    return ops.reshape(rows, _shape_with_one_unknown(x))


def _split_product(rows, length, inverse, centered_from, centered_to, dtype):
    """Rows and matrix as sums of two halves that half precision can hold, of whose four products the smallest is left out."""
    high_matrix, low_matrix = _halves(length, inverse, centered_from, centered_to, dtype)

    @ops.custom_gradient
    def product(rows):
        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            return _split_product(upstream, length, not inverse, centered_to, centered_from, dtype)

        high = ops.cast(ops.cast(rows, "float16"), dtype)
        low = (rows - high) * SPLIT
        small = backend.matrix_product(high, low_matrix) + backend.matrix_product(low, high_matrix)
        return backend.matrix_product(high, high_matrix) + small / SPLIT, gradient

    return product(rows)


@functools.lru_cache(maxsize=64)
def _halves(*arguments):
    matrix = real_dft_matrix(*arguments)
    high = matrix.astype("float16").astype(matrix.dtype)
    return high, (matrix - high) * matrix.dtype.type(SPLIT)


def _shape_with_one_unknown(x):
    shape = list(backend.static_shape(x))
    if shape.count(None) > 1:
        return ops.shape(x)
    return [-1 if size is None else size for size in shape]


def _width(x):
    width = backend.static_shape(x)[-2]
    if width is None:
        raise ValueError(
            "`engine` must be 'fft' where a size is not known in advance. Received: 'matmul' for {}. "
            "Try `keras.Input` with the full image shape.".format(describe(backend.static_shape(x)))
        )
    return width


@functools.lru_cache(maxsize=64)
def real_dft_matrix(length, inverse=False, centered_from=False, centered_to=False, dtype="float64"):
    """The orthonormal DFT as a real array `(2 * length, 2 * length)` that multiplies rows of pairs from the right.

    A complex entry `a + ib` becomes the block `[[a, b], [-b, a]]`; `centered_from` and `centered_to` fold the shifts of the
    incoming and of the outgoing axis into the order of rows and columns.
    """
    index = np.arange(length)
    # The product modulo the length keeps the angle small, so that sine and cosine are exact to the last digit.
    angle = (2.0 if inverse else -2.0) * np.pi * (np.outer(index, index) % length) / length
    entries = np.exp(1j * angle) / np.sqrt(length)
    if centered_from:
        entries = np.fft.fftshift(entries, axes=0)
    if centered_to:
        entries = np.fft.fftshift(entries, axes=1)
    blocks = np.empty((length, 2, length, 2))
    blocks[:, 0, :, 0] = blocks[:, 1, :, 1] = entries.real
    blocks[:, 0, :, 1] = entries.imag
    blocks[:, 1, :, 0] = -entries.imag
    return blocks.reshape(2 * length, 2 * length).astype(dtype)
