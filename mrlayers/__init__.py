"""Keras layers for MR imaging, on TensorFlow 1.15 and on Keras 3 (TensorFlow, JAX, PyTorch)."""

from mrlayers import metrics, sampling
from mrlayers.consistency import DataConsistency
from mrlayers.depth import StochasticDepth
from mrlayers.fourier import FFT, IFFT, TemporalFourier
from mrlayers.recurrence import BidirectionalConvRecurrent2D, ConvRecurrent2D
from mrlayers.sharing import DataSharing
from mrlayers.transforms import AffineToDense, ComposeTransform, InvertDisplacement, RescaleTransform, VecInt
from mrlayers.unet import ConvBlock, CropConcatenate, DownBlock, GroupNormalization, ResidualBlock, UpBlock
from mrlayers.warping import PointTransformer, SpatialTransformer

__version__ = "0.1.0"

__all__ = [
    "FFT",
    "IFFT",
    "AffineToDense",
    "BidirectionalConvRecurrent2D",
    "ComposeTransform",
    "ConvBlock",
    "ConvRecurrent2D",
    "CropConcatenate",
    "DataConsistency",
    "DataSharing",
    "DownBlock",
    "GroupNormalization",
    "InvertDisplacement",
    "PointTransformer",
    "RescaleTransform",
    "ResidualBlock",
    "SpatialTransformer",
    "StochasticDepth",
    "TemporalFourier",
    "UpBlock",
    "VecInt",
    "metrics",
    "sampling",
]
