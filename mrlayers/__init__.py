"""Keras layers for MR imaging, on TensorFlow 1.15 and on Keras 3 (TensorFlow, JAX, PyTorch)."""

from mrlayers import metrics, sampling
from mrlayers.consistency import DataConsistency
from mrlayers.fourier import FFT, IFFT

__version__ = "0.1.0"

__all__ = ["FFT", "IFFT", "DataConsistency", "metrics", "sampling"]
