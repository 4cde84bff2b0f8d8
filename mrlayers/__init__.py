"""Keras layers for MR imaging, on TensorFlow 1.15 and on Keras 3 (TensorFlow, JAX, PyTorch)."""


from mrlayers.consistency import DataConsistency
from mrlayers.fourier import FFT, IFFT

__version__ = "0.1.0"

__all__ = ["DataConsistency", "FFT", "IFFT", "metrics", "sampling"]
