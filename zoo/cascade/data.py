"""Undersampled images and series for the cascades, in batches that a seed repeats to the last line. No Keras here.

Complex images are complex64 `(n, height, width)`, series of them `(n, time, height, width)`; where a model begins they become
float32 pairs, with a last axis of 2. k-space is orthonormal with zero frequency at index 0. A mask is 1 where k-space was
measured: `(height, 1, 1)` for lines, `(time, height, 1, 1)` for lines that change from frame to frame.
"""

import functools
import math

import numpy as np
import scipy.fft

from mrlayers import sampling
from mrlayers.checks import refusal, require_choice, require_integer
from mrlayers.complexes import to_complex, to_pairs
from zoo.cascade.packed import stored_mask

PATTERNS = ("random", "shear")


def lines_of_images(shape, acceleration, center_lines, stored=None):
    """What `UndersampledImages` takes as `mask_function` for images of this shape.

    Args:
        shape: `(height, width)`.
        acceleration: lines in an image over lines measured.
        center_lines: around zero frequency, always measured.
        stored: HDF5 file of ModelZoo with `mask`: the one mask for all images, instead of a new one for each.

    Raises:
        ValueError: as `packed.stored_mask`; when called, as `sampling.cartesian_mask`.
    """
    if stored:
        return stored_mask(stored)
    return functools.partial(sampling.cartesian_mask, shape, acceleration, center_lines)


def lines_of_frames(pattern, shape, acceleration, center_lines):
    """What `UndersampledImages` takes as `mask_function` for series of this shape: lines that change from frame to frame.

    Args:
        pattern: `"random"`: each frame draws its own lines, as in `sampling.cartesian_mask`. `"shear"`: a lattice that moves up by one
            line per frame, as in `sampling.kt_shear_mask`; the acceleration must be a whole number then.
        shape: `(time, height, width)`.
        acceleration: lines in a frame over lines measured; of `"shear"` without those of the centre.
        center_lines: around zero frequency, always measured.

    Raises:
        ValueError: when called, as the masks do; here for another `pattern`, or an acceleration that is no whole number.
    """
    require_choice("pattern", pattern, PATTERNS)
    if pattern == "shear":
        if not float(acceleration).is_integer():
            raise refusal("`acceleration` must be a whole number for a lattice", acceleration, "4, or `pattern='random'`")
        acceleration = int(acceleration)
    draw = sampling.kt_shear_mask if pattern == "shear" else sampling.cartesian_mask
    return functools.partial(draw, shape, acceleration, center_lines)


def undersample(images, masks, noise_level=0.0, random=None):
    """What a scan that measures only `masks` would give: `kspace = masks (F images + noise)`, `image = F^H kspace`.

    Args:
        images: Complex or real `(n, height, width)`, or series `(n, time, height, width)`.
        masks: `(n or 1, height or 1, width or 1, 1)` of 0 and 1, zero frequency at index 0. For series
            `(n or 1, time or 1, height or 1, width or 1, 1)`; where the axis of time is 1, all frames share a mask.
        noise_level: Standard deviation of the Gaussian noise in the real and in the imaginary part of each k-space sample. As `F`
            is orthonormal it is also that of the noise in a fully sampled image, so for a peak of 1 it is a fraction of it.
        random: `numpy.random.RandomState` for the noise; needed when `noise_level` is above 0.

    Returns:
        `(image, kspace)`, float32 pairs `images.shape + (2,)` each: the zero-filled images and their k-space.

    Raises:
        ValueError: When shapes do not match, or `noise_level` or `random` is out of range.
    """
    images = np.asarray(images)
    _require_noise_level(noise_level)
    if noise_level and random is None:
        raise refusal("`random` must be a RandomState for noise", None, "numpy.random.RandomState(0)")
    if not _are_images(images):
        expected = "`images` must be (n, height, width) or (n, time, height, width)"
        raise refusal(expected, "%s %s" % (images.dtype, images.shape), "to_complex(images) for pairs")
    masks = np.asarray(masks, np.float32)
    _require_frames("masks", masks.shape[1:], images.shape[1:])
    if masks.ndim != images.ndim + 1 or any(size not in (1, full) for size, full in zip(masks.shape, images.shape + (1,))):
        axes = "n or 1, " + "time or 1, " * (images.ndim - 3) + "height or 1, width or 1, 1"
        raise refusal("`masks` must be (%s) for images %s" % (axes, images.shape), masks.shape, "mask[numpy.newaxis]")
    kspace = _transform(images)
    if noise_level:
        kspace += _noise(images.shape, noise_level, random)
    return _measure(kspace, masks)


class UndersampledImages:
    """Batches of undersampled images or series, each with a random mask of its own; one pass over them is an epoch.

    All randomness comes from `(seed, epoch, index of the image)` and from nothing else: `epoch(3)` gives the same batches whether
    or not epochs 0 to 2 were drawn before, with any batch size an image gets the same mask, and training goes on after a
    stop as if there had been none.

    To train (`shuffle=True`), each epoch has a new order, new masks, new noise and new changes by `augmentation`. Its last
    batch is left out when it is short, so that shapes are static, unless it is the only one; other images are left out in the
    next epoch. To validate and to test (`shuffle=False`), all images come unchanged in their own order, and masks and noise are the
    same in every epoch.

    The images and their k-space stay in memory, 16 bytes a pixel; a batch costs its masks and one inverse FFT. Augmented images
    are transformed when they are drawn: 8 bytes a pixel, two FFTs and what the augmentation takes.

    Args:
        images: Complex or real `(n, height, width)` or series `(n, time, height, width)`, largest magnitude 1.
        mask_function: Called as `mask_function(seed=[integer, ...])`, gives one mask of 0 and 1 with zero frequency at index 0,
            always of the same shape, `(height, 1, 1)`, `(1, width, 1)` or `(height, width, 1)`. For series there is an axis of
            time in front, of size 1 if all frames share the mask.
        batch_size: Images in a batch, 1 or more.
        seed: Integer from 0 to 2**32 - 1.
        shuffle: `True` to train, `False` to validate and to test.
        noise_level: As in `undersample`.
        augmentation: `None`, or called as `augmentation(image, random)` on one complex image or series to train with, which it
            may write to, and a `numpy.random.RandomState` of its own. Gives one of the same shape, and k-space is made of that.

    Attributes:
        image_shape: `(height, width, 2)`, `(time, height, width, 2)` for series.
        mask_shape: `(height, 1, 1)` or whatever `mask_function` gives.

    Raises:
        ValueError: When an argument is out of range, or a mask or an augmented image has another shape.

    Example:
        >>> mask_function = functools.partial(sampling.cartesian_mask, (256, 256), 4)
        >>> batches = UndersampledImages(zoo.images.load_images("train.hdf5"), mask_function, batch_size=4)
        >>> for inputs, target in batches.epoch(0):
        ...     model.train_on_batch(inputs, target)
    """

    def __init__(self, images, mask_function, batch_size=4, seed=0, shuffle=True, noise_level=0.0, augmentation=None):
        images = np.asarray(images)
        if not _are_images(images) or not images.size or not np.isfinite(images).all():
            expected = "`images` must be finite numbers (n, height, width) or (n, time, height, width)"
            received = "%s %s" % (images.dtype, images.shape)
            raise refusal(expected, received, "load_images(path), load_series(path), or to_complex(images) for pairs")
        if not callable(mask_function):
            advice = "functools.partial(sampling.cartesian_mask, %s, 4)" % (images.shape[1:],)
            raise refusal("`mask_function` must be callable with `seed`", "a " + type(mask_function).__name__, advice)
        require_integer("batch_size", batch_size, 1)
        require_integer("seed", seed, 0)
        _require_noise_level(noise_level)
        if augmentation is not None and not callable(augmentation):
            raise refusal("`augmentation` must be None or callable", "a " + type(augmentation).__name__, "motion.Motion()")
        self.images = images.astype(np.complex64)
        self.mask_function = mask_function
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.noise_level = noise_level
        self.augmentation = augmentation
        self.image_shape = images.shape[1:] + (2,)
        self.mask_shape = None
        self.mask_shape = self._mask(epoch=0, index=0).shape
        self._kspace = None if shuffle and augmentation is not None else _transform(self.images)

    def __len__(self):
        """Batches in an epoch."""
        batches = len(self.images) / self.batch_size
        return math.floor(batches) if self.shuffle and batches >= 1 else math.ceil(batches)

    def epoch(self, index):
        """Yields the batches of epoch `index`, 0 or more, as `(inputs, target)`.

        `inputs` holds float32 `image` (zero-filled) and `kspace`, pairs `(batch,) + image_shape`, and `mask`,
        `(batch,) + mask_shape`; `target` holds the pairs of the fully sampled images. Writing to them changes nothing here.
        """
        require_integer("index", index, 0)
        order = np.arange(len(self.images))
        if self.shuffle:
            np.random.RandomState([self.seed, index]).shuffle(order)
        return (self._batch(order[batch * self.batch_size :][: self.batch_size], index) for batch in range(len(self)))

    def _batch(self, chosen, epoch):
        masks = np.stack([self._mask(epoch, index) for index in chosen])
        if self._kspace is None:
            images = np.stack([self._augmented(epoch, index) for index in chosen])
            kspace = _transform(images)
        else:
            images, kspace = self.images[chosen], self._kspace[chosen]
        if self.noise_level:
            for sample, index in zip(kspace, chosen):
                sample += _noise(sample.shape, self.noise_level, np.random.RandomState(self._seed(epoch, index) + [1]))
        image, kspace = _measure(kspace, masks)
        return {"image": image, "kspace": kspace, "mask": masks}, to_pairs(images)

    def _augmented(self, epoch, index):
        image = self.images[index].copy()
        changed = np.asarray(self.augmentation(image, np.random.RandomState(self._seed(epoch, index) + [2])), np.complex64)
        if changed.shape != self.images.shape[1:]:
            expected = "`augmentation` must keep the shape %s" % (self.images.shape[1:],)
            raise refusal(expected, changed.shape, "to crop or to pad what it gives")
        return changed

    def _mask(self, epoch, index):
        mask = np.asarray(self.mask_function(seed=self._seed(epoch, index)), np.float32)
        _require_frames("mask_function", mask.shape, self.images.shape[1:])
        shapes = self._mask_shapes() if self.mask_shape is None else (self.mask_shape,)
        if mask.shape not in shapes or (mask * mask != mask).any():
            expected = "`mask_function` must give zeros and ones of shape " + " or ".join(map(str, shapes))
            received = "shape %s with values from %g to %g" % (mask.shape, mask.min(), mask.max())
            raise refusal(expected, received, "a mask of the height and width of the images, the same kind for every seed")
        return mask

    def _mask_shapes(self):
        frames, (height, width) = self.images.shape[1:-2], self.images.shape[-2:]
        planes = ((height, 1, 1), (1, width, 1), (height, width, 1))
        return tuple(front + plane for front in sorted({frames, (1,) * len(frames)}, reverse=True) for plane in planes)

    def _seed(self, epoch, index):
        return [self.seed, epoch if self.shuffle else 0, int(index)]


def _are_images(images):
    """Two axes or three behind `n`; real numbers with a last axis of 2 are pairs that were not made complex."""
    return images.ndim == 3 or images.ndim == 4 and (images.dtype.kind == "c" or images.shape[-1] != 2)


def _require_frames(name, mask_shape, image_shape):
    """Another number of frames gets a sentence of its own: a mask made for another series is an easy slip."""
    if len(mask_shape) == 4 and len(image_shape) == 3 and mask_shape[0] not in (1, image_shape[0]):
        expected = "`%s` must give one mask for each of the %d frames of a series, or one for all" % (name, image_shape[0])
        raise refusal(expected, "%d masks" % mask_shape[0], "shape=%s for the mask" % (image_shape,))


def _transform(images):
    return scipy.fft.fft2(images.astype(np.complex64), norm="ortho")


def _measure(kspace, masks):
    kspace = kspace * masks[..., 0]
    return to_pairs(scipy.fft.ifft2(kspace, norm="ortho")), to_pairs(kspace)


def _noise(shape, noise_level, random):
    return to_complex(noise_level * random.standard_normal(shape + (2,)))


def _require_noise_level(noise_level):
    if not 0 <= noise_level < math.inf:
        raise refusal("`noise_level` must be 0 or a positive number", noise_level, "0.01")
