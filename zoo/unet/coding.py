"""Which number in a mask is which class. No Keras here."""

import warnings

import numpy as np

from mrlayers.checks import refusal


def to_classes(labels, num_classes, names):
    """Labels as classes from 0 on, and the number of classes.

    Args:
        labels: List of arrays, coded 0 and 255, or 0 to `num_classes - 1`.
        num_classes: 2 or more; `None` takes one more than the highest label, and refuses labels with gaps.
        names: One for each array, for what is said of them.

    Returns:
        `(labels, num_classes)`: a list of uint8 arrays, uint16 from 257 classes on, and their number.

    Raises:
        ValueError: When labels are coded otherwise; the values that were seen are said.

    Warns:
        UserWarning: When labels hold one class only.
    """
    values = [_values(each, name) for each, name in zip(labels, names)]
    seen = sorted(set().union(*values))
    binary = 255 in seen and set(seen) <= {0, 255} and num_classes in (None, 2)
    count = 2 if binary or num_classes is None and seen == [1] else num_classes or max(seen[-1] + 1, 2)
    without_gaps = num_classes is not None or seen in ([1], list(range(len(seen)))) and len(seen) < 256
    if not binary and not (0 <= seen[0] and seen[-1] < count and without_gaps):
        raise _wrong_coding(values, seen, num_classes, names)
    one_class = [name for each, name in zip(values, names) if len(each) == 1]
    if one_class:
        shown = "%d of %d labels hold one class only, the first is %s: " % (len(one_class), len(labels), one_class[0])
        warnings.warn(shown + "is it the right file, and is its coding that of the others?", stacklevel=3)
    dtype = np.uint8 if count <= 256 else np.uint16
    return [(each == 255).astype(dtype) if binary else each.astype(dtype) for each in labels], count


def _values(labels, name):
    """The set of values in labels."""
    if labels.dtype.kind == "f" and (labels != np.rint(labels)).any():
        wrong = labels[labels != np.rint(labels)][0]
        advice = "the labels before they were resampled or scaled"
        raise refusal("`labels` must be whole numbers", "%s with %g" % (name, wrong), advice)
    if labels.dtype.kind not in "biuf" or not labels.size:
        raise refusal("`labels` must be whole numbers", "%s of %s" % (name, labels.dtype), "labels.astype('uint8')")
    if labels.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(labels.ravel(), minlength=1)).tolist())
    return {int(value) for value in np.unique(labels)}


def _wrong_coding(values, seen, num_classes, names):
    shown = ", ".join("%d" % value for value in seen[:8]) + (" and %d more" % (len(seen) - 8) if len(seen) > 8 else "")
    odd = next((name for each, name in zip(values, names) if max(each) == seen[-1]), names[0])
    expected = "`labels` must be coded 0 and 255, or 0 to %s" % ("K-1 without gaps" if num_classes is None else num_classes - 1)
    if 255 in seen and 0 in seen and len(seen) > 2:
        advice = "labels >= 128 if they were smoothed by resizing or by JPEG"
    elif seen[0] < 0 or num_classes is not None:
        advice = "to number them from 0 on"
    else:
        advice = "num_classes=%d, or to number them from 0 on" % (seen[-1] + 1)
    return refusal(expected, "the values %s (%s)" % (shown, odd), advice)
