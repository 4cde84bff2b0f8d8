"""Metrics by named definitions, in NumPy: the field prints different numbers under one name, so each one here has its own.

`images` holds the quality of reconstructed images, `labels` the agreement of label maps and of landmarks, `deformations` what a
displacement field does to space. `DEFINITIONS` lists the names for every metric that has several; the first is its default.
"""

from mrlayers.metrics import deformations, images, labels
from mrlayers.metrics.deformations import jacobian_determinant, jacobian_statistics
from mrlayers.metrics.images import complex_psnr, mse, nmse, psnr, ssim
from mrlayers.metrics.labels import dice, hd95, target_registration_error

__all__ = [
    "DEFINITIONS",
    "complex_psnr",
    "dice",
    "hd95",
    "jacobian_determinant",
    "jacobian_statistics",
    "mse",
    "nmse",
    "psnr",
    "ssim",
    "target_registration_error",
]

DEFINITIONS = {**images.DEFINITIONS, **labels.DEFINITIONS, **deformations.DEFINITIONS}
