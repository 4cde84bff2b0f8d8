"""Pairs of volumes for registration, in batches that a seed repeats to the last voxel. No Keras here.

Volumes are `(x, y, z)` or `(x, y)`, intensities 0..1; for a model they get a batch axis in front and one channel at the end.
"""

import functools
import math

import numpy as np

from mrlayers.checks import refusal, require_integer
from zoo.grids import match_grid
from zoo.paths import find_files, pair_by_name
from zoo.volumes import VOLUMES, Volume, read_labels, read_volume, scale_intensity


class RegistrationPairs:
    """Batches of a moving and a fixed volume: from subject to atlas, or from subject to another subject.

    With an `atlas` it is always the fixed one, and every subject is moving once in an epoch. Without, the fixed one is another
    subject, drawn at random. All randomness comes from `(seed, epoch, position in the epoch)`: `epoch(3)` gives the same
    batches whether or not epochs 0 to 2 were drawn before, and training goes on after a stop as if there had been none.

    To train (`shuffle=True`), each epoch has a new order and new partners, and leaves out its last batch when that is short,
    unless it is the only one. With `steps`, an epoch is that many batches (published: 100 of one pair) of an endless row of
    such orders, so that no subject comes again before all others came. To validate (`shuffle=False`), all subjects come in
    their own order, with the same partners in every epoch.

    Files are read when they are needed, and the last `cache` subjects stay in memory. All volumes lie on one grid, that of the
    atlas or of the first subject, or are resampled to it.

    Args:
        images: Array `(n,) + volume_shape`, or files: a folder, pattern, list, see `zoo.paths.find_files`.
        labels: Label maps, one for each image: an integer array of that shape, or files, paired with the images by name.
        atlas: Array `volume_shape`, or a file. `None` registers subjects to each other.
        atlas_labels: Label map of the atlas, needed with `labels` and an atlas: an array, or a file.
        label_values: Labels that become channels, for instance the 30 of the published evaluation. `None`: all labels but 0 of
            the atlas or of the first subject.
        bidirectional: Whether the moving volume is a target too, of the fixed one warped back.
        field_shape: Shape of the field that the model puts out; `None`: the volume's. Half of it for half-resolution velocity.
        field_channels: Its channels; `None`: as many as axes. Twice that for mean and log-variance.
        batch_size: Pairs in a batch, 1 or more.
        steps: Batches in an epoch; `None`: one pass over the subjects.
        seed: Integer from 0 to 2**32 - 1.
        shuffle: `True` to train, `False` to validate and to test.
        resample: Whether volumes on another grid are resampled; `False` refuses them with the difference said.
        scale: Function that brings an image to 0..1, for instance `functools.partial(scale_intensity, level=0.45)`.
        cache: Subjects that are kept in memory, 0 or more.

    Attributes:
        volume_shape: Shape of every volume, for the model.
        label_values: Tuple of labels, in the order of the channels; empty without labels.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: When an argument is out of range, or volumes and labels do not fit together.

    Example:
        >>> batches = RegistrationPairs("oasis/*/aligned_norm.nii.gz", atlas="atlas.nii.gz", steps=100)
        >>> for inputs, targets in batches.epoch(0):
        ...     model.train_on_batch(inputs, targets)
    """

    def __init__(
        self,
        images,
        labels=None,
        atlas=None,
        atlas_labels=None,
        label_values=None,
        bidirectional=False,
        field_shape=None,
        field_channels=None,
        batch_size=1,
        steps=None,
        seed=0,
        shuffle=True,
        resample=False,
        scale=scale_intensity,
        cache=16,
    ):
        for name, value, lowest in (("batch_size", batch_size, 1), ("seed", seed, 0), ("cache", cache, 0)):
            require_integer(name, value, lowest)
        if steps is not None:
            require_integer("steps", steps, 1)
        self.images = _subjects(images)
        self.labels = None if labels is None else _labels_of(labels, self.images)
        self.bidirectional = bidirectional
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.shuffle = shuffle
        self.resample = resample
        self.scale = scale
        if atlas is None and len(self.images) < 2:
            raise refusal("`images` must be two subjects or more without `atlas`", len(self.images), "atlas='atlas.nii.gz'")
        if (atlas_labels is None) == (labels is not None and atlas is not None):
            received = "`labels` and `atlas` without it" if atlas_labels is None else "it alone"
            raise refusal("`atlas_labels` must come with `labels` and `atlas`, and only then", received, "all three or none")
        image, name = (self.images[0], "images[0]") if atlas is None else (atlas, "atlas")
        self._reference = _as_image(image, name)
        self.volume_shape = self._reference.array.shape
        self.label_values = ()
        self._atlas = None if atlas is None else (self._scaled(self._reference.array), None)
        if labels is not None:
            source, label_name = (self.labels[0], "labels[0]") if atlas is None else (atlas_labels, "atlas_labels")
            first = match_grid(_as_labels(source, label_name), self._reference, resample, True, (label_name, name))
            self.label_values = _label_values(first.array, label_values)
            self._atlas = None if atlas is None else (self._atlas[0], self._classes(first.array))
        self._read = functools.lru_cache(maxsize=cache)(self._read_subject)
        self.field_shape = self.volume_shape if field_shape is None else tuple(field_shape)
        self.field_channels = len(self.volume_shape) if field_channels is None else field_channels

    def __len__(self):
        """Batches in an epoch."""
        if self.steps is not None:
            return self.steps
        batches = len(self.images) / self.batch_size
        return math.floor(batches) if self.shuffle and batches >= 1 else math.ceil(batches)

    def epoch(self, index):
        """Yields the batches of epoch `index`, 0 or more, as `(inputs, targets)`.

        `inputs` holds float32 `moving` and `fixed`, `(batch,) + volume_shape + (1,)`, and with labels `moving_labels`,
        `(batch,) + volume_shape + (labels,)` of 0 and 1. `targets` is a tuple: the fixed volume, zeros of the shape of the
        field, with `bidirectional` the moving volume, and with labels those of the fixed volume. They belong to the caller.
        """
        require_integer("index", index, 0)
        pairs = self._pairs(index)
        return (self._batch(pairs[batch * self.batch_size :][: self.batch_size]) for batch in range(len(self)))

    def _pairs(self, epoch):
        """`(moving, fixed)` as indices of subjects for a whole epoch; fixed is `None` where it is the atlas."""
        count = len(self.images)
        needed = count if self.steps is None else self.steps * self.batch_size
        if not self.shuffle:
            epoch, order = 0, np.arange(needed) % count
        elif self.steps is None:
            order = np.random.RandomState([self.seed, epoch]).permutation(count)
        else:
            first = epoch * needed
            passes = range(first // count, (first + needed - 1) // count + 1)
            order = np.concatenate([np.random.RandomState([self.seed, each]).permutation(count) for each in passes])
            order = order[first % count :][:needed]
        if self._atlas is not None:
            return [(moving, None) for moving in order.tolist()]
        return [(moving, self._partner(moving, epoch, position)) for position, moving in enumerate(order.tolist())]

    def _partner(self, moving, epoch, position):
        other = np.random.RandomState([self.seed, epoch, position]).randint(len(self.images) - 1)
        return int(other + (other >= moving))

    def _batch(self, pairs):
        moving, moving_classes = zip(*(self._read(index) for index, _ in pairs))
        fixed, fixed_classes = zip(*(self._atlas if index is None else self._read(index) for _, index in pairs))
        inputs = {"moving": _stack(moving), "fixed": _stack(fixed)}
        targets = [_stack(fixed), np.zeros((len(pairs),) + self.field_shape + (self.field_channels,), np.float32)]
        if self.bidirectional:
            targets.append(_stack(moving))
        if self.labels is not None:
            inputs["moving_labels"] = self._one_hot(moving_classes)
            targets.append(self._one_hot(fixed_classes))
        return inputs, tuple(targets)  # Keras on TensorFlow takes no list from a generator

    def _read_subject(self, index):
        """Intensities of a subject, and the channel of each voxel's label, as the least that must stay in memory."""
        image = self._on_grid(_as_image(self.images[index], "images[%d]" % index), "images", index)
        if self.labels is None:
            return self._scaled(image.array), None
        labels = self._on_grid(_as_labels(self.labels[index], "labels[%d]" % index), "labels", index)
        return self._scaled(image.array), self._classes(labels.array)

    def _on_grid(self, volume, kind, index):
        source = getattr(self, kind)[index]
        name = source if isinstance(source, str) else "%s[%d]" % (kind, index)
        names = (name, "images[0]" if self._atlas is None else "atlas")
        return match_grid(volume, self._reference, self.resample, labels=kind == "labels", names=names)

    def _scaled(self, array):
        return np.asarray(self.scale(array), np.float32)

    def _classes(self, labels):
        """0 where a label is none of `label_values`, else 1 and on."""
        classes = np.zeros(labels.shape, np.uint8 if len(self.label_values) < 256 else np.uint16)
        for channel, value in enumerate(self.label_values):
            classes[labels == value] = channel + 1
        return classes

    def _one_hot(self, classes):
        channels = len(self.label_values)
        return np.eye(channels + 1, channels, -1, dtype=np.float32).take(classes, axis=0)


def read_pair(moving, fixed, resample=False):
    """Reads two images onto one grid, that of `fixed`.

    Args:
        moving: File name.
        fixed: File name.
        resample: Whether `moving` is resampled when it lies on another grid; `False` refuses it with the difference said.

    Returns:
        `(moving, fixed)`, each a `zoo.volumes.Volume` in the unit of its file.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: When one cannot be read, or the grids differ.
    """
    fixed = read_volume(fixed)
    return match_grid(read_volume(moving), fixed, resample), fixed


def _subjects(source):
    """An array as it is, anything else as a list of files."""
    if isinstance(source, np.ndarray):
        if source.ndim not in (3, 4) or not source.size:
            raise refusal("`images` must be (n, x, y) or (n, x, y, z)", source.shape, "images[..., 0] without the channel")
        return source
    return find_files(source, VOLUMES)


def _labels_of(source, images):
    if isinstance(source, np.ndarray):
        if len(source) != len(images):
            raise refusal("`labels` must be as many as `images`, %d" % len(images), len(source), "one label map for each")
        return source
    if isinstance(images, np.ndarray):
        raise refusal("`labels` must be an array like `images`", repr(source), "files for both")
    return pair_by_name(images, find_files(source, VOLUMES))


def _as_image(source, name):
    if not isinstance(source, np.ndarray):
        return read_volume(source)
    if source.dtype.kind not in "biuf" or not np.isfinite(source).all():
        raise refusal("`%s` must hold real, finite numbers" % name, "%s %s" % (source.dtype, source.shape), "read_volume(path)")
    return Volume(source.astype(np.float32), np.eye(4), None)


def _as_labels(source, name):
    if not isinstance(source, np.ndarray):
        return read_labels(source)
    if source.dtype.kind not in "biu":
        raise refusal("`%s` must hold integers" % name, "%s %s" % (source.dtype, source.shape), "labels.astype('int32')")
    return Volume(source, np.eye(4), None)


def _label_values(labels, values):
    present = np.unique(labels)
    values = present[present != 0] if values is None else np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size or len(np.unique(values)) < len(values):
        raise refusal("`label_values` must be integers, each once", values.tolist(), "some of %s" % present[:9].tolist())
    return tuple(values.tolist())


def _stack(volumes):
    return np.stack(volumes)[..., np.newaxis]
