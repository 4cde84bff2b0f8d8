"""Overlap of segmentations, by a formula that says all that implementations disagree about."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_choice
from mrlayers.losses.segmentations import checked_labels, one_hot, probabilities, require_whole_labels
from mrlayers.losses.volumes import as_float_pair, mean, volume_axes

PRESETS = {
    "nvidia": {"squared": True, "smoothing": 1e-6},
    "mindspore": {"squared": True, "smoothing": (0.0, 1e-6), "classes": "joint"},
    "nnunet": {"background": False, "smoothing": 1e-5, "per": "batch"},
}


@keras.saving.register_keras_serializable(package="mrlayers")
class Dice(keras.losses.Loss):
    """One minus the Dice overlap of a prediction with a segmentation.

    For a class `c`, with sums over the voxels of an image, `p` the prediction and `t` the segmentation,
    `dice_c = (2 sum(p t) + smoothing) / (sum(p) + sum(t) + smoothing)`, or with `squared=True`
    `(2 sum(p t) + smoothing) / (sum(p^2) + sum(t^2) + smoothing)`. The loss is the mean of `1 - dice_c` over classes. Where the
    denominator is zero, `dice_c` is 1: there is nothing to find, and nothing was found.

    Implementations differ in each of the arguments below, and their numbers for one and the same prediction range from 0.3 to
    0.9. Say which one you report:

    - `Dice.preset("nvidia")` is the Dice part of the loss of NVIDIA's UNet_Medical and of the Ascend ModelZoo's UNet2D. Sums
      are those of an image; the mean over the batch, which is part of it, is Keras's.
    - One minus `Dice.preset("mindspore")` is what the evaluation of MindSpore's U-Net prints.
    - `Dice.preset("nnunet")` is the soft Dice that nnU-Net 2 trains with, plus the 1 that it leaves out, over the batch as in
      its plans for 2-D, and for 3-D at full resolution where there is a low resolution too; its other plans for 3-D have
      `Dice.preset("nnunet", per="image")`. (Its class has a smoothing of 1 by default, its trainers pass 1e-5; that it cuts
      denominators at 1e-8 never acts then.)

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
        from_logits: `True` when `y_pred` are logits, as the models of `zoo.unet` return them: softmax over channels comes first,
            or the sigmoid of a single one.

    Call arguments:
        y_true: the segmentation: a label map `(batch, *volume, 1)`, or one-hot or probabilities in the shape of `y_pred`. With
            one channel in `y_pred` it is a mask.
        y_pred: probabilities, a warped one-hot encoding, or logits, `(batch, *volume, channels)`. One channel is a mask, without
            a class for what lies outside.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: shapes or a number of labels that do not fit, arguments out of range; a label map in a NumPy array that
            holds other than whole numbers (inside `fit` nothing can be said of values: such voxels belong to no class).

    Reference: Milletari et al., V-Net: fully convolutional neural networks for volumetric medical image segmentation, 3DV 2016.
    """

    def __init__(
        self,
        labels=None,
        background=True,
        squared=False,
        smoothing=1e-5,
        classes="each",
        per="image",
        absent="score",
        from_logits=False,
        **kwargs,
    ):
        require_choice("classes", classes, ("each", "joint"))
        require_choice("per", per, ("image", "batch"))
        require_choice("absent", absent, ("score", "skip"))
        super().__init__(**kwargs)
        self.labels = checked_labels(labels)
        self.background = bool(background)
        self.squared = bool(squared)
        self.smoothing = _checked_smoothing(smoothing)
        self.classes = classes
        self.per = per
        self.absent = absent
        self.from_logits = bool(from_logits)

    @classmethod
    def preset(cls, name, **kwargs):
        """The definition of another system, `"nvidia"`, `"mindspore"` or `"nnunet"`; further arguments as for the class."""
        require_choice("name", name, sorted(PRESETS))
        return cls(**dict(PRESETS[name], **kwargs))

    def __call__(self, y_true, y_pred, sample_weight=None):
        require_whole_labels(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        axes = volume_axes(y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        _require_background(self.background, prediction)
        true, prediction = one_hot(true, prediction, self.labels), probabilities(prediction, self.from_logits)
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
            from_logits=self.from_logits,
        )
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class Tversky(keras.losses.Loss):
    """One minus the Tversky index: an overlap that blames what is found too much and what is missed differently.

    For a class `c`, with sums over the voxels of an image, `p` the prediction and `t` the segmentation,
    `index_c = (sum(p t) + smoothing) / (sum(p t) + alpha sum(p (1 - t)) + beta sum((1 - p) t) + smoothing)`, and 1 where the
    denominator is zero. The loss is the mean of `1 - index_c` over classes. With `alpha = beta = 0.5` it is `Dice` with twice
    the smoothing, with `alpha = beta = 1` one minus the soft Jaccard index.

    Args:
        alpha: weight of what is found too much, 0 or more.
        beta: weight of what is missed, 0 or more. The paper finds most lesions with 0.7, at the price of false ones.
        smoothing: at least 0, in voxels.
        labels: the value that stands for each channel of the prediction in a label map, as for `Dice`.
        background: `False` leaves the first channel out.
        from_logits: `True` when `y_pred` are logits: softmax over channels comes first, or the sigmoid of a single one.

    Call arguments:
        y_true: a label map `(batch, *volume, 1)`, or one-hot or probabilities in the shape of `y_pred`. With one channel in
            `y_pred` it is a mask.
        y_pred: probabilities or logits, `(batch, *volume, channels)`. One channel is a mask.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: shapes or a number of labels that do not fit, arguments out of range; a label map in a NumPy array that
            holds other than whole numbers.

    Reference: Salehi, Erdogmus and Gholipour, Tversky loss function for image segmentation using 3D fully convolutional deep
    networks, MLMI 2017.
    """

    def __init__(self, alpha=0.3, beta=0.7, smoothing=1e-5, labels=None, background=True, from_logits=False, **kwargs):
        for name, value, usual in (("alpha", alpha, 0.3), ("beta", beta, 0.7), ("smoothing", smoothing, 1e-5)):
            if not 0 <= value < float("inf"):
                raise refusal("`{}` must be a number of at least 0".format(name), repr(value), "{}={}".format(name, usual))
        super().__init__(**kwargs)
        self.alpha = alpha
        self.beta = beta
        self.smoothing = smoothing
        self.labels = checked_labels(labels)
        self.background = bool(background)
        self.from_logits = bool(from_logits)

    def __call__(self, y_true, y_pred, sample_weight=None):
        require_whole_labels(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        axes = volume_axes(y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        _require_background(self.background, prediction)
        true, prediction = one_hot(true, prediction, self.labels), probabilities(prediction, self.from_logits)
        found = ops.sum(prediction * true, axis=axes) + self.smoothing
        too_much = ops.sum(prediction * (1.0 - true), axis=axes)
        missed = ops.sum((1.0 - prediction) * true, axis=axes)
        total = found + self.alpha * too_much + self.beta * missed
        nothing = _is_zero(total)
        losses = 1.0 - (found + nothing) / (total + nothing)
        return mean(losses if self.background else losses[:, 1:], (-1,))

    def get_config(self):
        config = super().get_config()
        config.update(
            alpha=self.alpha,
            beta=self.beta,
            smoothing=self.smoothing,
            labels=self.labels,
            background=self.background,
            from_logits=self.from_logits,
        )
        return config


def _require_background(background, prediction):
    if not background and backend.static_shape(prediction)[-1] == 1:
        raise refusal("`background` must be True for a prediction of one channel", "background=False", "background=True")


def _is_zero(x):
    return ops.cast(ops.equal(x, 0.0), backend.dtype_name(x))


def _checked_smoothing(smoothing):
    values = tuple(smoothing) if isinstance(smoothing, (list, tuple)) else (smoothing, smoothing)
    if len(values) != 2 or not all(0 <= value < float("inf") for value in values):
        raise refusal(
            "`smoothing` must be a number of at least 0, or two: for the numerator and the denominator",
            repr(smoothing),
            "smoothing=1e-5",
        )
    return values if isinstance(smoothing, (list, tuple)) else smoothing
