"""How well images were segmented: pixel by pixel, class by class, and cell by cell.

Label maps are as in `labels`: whole numbers of any rank, both of one shape, one image or volume at a time. Where cells are
compared, the prediction and the target are masks of 0, the membranes, and 1, the interior of cells, unless a definition says
otherwise. What does not fit is refused with a `ValueError`.
"""

import numpy as np
from scipy import ndimage

from mrlayers.checks import describe, refusal, require_choice
from mrlayers.metrics.labels import dice, label_map, label_map_pair

DEFINITIONS = {
    "soft_dice": ("mindspore", "per-class"),
    "adapted_rand_error": ("interior", "labels"),
    "variation_of_information": ("interior", "labels"),
}


def iou(prediction, target, labels, empty="nan"):
    """Intersection over union `|A and B| / |A or B|` (Jaccard index) of the pixels of each label, from 0 to 1.

    It is `d / (2 - d)` of the overlap `d` of `dice`, without smoothing.

    Args:
        prediction, target: label maps, see the module.
        labels: the values to compare, a list of integers without repetition.
        empty: what a label has that neither map holds: `"nan"` (leave it out with `numpy.nanmean`), `"one"`, or `"zero"`. A label
            that only one of them holds has 0.

    Returns:
        float64 `(len(labels),)`.

    Raises:
        ValueError: label maps or labels that are not whole numbers, shapes that differ, an unknown `empty`.

    Reference: Jaccard, The distribution of the flora in the alpine zone, New Phytologist 11(2), 1912.
    """
    overlap = dice(prediction, target, labels, empty)
    return overlap / (2.0 - overlap)


def pixel_error(prediction, target):
    """Share of pixels with another label than they should have, from 0 to 1. Symmetric.

    Args:
        prediction, target: label maps, see the module.

    Returns:
        float.

    Raises:
        ValueError: label maps that are not whole numbers, shapes that differ.

    Reference: Arganda-Carreras et al., Crowdsourcing the creation of image segmentation algorithms for connectomics, Frontiers
    in Neuroanatomy 9:142, 2015.
    """
    prediction, target = label_map_pair(prediction, target)
    return float(np.mean(prediction != target))


def soft_dice(probabilities, target, definition="mindspore"):
    """Overlap of the probabilities of one image with its segmentation, from 0 to 1, not rounded to labels first.

    Args:
        probabilities: `(*volume, classes)`, from 0 to 1, of one image or volume, two classes or more.
        target: a label map of 0 to `classes - 1`, `(*volume)` or `(*volume, 1)`, or one-hot or probabilities `(*volume, classes)`.
        definition: a name below.

    Definitions, with sums over the pixels of the image:
        mindspore: `2 sum(p y) / (sum(p^2) + sum(y^2) + 1e-6)` over all classes together, background and all: what the evaluation
            of MindSpore's U-Net prints for an image. Uncertainty everywhere has 2/3 for two classes.
        per-class: `(2 sum(p y) + 1e-6) / (sum(p^2) + sum(y^2) + 1e-6)` for each class. The mean over classes and images is the
            `eval_dice_score` of NVIDIA's UNet_Medical and of the Ascend ModelZoo's UNet2D.

    Returns:
        float, or float64 `(classes,)` with "per-class".

    Raises:
        ValueError: values that are not from 0 to 1 (logits, for instance), a target of another shape, labels out of range, an
            unknown `definition`.
    """
    require_choice("definition", definition, DEFINITIONS["soft_dice"])
    probabilities = _probabilities("probabilities", probabilities)
    target = _one_hot(np.asarray(target), probabilities.shape)
    axes = None if definition == "mindspore" else tuple(range(probabilities.ndim - 1))
    shared = 2.0 * np.sum(probabilities * target, axis=axes)
    total = np.sum(probabilities**2, axis=axes) + np.sum(target**2, axis=axes)
    return float(shared / (total + 1e-6)) if definition == "mindspore" else (shared + 1e-6) / (total + 1e-6)


def adapted_rand_error(prediction, target, definition="interior"):
    """How badly pairs of pixels are put into the same cell: `1 - 2 precision recall / (precision + recall)`, from 0 to 1.

    Of all pairs of two pixels inside the cells of the target, precision is the share of those in one predicted cell that truly
    are in one cell, and recall the share of those in one true cell that were predicted to be. Cells that merged lower the
    precision, cells that were split lower the recall. Pixels of the target's membranes are not counted; pixels of predicted
    membranes inside the cells of the target count as one more cell. Needs scikit-image, whose `adapted_rand_error` gives the same
    error but (from 0.19 to 0.26) the recall in the place of the precision.

    The server of ISBI 2012 took the best of all thresholds and made membranes thinner before; its numbers are not these.

    Args:
        prediction, target: masks or label maps, see the module.
        definition: a name below.

    Definitions:
        interior: both are masks; cells are their `connected_components`.
        labels: both are label maps of cells that have been told apart; 0 in the target is membrane.

    Returns:
        `(error, precision, recall)`, floats. What is undefined is NaN: all of them for a target without cells.

    Raises:
        ValueError: arrays that are not masks or label maps, shapes that differ, an unknown `definition`.
        ImportError: scikit-image is not installed.

    Reference: Arganda-Carreras et al., Crowdsourcing the creation of image segmentation algorithms for connectomics, Frontiers
    in Neuroanatomy 9:142, 2015.
    """
    prediction, target = _cells("adapted_rand_error", prediction, target, definition)
    contingency_table = _scikit_image("adapted_rand_error").contingency_table
    if not target.size:
        return np.nan, np.nan, np.nan
    table = contingency_table(target, prediction)
    both, true, predicted = (_pairs(sizes) for sizes in (table.data, table.sum(axis=1), table.sum(axis=0)))
    with np.errstate(invalid="ignore"):
        return tuple(float(each) for each in (1.0 - 2.0 * both / (true + predicted), both / predicted, both / true))


def variation_of_information(prediction, target, definition="interior"):
    """How much one does not know of a pixel's cell in the one map who knows its cell in the other, in bits, 0 or more.

    `split` is the entropy of the predicted cell given the true one: cells that fell apart. `merge` is that of the true cell given
    the predicted one: cells that were taken for one. Their sum is the variation of information. Pixels of membranes are treated
    as in `adapted_rand_error`. Needs scikit-image.

    Args:
        prediction, target: masks or label maps, see the module.
        definition: a name below.

    Definitions:
        interior: both are masks; cells are their `connected_components`.
        labels: both are label maps of cells that have been told apart; 0 in the target is membrane.

    Returns:
        `(split, merge)`, floats; NaN for a target without cells.

    Raises:
        ValueError: arrays that are not masks or label maps, shapes that differ, an unknown `definition`.
        ImportError: scikit-image is not installed.

    Reference: Meila, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98(5), 2007.
    """
    prediction, target = _cells("variation_of_information", prediction, target, definition)
    measure = _scikit_image("variation_of_information").variation_of_information
    if not target.size:
        return np.nan, np.nan
    return tuple(float(each) for each in measure(target, prediction))


def connected_components(mask):
    """Numbers the cells of a mask: pixels of 1 that touch across an edge (in volumes, across a face) are one cell.

    Pixels that only touch at a corner are not: a membrane that is one pixel thin separates in every direction.

    Args:
        mask: zeros and ones of any rank, of an integer, boolean or float dtype.

    Returns:
        int32 in the shape of `mask`: 0 where it is 0, and 1, 2, ... for the cells.

    Raises:
        ValueError: values other than 0 and 1.
    """
    return _components("mask", mask, "mask == 255 for a mask of 0 and 255")


def _components(name, mask, advice):
    mask = label_map(name, mask)
    if mask.size and not 0 <= mask.min() <= mask.max() <= 1:
        received = "values from %d to %d" % (mask.min(), mask.max())
        raise refusal("`%s` must be a mask of 0 and 1" % name, received, advice)
    return ndimage.label(mask)[0].astype("int32")


def _cells(metric, prediction, target, definition):
    """For the pixels inside the target's cells: the number of the predicted cell, and of the true one, from 0 without gaps."""
    require_choice("definition", definition, DEFINITIONS[metric])
    prediction, target = label_map_pair(prediction, target)
    if definition == "interior":
        advice = "definition='labels' for cells that are numbered, or array == 255 for masks of 0 and 255"
        prediction, target = _components("prediction", prediction, advice), _components("target", target, advice)
    inside = target != 0
    return tuple(np.unique(each[inside], return_inverse=True)[1] for each in (prediction, target))


def _pairs(sizes):
    """Twice the number of pairs within groups of these sizes."""
    sizes = np.asarray(sizes, "float64")
    return np.sum(sizes * (sizes - 1.0))


def _scikit_image(metric):
    try:
        from skimage import metrics  # half a second, so not before it is needed
    except ImportError as error:
        message = "`%s` needs scikit-image, which is not installed. Try `pip install scikit-image`." % metric
        raise ImportError(message) from error
    return metrics


def _probabilities(name, array):
    array = np.asarray(array, "float64")
    if array.ndim < 2 or array.shape[-1] < 2:
        expected = "`%s` must have the shape (*volume, classes) with two classes or more" % name
        raise refusal(expected, describe(array.shape), "numpy.stack([1 - p, p], axis=-1) for the probability of a mask")
    if not (array.size and array.min() >= -1e-5 and array.max() <= 1 + 1e-5):  # float32 and blended tiles; false for NaN
        received = "values from %g to %g" % (array.min(), array.max()) if array.size else describe(array.shape)
        raise refusal("`%s` must be probabilities from 0 to 1" % name, received, "softmax, if they are logits")
    return array


def _one_hot(target, shape):
    if target.shape == shape:
        return _probabilities("target", target)
    labels = target[..., 0] if target.shape == shape[:-1] + (1,) else target
    if labels.shape != shape[:-1]:
        expected = "`target` must be a label map of shape %s, or have the shape of `probabilities`, %s" % (shape[:-1], shape)
        raise refusal(expected, describe(target.shape), "one image at a time")
    labels = label_map("target", labels)
    if not 0 <= labels.min() <= labels.max() < shape[-1]:
        received = "values from %d to %d" % (labels.min(), labels.max())
        raise refusal(
            "`target` must hold labels from 0 to %d" % (shape[-1] - 1), received, "target == 255 for labels of 0 and 255"
        )
    return np.equal(labels[..., None], np.arange(shape[-1])).astype("float64")
