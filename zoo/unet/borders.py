"""Weights that make a network learn the narrow gaps between cells. No Keras here."""

import math

import numpy as np
import scipy.ndimage

from mrlayers.checks import describe, refusal
from mrlayers.metrics import connected_components

REACH = 7.0  # in units of `sigma`: the term of the border is below 3e-11 of `w0` there


def border_weights(labels, w0=10.0, sigma=5.0, class_balance=True):
    """The weight of every pixel for `CrossEntropy(weighted=True)`, large where two cells almost touch.

    `w = w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`, where `d1` and `d2` are the distances from the centre of a pixel to that of
    the nearest pixel of the nearest and of the second nearest cell; inside a cell `d1` is 0. The second term is 0 where
    there are fewer than two cells. Cells are the parts of class 1 that do not touch across an edge or face. An image of 512 x 512
    with 200 cells takes about 0.15 seconds; time grows with their number and with `sigma`.

    `w_c` makes both classes weigh the same: the number of pixels divided by twice that of the class, whose mean is 1. The paper
    says that it balances, not how. It also does not say what `d1` is inside cells.

    Args:
        labels: one image `(height, width)` or one volume `(depth, height, width)` of zeros, the gaps and the rest of the
            background, and ones, the cells. Of a stack of images, pass one at a time: in a volume, cells go on from slice to slice.
        w0: The most that a gap adds, 0 or more.
        sigma: Width of what counts as a gap, in pixels, above 0.
        class_balance: `False` has 1 for `w_c`, as images of one class have.

    Returns:
        float32 in the shape of `labels`.

    Raises:
        ValueError: Labels of another rank or with other values than 0 and 1, `w0` or `sigma` out of range.

    Reference: Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015,
    equation 2.
    """
    if not 0 <= w0 < math.inf:
        raise refusal("`w0` must be a number of at least 0", repr(w0), "w0=10.0")
    if not 0 < sigma < math.inf:
        raise refusal("`sigma` must be a number of pixels above 0", repr(sigma), "sigma=5.0")
    labels = np.asarray(labels)
    if labels.ndim not in (2, 3) or not labels.size:
        expected = "`labels` must have the shape (height, width) or (depth, height, width)"
        raise refusal(expected, describe(labels.shape), "one image at a time, without an axis of channels")
    wrong = labels[~np.isin(labels, (0, 1))]
    if wrong.size:
        received = "%s and %d others" % (wrong[0], wrong.size - 1)
        raise refusal("`labels` must be zeros and ones", received, "labels == 255 for labels of 0 and 255")
    cells = connected_components(labels)
    nearest, second = _distances(cells, math.ceil(REACH * sigma))
    return (_balance(cells > 0, class_balance) + w0 * np.exp(-0.5 * ((nearest + second) / sigma) ** 2)).astype("float32")


def _balance(inside, class_balance):
    share = inside.mean()
    if not class_balance or share in (0, 1):
        return 1.0
    return np.where(inside, 0.5 / share, 0.5 / (1 - share))


def _distances(cells, reach):
    """To the nearest and to the second nearest cell, by one transform of the neighbourhood of each cell.

    Infinite for cells that are farther than `reach` along an axis.
    """
    nearest, second = np.full((2,) + cells.shape, np.inf)
    for number, box in enumerate(scipy.ndimage.find_objects(cells), 1):
        around = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        distance = scipy.ndimage.distance_transform_edt(cells[around] != number)
        second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
        nearest[around] = np.minimum(nearest[around], distance)
    return nearest, second
