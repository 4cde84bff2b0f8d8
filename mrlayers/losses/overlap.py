"""Overlap of segmentations, by a formula that says all that implementations disagree about."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice
from mrlayers.losses.volumes import as_float_pair, mean, require_same_shape, volume_axes

PRESETS = {
    "nvidia": {"squared": True, "smoothing": 1e-6},
    "mindspore": {"squared": True, "smoothing": (0.0, 1e-6), "classes": "joint"},
}


@keras.saving.register_keras_serializable(package="mrlayers")
class Dice(keras.losses.Loss):
    """One minus the Dice overlap of a prediction with a segmentation.

    For a class `c`, with sums over the voxels of an image, `p` the prediction and `t` the segmentation,
    `dice_c = (2 sum(p t) + smoothing) / (sum(p) + sum(t) + smoothing)`, or with `squared=True`
    `(2 sum(p t) + smoothing) / (sum(p^2) + sum(t^2) + smoothing)`. The loss is the mean of `1 - dice_c` over classes. Where the
    denominator is zero, `dice_c` is 1: there is nothing to find, and nothing was found.

    Implementations differ in each of the arguments below, and their numbers for one and the same prediction range from 0.3 to
    0.9. Say which one you report. `Dice.preset("nvidia")` is the Dice part of the loss of NVIDIA's UNet_Medical and of the
    Ascend ModelZoo's UNet2D; one minus `Dice.preset("mindspore")` is what the evaluation of MindSpore's U-Net prints.

    Args:
        labels: the value that stands for each channel of the prediction in a label map, in the order of channels. `None` is
            0, 1, 2, ... A voxel with any other value belongs to no class.
        background: `False` leaves the first channel out. `True` counts every channel, as registration wants for the one-hot
            encoding of a list of structures.
        squared: squares in the denominator. For masks of 0 and 1 this changes nothing.
        smoothing: at least 0, in voxels, keeps small classes from jumping: one number, or one for the numerator and one for
            the denominator.
        classes: `"each"` is the formula above; `"joint"` adds numerators, and denominators, over the classes first, so that
            large classes decide.
        per: `"image"`, or `"batch"`: sums run over all images of the batch, and each has the same value.
        absent: what a class counts of which the segmentation has no voxel: `"score"`, by the formula, or `"skip"`: it is left
            out of the mean (the loss is 0 where that leaves none). `"joint"` has no classes to leave out.

    Call arguments:
        y_true: the segmentation: a label map `(batch, *volume, 1)`, or one-hot or probabilities in the shape of `y_pred`. With
            one channel in `y_pred` it is a mask.
        y_pred: probabilities or a warped one-hot encoding, `(batch, *volume, channels)`.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: shapes or a number of labels that do not fit, arguments out of range; a label map in a NumPy array that
            holds other than whole numbers (inside `fit` nothing can be said of values: such voxels belong to no class).

    Reference: Milletari et al., V-Net: fully convolutional neural networks for volumetric medical image segmentation, 3DV 2016.
    """

    def __init__(
        self, labels=None, background=True, squared=False, smoothing=1e-5, classes="each", per="image", absent="score", **kwargs
    ):
        require_choice("classes", classes, ("each", "joint"))
        require_choice("per", per, ("image", "batch"))
        require_choice("absent", absent, ("score", "skip"))
        super().__init__(**kwargs)
        self.labels = _checked_labels(labels)
        self.background = bool(background)
        self.squared = bool(squared)
        self.smoothing = _checked_smoothing(smoothing)
        self.classes = classes
        self.per = per
        self.absent = absent

    @classmethod
    def preset(cls, name, **kwargs):
        """The definition of another system, `"nvidia"` or `"mindspore"`; further arguments as for the class."""
        require_choice("name", name, sorted(PRESETS))
        return cls(**dict(PRESETS[name], **kwargs))

    def __call__(self, y_true, y_pred, sample_weight=None):
        if isinstance(y_true, np.ndarray) and y_true.shape[-1:] == (1,) and not np.all(y_true == np.round(y_true)):
            if backend.static_shape(y_pred)[-1] != 1:
                raise refusal(
                    "`y_true` must hold whole numbers when it is a label map",
                    "{}".format(y_true[y_true != np.round(y_true)][0]),
                    "nearest interpolation, which keeps labels whole",
                )
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        axes = volume_axes(y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        true = self._one_hot(true, prediction)
        power = ops.square if self.squared else lambda x: x
        overlap = 2.0 * ops.sum(prediction * true, axis=axes)
        total = ops.sum(power(prediction), axis=axes) + ops.sum(power(true), axis=axes)
        overlap, total, present = [self._gathered(x) for x in (overlap, total, ops.sum(true, axis=axes))]
        in_numerator, in_denominator = self.smoothing if isinstance(self.smoothing, tuple) else (self.smoothing,) * 2
        total = total + in_denominator
        nothing = _is_zero(total)
        losses = 1.0 - (overlap + in_numerator + nothing) / (total + nothing)
        if self.absent == "score" or self.classes == "joint":
            return mean(losses, (-1,))
        counts = 1.0 - _is_zero(present)
        number = ops.sum(counts, axis=-1)
        return ops.sum(losses * counts, axis=-1) / (number + _is_zero(number))

    def _one_hot(self, true, prediction):
        shape, channels = backend.static_shape(true), backend.static_shape(prediction)[-1]
        if not self.background and channels == 1:
            raise refusal("`background` must be True for a prediction of one channel", "background=False", "background=True")
        labels = tuple(range(channels)) if self.labels is None else self.labels
        if len(labels) != channels:
            raise refusal(
                "`labels` must have one value for each of the {} channels of `y_pred`".format(channels),
                "{} of them".format(len(labels)),
                "labels=None for 0, 1, 2, ...",
            )
        if channels == 1 or shape[-1] == channels:
            require_same_shape(true, prediction)
            return true
        require_same_shape(true[..., :1], prediction[..., :1])
        if shape[-1] not in (1, None):
            raise refusal(
                "`y_true` must be a label map with a last axis of 1, or have the {} channels of `y_pred`".format(channels),
                describe(shape),
                "numpy.argmax(y_true, axis=-1)[..., None]",
            )
        dtype = backend.dtype_name(true)
        encoded = ops.cast(ops.equal(true, ops.convert_to_tensor(np.array(labels, dtype), dtype=dtype)), dtype)
        if shape[-1] == 1:
            return encoded
        # TensorFlow 1.15 learns in `fit` what the last axis of a target is only when the graph runs.
        is_map = ops.cast(ops.equal(ops.shape(true)[-1], 1), dtype)
        return is_map * encoded + (1.0 - is_map) * true

    def _gathered(self, sums):
        """`(batch, classes)` over what `classes`, `background` and `per` want."""
        if not self.background:
            sums = sums[:, 1:]
        if self.classes == "joint":
            sums = ops.sum(sums, axis=-1, keepdims=True)
        return ops.zeros_like(sums) + ops.sum(sums, axis=0, keepdims=True) if self.per == "batch" else sums

    def get_config(self):
        config = super().get_config()
        config.update(
            labels=self.labels,
            background=self.background,
            squared=self.squared,
            smoothing=self.smoothing,
            classes=self.classes,
            per=self.per,
            absent=self.absent,
        )
        return config


def _is_zero(x):
    return ops.cast(ops.equal(x, 0.0), backend.dtype_name(x))


def _checked_labels(labels):
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iu" or len(set(values.tolist())) < values.size:
        raise refusal("`labels` must be different integers, one for each channel, or None", repr(labels), "labels=(0, 1, 2)")
    return tuple(values.tolist())


def _checked_smoothing(smoothing):
    values = tuple(smoothing) if isinstance(smoothing, (list, tuple)) else (smoothing, smoothing)
    if len(values) != 2 or not all(0 <= value < float("inf") for value in values):
        raise refusal(
            "`smoothing` must be a number of at least 0, or two: for the numerator and the denominator",
            repr(smoothing),
            "smoothing=1e-5",
        )
    return values if isinstance(smoothing, (list, tuple)) else smoothing
