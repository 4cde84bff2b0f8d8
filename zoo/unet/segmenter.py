"""A trained network from the file of its weights, and what it says of whole images: prepared, tiled and brought back to size."""

import os

import numpy as np
import scipy.ndimage

from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer
from zoo import training
from zoo.files import existing
from zoo.runs import read_arguments
from zoo.unet.data import to_input
from zoo.unet.network import unet, unet_medical, unet_mindspore
from zoo.unet.reading import OVER_WHOLE_PIXELS, resize_image
from zoo.unet.tiles import predict_tiles

LARGEST_WHOLE = {2: 1024**2, 3: 160**3}  # pixels of an image that is predicted without tiles
TILE = {2: 512, 3: 128}
BORDER, SMALLEST_OUTPUT = 92, 4  # of valid convolutions with four levels; outputs are 4, 20, 36 ... 388 ... pixels
WHAT_MAKES_A_NETWORK = ("network", "filters", "depth", "up", "normalization", "dropout", "num_classes", "channels", "ndim")


def build(sizes, settings):
    """The network of a run for images of these sizes, a `keras.Model` to logits.

    Args:
        sizes: of the input, `(height, width)` or `(depth, height, width)`; `None` where the images tell (`network="unet"` only).
        settings: dict of a run, with `network`, `filters`, `depth`, `up`, `normalization`, `dropout`, `num_classes`, `channels`.
    """
    shape = tuple(sizes) + (settings["channels"],)
    if settings["network"] == "unet":
        names = ("filters", "depth", "up", "dropout", "normalization")
        return unet(shape, settings["num_classes"], **{name: settings[name] for name in names})
    published = {"unet_mindspore": unet_mindspore, "unet_medical": unet_medical}[settings["network"]]
    return published(shape, settings["num_classes"], settings["filters"])


def margin(settings):
    """By how much an input reaches beyond its output at each side: 92 for the published networks, 0 for `unet`."""
    return 0 if settings["network"] == "unet" else BORDER


class Segmenter:
    """Class probabilities of images of any size, by the network in a file of weights.

    Args:
        weights: `.npz` of a run, whose `arguments.json` lies beside it.

    Attributes:
        settings: dict, with which the run began.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no run of a segmentation beside it, or weights of another network; the arrays that differ are named.
    """

    def __init__(self, weights):
        self.settings = read_arguments(existing(weights))
        missing = [name for name in WHAT_MAKES_A_NETWORK if name not in self.settings]
        if missing:
            path = os.path.join(os.path.dirname(os.path.abspath(weights)), "arguments.json")
            raise refusal(
                "`weights` must lie in the folder of a run, beside the `arguments.json` that says which network they are of",
                "%s, with no %s in %s" % (weights, missing[0], path),
                "best.npz or last.npz in the folder that `train_unet.py` wrote",
            )
        self.weights = weights
        self._networks = {}
        self._network(((self._largest_tile(None) if margin(self.settings) else None),) * self.settings["ndim"])

    def predict(self, image, tile=None, progress=None):
        """Probabilities of one image.

        Images up to 1024x1024 or 160x160x160 are seen whole by networks that keep the size, larger ones in tiles of 512 and
        128; networks of valid convolutions always see tiles, of 572 at most. Beyond its border an image is mirrored, or zero
        for a run with `surroundings="zero"`.

        Args:
            image: float32 `(height, width, channels)` or `(x, y, z, channels)` in 0..1.
            tile: what the network sees at once, in pixels: one integer for all axes, or one for each.
            progress: as of `predict_tiles`.

        Returns:
            float32 of the image's size, `(height, width, classes)` or `(x, y, z, classes)`, adding up to 1.

        Raises:
            ValueError: an image of another kind, or a tile that does not fit.
        """
        settings, sizes = self.settings, image.shape[:-1]
        if image.ndim != settings["ndim"] + 1 or image.shape[-1] != settings["channels"]:
            received = "%d-D with %d channels" % (image.ndim - 1, image.shape[-1])
            expected = "`image` must be as in training, %d-D with %d channels" % (settings["ndim"], settings["channels"])
            raise refusal(expected, received, "a network that was trained with such images")
        if settings["resize"]:
            image = resize_image(image, (settings["resize"],) * settings["ndim"])
        border = margin(settings)
        seen = to_input(image)
        zeros = settings["surroundings"] == "zero" and border
        if zeros:
            seen = np.pad(seen, [(border, border)] * settings["ndim"] + [(0, 0)], mode="constant")
        tiles = self._tiles(image.shape[:-1], tile, border)
        network = self._network(tiles["tile"] if border else (None,) * settings["ndim"])
        if zeros and tiles["tile"] == seen.shape[:-1]:
            result = np.asarray(network.predict_on_batch(seen[np.newaxis]))[0]
        else:
            result = predict_tiles(network, seen, progress=progress, **tiles)
            if zeros:
                result = result[(slice(border, -border),) * settings["ndim"]]
        if settings["resize"]:
            factors = [new / old for new, old in zip(sizes, result.shape)] + [1]
            result = scipy.ndimage.zoom(result, factors, order=1, **OVER_WHOLE_PIXELS)
        return result

    def _tiles(self, sizes, tile, border):
        """Arguments for `predict_tiles`: as few tiles as memory allows, and nothing that a tile's border changed."""
        given = tile is not None
        tile = (tile,) * len(sizes) if given and np.isscalar(tile) else tile
        if given and len(tile) != len(sizes):
            raise refusal("`tile` must be one number or %d" % len(sizes), repr(tile), "tile=%d" % tile[0])
        for size in tile or ():
            require_integer("tile", size, 1)
        if border:
            if not given:
                tile = tuple(self._largest_tile(size) for size in sizes)
            return {"tile": tuple(tile), "multiple": 16, "margin": 15 if self.settings["network"] == "unet_medical" else 0}
        if given and any(one > size for one, size in zip(tile, sizes)):
            raise refusal(
                "`tile` must not be larger than the image, %s" % "x".join(map(str, sizes)), "x".join(map(str, tile)), "no tile"
            )
        if not given:
            whole = np.prod(sizes) <= LARGEST_WHOLE[len(sizes)]
            tile = sizes if whole else tuple(min(size, TILE[len(sizes)]) for size in sizes)
        multiple = 2 ** self.settings["depth"]
        # What is invented beyond a border reaches so far, see `predict_tiles`; small tiles cannot spare that much.
        reach = (6 if self.settings["up"] == "transpose2" else 7) * multiple
        margins = tuple(0 if one == size else min(reach, one // 4) for one, size in zip(tile, sizes))
        multiples = tuple(1 if one == size else multiple for one, size in zip(tile, sizes))
        return {"tile": tuple(tile), "margin": margins, "multiple": multiples}

    def _largest_tile(self, size):
        """The largest input of valid convolutions, 572 at most, whose output is no larger than the image."""
        output = 388 if size is None else min(388, size)
        if output < SMALLEST_OUTPUT:
            raise refusal("`image` must have %d pixels or more along every axis" % SMALLEST_OUTPUT, size, "a larger image")
        return output - (output - SMALLEST_OUTPUT) % 16 + 2 * BORDER

    def _network(self, sizes):
        if sizes not in self._networks:
            model = build(sizes, self.settings)
            training.load_weights(model, self.weights)
            self._networks[sizes] = keras.Model(model.input, keras.layers.Softmax(name="probabilities")(model.output))
        return self._networks[sizes]
