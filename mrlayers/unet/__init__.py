"""U-Net blocks in two and three dimensions: convolutions, the way down, the way up, and the skips between them."""

from mrlayers.unet.convolutions import ConvBlock, ResidualBlock
from mrlayers.unet.levels import CropConcatenate, DownBlock, UpBlock
from mrlayers.unet.normalization import GroupNormalization

__all__ = ["ConvBlock", "CropConcatenate", "DownBlock", "GroupNormalization", "ResidualBlock", "UpBlock"]
