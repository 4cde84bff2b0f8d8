"""Patches of images and labels for segmentation, in batches that a seed repeats to the last pixel. No Keras here."""

import collections
import concurrent.futures
import itertools
import math

import numpy as np

from mrlayers.checks import refusal, require_choice, require_integer
from zoo.unet.augmentation import PADDINGS, cut


class SegmentationBatches:
    """Batches of image patches and of the classes of their pixels.

    All randomness comes from `(seed, epoch, position in the epoch)`: `epoch(3)` gives the same batches whether or not epochs 0
    to 2 were drawn before, with any number of workers, and training goes on after a stop as if there had been none.

    To train (`shuffle=True`), the images come in an endless row of random orders, so that none comes again before all others
    came, and an epoch is `steps` batches of that row, all of full size. Of each image a patch is cut at random and changed by
    `augmentation`, on other threads, which are a few batches ahead. To validate (`shuffle=False`), every image is covered by
    as few patches as possible, evenly spread and unchanged, in the images' own order; the last batch may be short.

    Networks with valid convolutions need an input that is larger than their output: `margin` adds the neighbourhood of the
    patch, and where the image ends its mirror image, as in the paper, or zeros, as published since.

    Args:
        examples: `zoo.unet.reading.Examples`.
        batch_size: Patches in a batch, 1 or more.
        size: Size of the output: one integer for all axes, or one for each. `None`: whole images, which then are of one size.
        margin: By how much the input reaches beyond it at each side; 92 for the published networks, 572 to 388.
        padding: `"mirror"` or `"zero"`, the value 0 of a network's input, half-way between black and white.
        augmentation: `zoo.unet.augmentation.Augmentation`, or `None`; to train only.
        steps: Batches in an epoch to train; `None`: as many as there are full batches of different images, at least one.
        seed: Integer from 0 to 2**32 - 1.
        shuffle: `True` to train, `False` to validate and to test.
        workers: Threads that make augmented batches, 1 or more; 0 makes them when they are asked for.
        weights: Function from the labels of a patch to the weights of its pixels, such as `zoo.unet.borders.border_weights`;
            they are the last channel of targets then, for `CrossEntropy(weighted=True)`. `None`: targets are classes only.

    Attributes:
        input_shape: Shape of an input without the batch: `size + 2 * margin`, channels.
        target_shape: Shape of a target without the batch: `size`, classes (and weights).

    Raises:
        ValueError: When an argument is out of range, or `size` does not fit into an image.

    Example:
        >>> examples = load_examples("isbi2012")
        >>> training, validation = split_fold(30, fold=0)
        >>> batches = SegmentationBatches(examples.select(training), 4, size=256, augmentation=Augmentation(), steps=100)
        >>> for inputs, targets in batches.epoch(0):
        ...     model.train_on_batch(inputs, targets)
    """

    def __init__(
        self,
        examples,
        batch_size=4,
        size=None,
        margin=0,
        padding="mirror",
        augmentation=None,
        steps=None,
        seed=0,
        shuffle=True,
        workers=1,
        weights=None,
    ):
        for name, value, lowest in (
            ("batch_size", batch_size, 1),
            ("margin", margin, 0),
            ("seed", seed, 0),
            ("workers", workers, 0),
        ):
            require_integer(name, value, lowest)
        if steps is not None:
            require_integer("steps", steps, 1)
        require_choice("padding", padding, PADDINGS)
        if not shuffle and (augmentation is not None or steps is not None):
            received = "`augmentation`" if augmentation is not None else "`steps`"
            raise refusal("`augmentation` and `steps` must be None with shuffle=False", received, "shuffle=True to train")
        self.examples = examples
        self.batch_size = batch_size
        self.size = _fitting_size(size, examples)
        self.margin = margin
        self.padding = padding
        self.augmentation = augmentation
        self.seed = seed
        self.shuffle = shuffle
        self.input_shape = tuple(length + 2 * margin for length in self.size) + examples.images[0].shape[-1:]
        self.weights = weights
        self.target_shape = self.size + (examples.num_classes + (weights is not None),)
        self._tiles = [
            (index, corner)
            for index, labels in enumerate(examples.labels)
            for corner in itertools.product(*map(tile_corners, labels.shape, self.size))
        ]
        self._steps = steps
        threads = workers if augmentation is not None or weights is not None else 0
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads else None
        self._ahead = threads and threads + 1
        self._pending = collections.OrderedDict()

    def __len__(self):
        """Batches in an epoch."""
        if not self.shuffle:
            return math.ceil(len(self._tiles) / self.batch_size)
        return self._steps or max(1, len(self.examples.images) // self.batch_size)

    def epoch(self, index):
        """Yields the batches of epoch `index`, 0 or more, as `(inputs, targets)`.

        `inputs` is float32 `(batch,) + input_shape` in -1..1, black to white, as both published networks take it; `targets` is
        float32 `(batch,) + target_shape`, 1 for the class of the pixel and 0 for the others (and then its weight). They belong to
        the caller.
        """
        require_integer("index", index, 0)
        return (self._next(index * len(self) + step) for step in range(len(self)))

    def _next(self, number):
        """Batch `number`, counted over all epochs; the ones after it are begun, also those of the next epoch."""
        if self._pool is None:
            return self._batch(number)
        wanted = range(number, number + 1 + self._ahead)
        for other in [other for other in self._pending if other not in wanted]:
            self._pending.pop(other).cancel()
        for later in wanted:
            if later not in self._pending:
                self._pending[later] = self._pool.submit(self._batch, later)
        return self._pending.pop(number).result()

    def _batch(self, number):
        epoch, step = divmod(number, len(self))
        if self.shuffle:
            positions = range(step * self.batch_size, (step + 1) * self.batch_size)
            pairs = [self._patch(epoch, position) for position in positions]
        else:
            pairs = [self._cut(index, corner) for index, corner in self._tiles[step * self.batch_size :][: self.batch_size]]
        images, labels = zip(*pairs)
        targets = _one_hot(np.stack(labels), self.examples.num_classes)
        if self.weights is not None:
            weights = np.stack([self.weights(each) for each in labels]).astype(np.float32)
            targets = np.concatenate([targets, weights[..., np.newaxis]], axis=-1)
        return to_input(np.stack(images)), targets

    def _patch(self, epoch, position):
        count = len(self.examples.images)
        turn, place = divmod(epoch * len(self) * self.batch_size + position, count)
        index = np.random.RandomState([self.seed, turn]).permutation(count)[place]
        random = np.random.RandomState([self.seed, epoch, position])
        labels = self.examples.labels[index]
        corner = [random.randint(length - size + 1) for length, size in zip(labels.shape, self.size)]
        if self.augmentation is None:
            return self._cut(index, corner)
        image = self.examples.images[index]
        return self.augmentation(image, labels, corner, self.size, self.margin, self.padding, random)

    def _cut(self, index, corner):
        image, labels = self.examples.images[index], self.examples.labels[index]
        return cut(image, labels, corner, self.size, self.margin, self.padding)


def to_input(images):
    """Images of 0..1 as a network takes them: float32 in -1..1. Training, validation and prediction all go through here."""
    return np.asarray(images, np.float32) * np.float32(2) - np.float32(1)


def tile_corners(length, size):
    """First pixels of as few tiles of `size` as cover `length` pixels: evenly spread, the first at 0, the last at the end."""
    count = math.ceil(length / size)
    return [round(tile * (length - size) / max(count - 1, 1)) for tile in range(count)]


def _one_hot(labels, num_classes):
    return np.eye(num_classes, dtype=np.float32).take(labels, axis=0)


def _fitting_size(size, examples):
    shapes = [labels.shape for labels in examples.labels]
    ndim, smallest = len(shapes[0]), tuple(map(min, zip(*shapes)))
    if size is None:
        if len(set(shapes)) > 1:
            other = next(shape for shape in shapes if shape != shapes[0])
            received = "%s of %s and others of %s" % (examples.names[0], shapes[0], other)
            raise refusal("`size` must be given for images of different sizes", received, "size=%s" % (smallest,))
        return shapes[0]
    size = (size,) * ndim if np.isscalar(size) else tuple(size)
    for each in size:
        require_integer("size", each, 1)
    if len(size) != ndim or any(each > most for each, most in zip(size, smallest)):
        raise refusal(
            "`size` must fit into every image, the smallest of which is %s" % (smallest,), size, "size=%s" % (smallest,)
        )
    return size
