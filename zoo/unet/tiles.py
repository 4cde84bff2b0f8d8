"""Prediction of images of any size, tile by tile: mirrored borders, blended tiles, bounded memory. NumPy around any model."""

import itertools

import numpy as np

from mrlayers.checks import refusal, require_integer


def predict_tiles(predict, image, tile, overlap=0, margin=0, multiple=1, batch_size=1, progress=None):
    """What a network says of an image, from tiles that it can take.

    Tiles stand in a grid that begins at the first pixel; what they see beyond the image is its mirror image. The output of a
    tile belongs to its middle: a network of valid convolutions sees the rest as surroundings only. Where outputs overlap they
    are blended, with weights that fall off linearly and add up to 1. In memory there are the image, the result and
    one batch of tiles; the image may be a `numpy.memmap`.

    The result equals a prediction of the whole mirrored image up to rounding when `multiple` is a multiple of `2**depth`
    (shifted by anything else, a U-Net pools other pixels together) and `margin` holds off what the network invents beyond a
    tile's border. Networks of valid convolutions invent nothing, but for `unet_medical` (15 pixels). With `padding="same"` it
    takes `6 * 2**depth` pixels, 7 times with `up="transpose3"` or `"nearest"`. Instance and group normalization see
    one tile at a time, and so differ from the whole image in any case.

    Args:
        predict: a Keras model of one input and one output, or a function from arrays `(batch,) + tile + (channels,)` to arrays
            `(batch,) + sizes + (classes,)`. A function is called once more than there are batches, to learn its `sizes`.
        image: `(height, width, channels)` or `(depth, height, width, channels)`.
        tile: sizes of a tile in pixels, such as `(572, 572)`, or one size for all axes.
        overlap: by how many pixels neighbouring outputs overlap at least, one number or one for each axis.
        margin: how many pixels of an output are left out at each side, one number or one for each axis.
        multiple: the distance from tile to tile is a multiple of it, one number or one for each axis.
        batch_size: tiles in one call. Every call has as many: the last one is filled up.
        progress: a function `progress(done, total)` that is called after every batch with numbers of tiles.

    Returns:
        `(height, width, classes)` or `(depth, height, width, classes)`, float32.

    Raises:
        ValueError: sizes that do not fit the image or each other: each says which.
    """
    image = np.asanyarray(image)
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise refusal(
            "`image` must have the shape (height, width, channels) or (depth, height, width, channels)",
            image.shape,
            "`image[..., numpy.newaxis]` for one channel, or one image after the other",
        )
    sizes = image.shape[:-1]
    tile, overlap, margin, multiple = [
        _for_each_axis(name, value, len(sizes), least)
        for name, value, least in [("tile", tile, 1), ("overlap", overlap, 0), ("margin", margin, 0), ("multiple", multiple, 1)]
    ]
    require_integer("batch_size", batch_size, 1)
    call = getattr(predict, "predict_on_batch", predict)
    output = _output_shape(predict, call, (batch_size,) + tile + image.shape[-1:])
    axes = [_Axis(*numbers) for numbers in zip(sizes, tile, output[1:-1], overlap, margin, multiple)]

    result = np.zeros(sizes + output[-1:], "float32")
    positions = list(itertools.product(*[range(axis.number) for axis in axes]))
    for first in range(0, len(positions), batch_size):
        some = positions[first : first + batch_size]
        filled = some + some[-1:] * (batch_size - len(some))
        seen = [image[np.ix_(*[axis.pixels(index) for axis, index in zip(axes, position)])] for position in filled]
        for position, values in zip(some, np.asarray(call(np.stack(seen).astype("float32", copy=False)))):
            _add(result, values, [axis.part(index) for axis, index in zip(axes, position)])
        if progress:
            progress(first + len(some), len(positions))
    return result


class _Axis:
    """Where tiles stand along one axis, what they see, and how much their outputs count."""

    def __init__(self, size, tile, output, overlap, margin, multiple):
        used = output - 2 * margin
        self.step = (used - overlap) // multiple * multiple
        if used < 1 or self.step < 1:
            raise refusal(
                "`tile` must give more pixels than `overlap` and two margins take, by at least `multiple`",
                "tile %d, which gives %d, overlap %d, margin %d, multiple %d" % (tile, output, overlap, margin, multiple),
                "a larger tile",
            )
        if used > size:
            raise refusal(
                "`tile` must not be larger than the image: it may give no more pixels than the image has along any axis",
                "tile %d, which gives %d, for a size of %d" % (tile, used, size),
                "a smaller tile, or an image enlarged by `numpy.pad(image, ..., mode='reflect')`",
            )
        self.size, self.tile, self.margin, self.used = size, tile, margin, used
        self.border = (tile - output) // 2 + margin
        self.number = 1 + max(0, -(-(size - used) // self.step))
        ramp = np.minimum(1.0, np.arange(1, used + 1) / (used - self.step + 1.0))
        self.weights = ramp * ramp[::-1]
        total = np.zeros((self.number - 1) * self.step + used)
        for index in range(self.number):
            total[index * self.step : index * self.step + used] += self.weights
        self.total = total

    def pixels(self, index):
        """What the tile sees: indices into the image, mirrored at its first and last pixel as often as it takes."""
        period = max(2 * self.size - 2, 1)
        where = (np.arange(self.tile) + index * self.step - self.border) % period
        return np.minimum(where, period - where) if self.size > 1 else where

    def part(self, index):
        """Where in the image its output lies, which part of the output that is, and weights that add up to 1 over all tiles."""
        first = index * self.step
        last = min(first + self.used, self.size)
        weights = self.weights[: last - first] / self.total[first:last]
        return slice(first, last), slice(self.margin, self.margin + last - first), weights.astype("float32")


def _add(result, values, parts):
    """Blends one output into the result."""
    values = values[tuple(inside for _, inside, _ in parts)]
    for axis, (_, _, weights) in enumerate(parts):
        values = values * weights.reshape((-1,) + (1,) * (values.ndim - axis - 1))
    result[tuple(where for where, _, _ in parts)] += values


def _output_shape(predict, call, shape):
    """Of a batch of tiles."""
    expected = getattr(predict, "input_shape", None)
    if expected is not None:
        if len(expected) != len(shape) or any(known not in (None, size) for known, size in zip(expected[1:], shape[1:])):
            raise refusal(
                "`tile` and the image's channels must be the model's input, %s" % (tuple(expected[1:]),),
                "tiles of %s" % (shape[1:],),
                "tile=%s" % (tuple(expected[1:-1]),),
            )
        output = tuple(predict.compute_output_shape(shape))
    else:
        output = np.shape(call(np.zeros(shape, "float32")))
    output = tuple(int(size) for size in output)
    if len(output) != len(shape) or any(
        (before - after) % 2 or after > before for before, after in zip(shape[1:-1], output[1:-1])
    ):
        raise refusal(
            "`predict` must give an image for every tile, as large or smaller by the same number of pixels on both sides",
            "%s for %s" % (output, shape),
            "a model such as `unet`",
        )
    return output


def _for_each_axis(name, value, ndim, least):
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * ndim
    if len(values) != ndim:
        raise refusal(
            "`%s` must be one number or %d of them, one for each axis of the image" % (name, ndim),
            repr(value),
            "%s=%r" % (name, values[0]),
        )
    for number in values:
        require_integer(name, number, least)
    return values
