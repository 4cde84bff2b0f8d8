"""Metrics by named definitions, in NumPy: the field prints different numbers under one name, so each one here has its own.

`images` holds the quality of reconstructed images, `labels` the agreement of label maps and of landmarks, `segmentation` more
for the cells, classes and pixels of segmented images, `deformations` what a displacement field does to space. `DEFINITIONS` lists the names for every metric that has several; the first is its default.
"""

from mrlayers.metrics import deformations, images, labels, segmentation
from mrlayers.metrics.deformations import jacobian_determinant, jacobian_statistics
from mrlayers.metrics.images import complex_psnr, mse, nmse, psnr, ssim
from mrlayers.metrics.labels import dice, hd95, target_registration_error
from mrlayers.metrics.segmentation import (
    adapted_rand_error,
    connected_components,
    iou,
    pixel_error,
    soft_dice,
    variation_of_information,
)

__all__ = [
    "DEFINITIONS",
    "adapted_rand_error",
    "complex_psnr",
    "connected_components",
    "dice",
    "hd95",
    "iou",
    "jacobian_determinant",
    "jacobian_statistics",
    "mse",
    "nmse",
    "pixel_error",
    "psnr",
    "soft_dice",
    "ssim",
    "target_registration_error",
    "variation_of_information",
]

DEFINITIONS = {**images.DEFINITIONS, **labels.DEFINITIONS, **segmentation.DEFINITIONS, **deformations.DEFINITIONS}
