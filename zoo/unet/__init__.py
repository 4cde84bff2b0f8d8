"""U-Net: segmentation of images and volumes."""

from zoo.unet.network import unet, unet_medical, unet_mindspore
from zoo.unet.tiles import predict_tiles

__all__ = ["predict_tiles", "unet", "unet_medical", "unet_mindspore"]
