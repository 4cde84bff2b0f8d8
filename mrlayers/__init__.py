"""Keras layers for MR imaging, on TensorFlow 1.15 and on Keras 3 (TensorFlow, JAX, PyTorch)."""

from mrlayers import metrics, sampling
from mrlayers.consistency import DataConsistency
from mrlayers.fourier import FFT, IFFT
from mrlayers.transforms import AffineToDense, ComposeTransform, InvertDisplacement, RescaleTransform, VecInt
from mrlayers.unet import ConvBlock, CropConcatenate, DownBlock, GroupNormalization, ResidualBlock, UpBlock
from mrlayers.warping import PointTransformer, SpatialTransformer

__version__ = "0.1.0"

__all__ = [
    "FFT",
    "IFFT",
    "AffineToDense",
    "ComposeTransform",
    "ConvBlock",
    "CropConcatenate",
    "DataConsistency",
    "DownBlock",
    "GroupNormalization",
    "InvertDisplacement",
    "PointTransformer",
    "RescaleTransform",
    "ResidualBlock",
    "SpatialTransformer",
    "UpBlock",
    "VecInt",
    "metrics",
    "sampling",
]
