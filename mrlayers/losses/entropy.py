"""How improbable a segmentation is to a prediction, pixel by pixel."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal
from mrlayers.losses.segmentations import (
    at_least,
    checked_labels,
    log_probabilities,
    one_hot,
    require_whole_labels,
    with_outside,
)
from mrlayers.losses.volumes import as_float_pair, mean_of_samples, volume_axes


@keras.saving.register_keras_serializable(package="mrlayers")
class CrossEntropy(keras.losses.Loss):
    """The mean over pixels of `-sum_c t_c log p_c`, in nats, with a weight for each pixel on request.

    `p` are the probabilities of the classes `c`, the softmax of the channels where `from_logits=True`, and `t` is the
    segmentation. A prediction that knows nothing of `n` classes has `log n`. Prefer logits: nothing is lost however sure a
    network is. With `weighted=True` it is `sum(w * -sum_c t_c log p_c) / number of pixels`: weights of 1 change nothing, and a
    weight of 0 takes a pixel out of the sum but not out of the number. The published U-Net weighs the borders between cells
    (`zoo.unet.border_weights`).

    A prediction of one channel is the probability (from logits, the sigmoid) of a mask, and the loss is binary
    cross-entropy: that of two channels with the logits 0 and `x`.

    Args:
        from_logits: `True` when `y_pred` are logits, as the models of `zoo.unet` return them.
        weighted: `True` when `y_true` has one channel more, the last: the weight of each pixel, 0 or more.
        labels: the value that stands for each channel of the prediction in a label map, in the order of channels. `None` is
            0, 1, 2, ... A pixel with any other value adds nothing to the sum but counts in the number of pixels.
        epsilon: probabilities below it count as it, and have no gradient. Not used from logits.

    Call arguments:
        y_true: a label map `(batch, *volume, 1)`, or one-hot or probabilities `(batch, *volume, channels)`. With one channel in
            `y_pred` it is a mask.
        y_pred: `(batch, *volume, channels)`.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: shapes or a number of labels that do not fit, an `epsilon` out of range; a label map in a NumPy array that
            holds other than whole numbers.

    Reference: Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015,
    equations 1 and 2 (whose energy is a sum, where this is a mean).
    """

    def __init__(self, from_logits=False, weighted=False, labels=None, epsilon=1e-7, **kwargs):
        super().__init__(**kwargs)
        self.from_logits = bool(from_logits)
        self.weighted = bool(weighted)
        self.labels = checked_labels(labels)
        self.epsilon = _checked_epsilon(epsilon)

    def __call__(self, y_true, y_pred, sample_weight=None):
        require_whole_labels(y_true, y_pred, self.weighted)
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        volume_axes(y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        weight = 1.0
        if self.weighted:
            _require_weight(true, prediction)
            true, weight = true[..., :-1], true[..., -1]
        true, logarithms = _by_classes(true, prediction, self)
        return -mean_of_samples(weight * ops.sum(true * logarithms, axis=-1))

    def get_config(self):
        config = super().get_config()
        config.update(from_logits=self.from_logits, weighted=self.weighted, labels=self.labels, epsilon=self.epsilon)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class Focal(keras.losses.Loss):
    """The mean over pixels of `-sum_c alpha_c t_c (1 - p_c)^gamma log p_c`: cross-entropy that looks where it is wrong.

    A pixel that is classified well hardly counts any more, so that many easy ones do not drown few hard ones. With `gamma=0` and
    without `alpha` it is `CrossEntropy`. The mean is over all pixels; Lin et al. divide by the number of objects.

    Args:
        gamma: 0 or more: how strongly pixels that are classified well are suppressed.
        alpha: weight of each class, numbers of 0 or more in the order of channels, or `None` for 1. For a prediction of one
            channel there are two: outside and inside of the mask; the paper has `(0.75, 0.25)`.
        from_logits: `True` when `y_pred` are logits, as the models of `zoo.unet` return them.
        labels: the value that stands for each channel of the prediction in a label map, as for `CrossEntropy`.
        epsilon: probabilities of the right class, and of all others, below it count as it.

    Call arguments:
        y_true: a label map `(batch, *volume, 1)`, or one-hot or probabilities `(batch, *volume, channels)`. With one channel in
            `y_pred` it is a mask.
        y_pred: `(batch, *volume, channels)`; one channel is the probability, or the logit, of a mask.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: shapes or a number of labels or weights that do not fit, arguments out of range; a label map in a NumPy array
            that holds other than whole numbers.

    Reference: Lin et al., Focal loss for dense object detection, ICCV 2017.
    """

    def __init__(self, gamma=2.0, alpha=None, from_logits=False, labels=None, epsilon=1e-7, **kwargs):
        if not 0 <= gamma < float("inf"):
            raise refusal("`gamma` must be a number of at least 0", repr(gamma), "gamma=2.0")
        super().__init__(**kwargs)
        self.gamma = float(gamma)
        self.alpha = _checked_alpha(alpha)
        self.from_logits = bool(from_logits)
        self.labels = checked_labels(labels)
        self.epsilon = _checked_epsilon(epsilon)

    def __call__(self, y_true, y_pred, sample_weight=None):
        require_whole_labels(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true, y_pred):
        volume_axes(y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        self._require_weights_of(max(backend.static_shape(prediction)[-1], 2))
        true, logarithms = _by_classes(true, prediction, self)
        # Above 0, where powers below 1 have no gradient.
        wrong = at_least(1.0 - ops.exp(logarithms), self.epsilon)
        losses = true * wrong**self.gamma * logarithms
        if self.alpha is not None:
            losses = losses * ops.convert_to_tensor(self.alpha, dtype=backend.dtype_name(losses))
        return -mean_of_samples(ops.sum(losses, axis=-1))

    def _require_weights_of(self, classes):
        if self.alpha is not None and len(self.alpha) != classes:
            expected = "`alpha` must have one number for each of {} classes".format(classes)
            raise refusal(expected, repr(self.alpha), "alpha=None")

    def get_config(self):
        config = super().get_config()
        config.update(
            gamma=self.gamma, alpha=self.alpha, from_logits=self.from_logits, labels=self.labels, epsilon=self.epsilon
        )
        return config


def _by_classes(true, prediction, loss):
    """The segmentation and the logarithms of probabilities, both `(batch, *volume, classes)` with two classes for a mask."""
    logarithms = log_probabilities(prediction, loss.from_logits, loss.epsilon)
    true = one_hot(true, prediction, loss.labels)
    return (with_outside(true) if backend.static_shape(prediction)[-1] == 1 else true), logarithms


def _require_weight(true, prediction):
    shape, channels = backend.static_shape(true), backend.static_shape(prediction)[-1]
    if shape[-1] not in (None, 2, channels + 1):
        raise refusal(
            "`y_true` must end with the weight of each pixel when `weighted=True`: a label and a weight, or {} channels".format(
                channels + 1
            ),
            describe(shape),
            "`numpy.concatenate([y_true, weight[..., None]], axis=-1)`",
        )


def _checked_epsilon(epsilon):
    if not 0 < epsilon < 0.5:
        raise refusal("`epsilon` must be above 0 and below 0.5", repr(epsilon), "epsilon=1e-7")
    return epsilon


def _checked_alpha(alpha):
    if alpha is None:
        return None
    if not isinstance(alpha, (list, tuple)) or not alpha or not all(0 <= value < float("inf") for value in alpha):
        raise refusal("`alpha` must be numbers of at least 0, one for each class, or None", repr(alpha), "alpha=(0.75, 0.25)")
    return tuple(float(value) for value in alpha)
