"""Losses for registration and segmentation: each a `keras.losses.Loss` that returns one value for every sample of a batch.

Tensors are `(batch, *volume, channels)` with a volume of one, two or three axes. Everything is computed in float32 whatever the
mixed-precision policy. Bad shapes and arguments are refused with a `ValueError`.
"""

from mrlayers.losses.combined import DiceCrossEntropy
from mrlayers.losses.diffeomorphic import KL
from mrlayers.losses.entropy import CrossEntropy, Focal
from mrlayers.losses.information import MutualInformation
from mrlayers.losses.overlap import Dice, Tversky
from mrlayers.losses.similarity import MSE, NCC
from mrlayers.losses.smoothness import BendingEnergy, Gradient

__all__ = [
    "BendingEnergy",
    "CrossEntropy",
    "Dice",
    "DiceCrossEntropy",
    "Focal",
    "Gradient",
    "KL",
    "MSE",
    "MutualInformation",
    "NCC",
    "Tversky",
]
