"""Between complex NumPy arrays and the (real, imaginary) pairs that layers and files use."""

import numpy as np

from mrlayers.checks import refusal


def to_pairs(images):
    """Complex `(...)` to float32 pairs `(..., 2)`; complex64 is not copied, the pairs share its memory."""
    images = np.ascontiguousarray(images, np.complex64)
    return images.view(np.float32).reshape(images.shape + (2,))


def to_complex(pairs):
    """Real pairs `(..., 2)` to complex64 `(...)`; float32 is not copied, the result shares its memory."""
    pairs = np.asarray(pairs)
    if pairs.dtype.kind == "c" or not pairs.ndim or pairs.shape[-1] != 2:
        raise refusal("`pairs` must be real with a last axis of 2", "%s %s" % (pairs.dtype, pairs.shape), "to_pairs(images)")
    return np.ascontiguousarray(pairs, np.float32).view(np.complex64)[..., 0]
