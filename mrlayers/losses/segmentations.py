"""What the losses of segmentations share: labels as channels, and probabilities from what a network returns."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal
from mrlayers.losses.volumes import require_same_shape


def checked_labels(labels):
    """`None`, or a tuple of different integers, as a loss stores it."""
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iu" or len(set(values.tolist())) < values.size:
        raise refusal("`labels` must be different integers, one for each channel, or None", repr(labels), "labels=(0, 1, 2)")
    return tuple(values.tolist())


def require_whole_labels(y_true, y_pred, weighted=False):
    """A label map in a NumPy array must hold whole numbers; of tensors, and inside `fit`, nothing can be said of values."""
    if not isinstance(y_true, np.ndarray) or y_true.shape[-1:] != (1 + weighted,) or backend.static_shape(y_pred)[-1] == 1:
        return
    labels = y_true[..., :1]
    if not np.all(labels == np.round(labels)):
        raise refusal(
            "`y_true` must hold whole numbers when it is a label map",
            "{}".format(labels[labels != np.round(labels)][0]),
            "nearest interpolation, which keeps labels whole",
        )


def one_hot(true, prediction, labels=None):
    """`true` in the shape of `prediction`: as it is where it has that already, else the map of `labels` in separate channels.

    Labels are 0, 1, 2, ... where `labels` is `None`. With one channel in `prediction`, `true` is a mask.
    """
    shape, channels = backend.static_shape(true), backend.static_shape(prediction)[-1]
    labels = tuple(range(channels)) if labels is None else labels
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


def probabilities(prediction, from_logits):
    """Softmax of the channels, or the sigmoid of a single one; what is no logits already is returned as it is."""
    if not from_logits:
        return prediction
    single = backend.static_shape(prediction)[-1] == 1
    return keras.activations.sigmoid(prediction) if single else keras.activations.softmax(prediction)


def log_probabilities(prediction, from_logits, smallest):
    """Natural logarithm of the probability of each class; a single channel becomes two classes, outside and inside of a mask.

    Exact from logits, however large. Probabilities below `smallest` count as it.
    """
    single = backend.static_shape(prediction)[-1] == 1
    if not from_logits:
        return ops.log(at_least(with_outside(prediction) if single else prediction, smallest))
    if single:
        prediction = ops.concatenate([ops.zeros_like(prediction), prediction], axis=-1)
    prediction = prediction - ops.stop_gradient(ops.max(prediction, axis=-1, keepdims=True))
    return prediction - ops.log(ops.sum(ops.exp(prediction), axis=-1, keepdims=True))


def with_outside(mask):
    """A mask, or its probability, as two channels: outside and inside."""
    return ops.concatenate([1.0 - mask, mask], axis=-1)


def at_least(x, smallest):
    """`x`, or `smallest` where that is more; `ops.maximum` of Keras 3 on torch turns float64 into float32."""
    return x + ops.relu(smallest - x)
