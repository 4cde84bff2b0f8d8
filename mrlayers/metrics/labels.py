"""How well two label maps, or two sets of landmarks, agree.

Label maps are whole numbers (of an integer, boolean or float dtype: files and networks return floats) of any rank, both of one
shape, one volume at a time. `labels` says which of their values count, and in which order the results stand: a mean over other
labels is another number. 0 is the background, which a published list leaves out. What does not fit is refused with a
`ValueError`. Both metrics of label maps are symmetric in them.
"""

import numpy as np
from scipy import ndimage

from mrlayers.checks import describe, refusal, require_choice

DEFINITIONS = {"hd95": ("maximum", "pooled")}
DICE_OF_NOTHING = {"nan": np.nan, "one": 1.0, "zero": 0.0}
DISTANCE_OF_NOTHING = {"nan": np.nan, "zero": 0.0}
DISTANCE_TO_NOTHING = {"inf": np.inf, "nan": np.nan}


def dice(prediction, target, labels, empty="nan"):
    """Overlap `2 |A and B| / (|A| + |B|)` of the voxels of each label, from 0 to 1, without unit and without smoothing.

    Args:
        prediction, target: label maps, see the module.
        labels: the values to compare, a list of integers without repetition.
        empty: what a label has that neither map holds: `"nan"` (leave it out with `numpy.nanmean`), `"one"`, or `"zero"` (as
            VoxelMorph's evaluation does). A label that only one of them holds has 0.

    Returns:
        float64 `(len(labels),)`.

    Raises:
        ValueError: label maps or labels that are not whole numbers, shapes that differ, an unknown `empty`.

    Reference: Dice, Measures of the amount of ecologic association between species, Ecology 26(3), 1945; with `empty="zero"`
    the evaluation of github.com/voxelmorph/voxelmorph.
    """
    require_choice("empty", empty, DICE_OF_NOTHING)
    prediction, target, labels = _prepare(prediction, target, labels)
    shared = _sizes(prediction[prediction == target], labels)
    total = _sizes(prediction, labels) + _sizes(target, labels)
    return np.where(total == 0, DICE_OF_NOTHING[empty], 2.0 * shared / np.maximum(total, 1))


def hd95(prediction, target, labels, spacing, definition="maximum", empty="nan", missing="inf"):
    """Hausdorff distance of the surfaces of each label without its farthest 5 per cent, in the unit of `spacing`.

    A voxel belongs to the surface when one of its neighbours across a face has another label or lies outside the volume. Its
    distance is that of its centre to the centre of the nearest surface voxel of the other map. The 95th percentile interpolates
    linearly between distances (NumPy's default).

    Args:
        prediction, target: label maps, see the module.
        labels: the values to compare, a list of integers without repetition.
        spacing: size of a voxel, in mm: one number for each axis, or one for all.
        definition: a name below.
        empty: what a label has that neither map holds: `"nan"` or `"zero"`.
        missing: what a label has that only one map holds: `"inf"`, or `"nan"`, which hides a structure that was lost.

    Definitions:
        maximum: the larger of the 95th percentiles of the two directed sets of distances (MONAI).
        pooled: the 95th percentile of both sets put together (MedPy); mostly smaller, by much if one surface is small.

        google-deepmind/surface-distance, which Learn2Reg uses, is a third definition: percentiles of triangles between
        voxels, weighted by area. Its numbers are not these.

    Returns:
        float64 `(len(labels),)`.

    Raises:
        ValueError: label maps or labels that are not whole numbers, shapes that differ, a spacing that is not positive or has
            another number of axes, an unknown `definition`, `empty` or `missing`.

    Reference: Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE TPAMI 15(9), 1993.
    """
    require_choice("definition", definition, DEFINITIONS["hd95"])
    require_choice("empty", empty, DISTANCE_OF_NOTHING)
    require_choice("missing", missing, DISTANCE_TO_NOTHING)
    prediction, target, labels = _prepare(prediction, target, labels)
    spacing = _spacing(spacing, prediction.ndim)

    def distance(label):
        masks = prediction == label, target == label
        present = [mask.any() for mask in masks]
        if not all(present):
            return DISTANCE_TO_NOTHING[missing] if any(present) else DISTANCE_OF_NOTHING[empty]
        box = _bounding_box(masks[0] | masks[1])
        first, second = (_surface(mask[box]) for mask in masks)
        directed = _distances(first, second, spacing), _distances(second, first, spacing)
        if definition == "pooled":
            return np.percentile(np.concatenate(directed), 95)
        return max(np.percentile(distances, 95) for distances in directed)

    return np.array([distance(label) for label in labels], "float64")


def target_registration_error(points, targets, spacing=1.0):
    """Distance `|(points - targets) * spacing|` of each landmark from where it should be.

    Displacements are pull-back: a landmark of the fixed image at `p` is expected at `p + u(p)` in the moving image. So
    `points` are `mrlayers.warping.warp_points(fixed_landmarks, displacement)`, `targets` the landmarks of the moving image and
    `spacing` is that of the moving image. The orientation of the volume does not matter to a distance.

    Args:
        points: `(..., ndim)` in voxels, finite.
        targets: the true places, of the same shape.
        spacing: size of a voxel, in mm: one number for each axis, or one for all. 1 leaves the result in voxels.

    Returns:
        float64 `(...)`, in mm.

    Raises:
        ValueError: shapes that differ, values that are not finite, a spacing that is not positive or has another number of axes.
    """
    points, targets = np.asarray(points, "float64"), np.asarray(targets, "float64")
    if points.ndim < 1 or points.shape != targets.shape:
        raise refusal(
            "`targets` must have the shape of `points`, (..., ndim)",
            "%s and %s" % (points.shape, targets.shape),
            "the landmarks that both images have, in the same order",
        )
    for name, array in (("points", points), ("targets", targets)):
        if not np.isfinite(array).all():
            received = "%d values that are not" % np.count_nonzero(~np.isfinite(array))
            raise refusal("`%s` must be finite" % name, received, "leaving those landmarks out")
    return np.linalg.norm((points - targets) * _spacing(spacing, points.shape[-1]), axis=-1)


def _sizes(label_map, labels):
    return np.array([np.count_nonzero(label_map == label) for label in labels])


def _bounding_box(mask):
    """The slices of the smallest box around what is true: no distance between surfaces inside it leaves it."""
    axes = range(mask.ndim)
    places = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(place[0], place[-1] + 1) for place in places)


def _surface(mask):
    return mask & ~ndimage.binary_erosion(mask)


def _distances(surface, other, spacing):
    return ndimage.distance_transform_edt(~other, spacing)[surface]


def _prepare(prediction, target, labels):
    prediction, target = label_map_pair(prediction, target)
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "iu" or len(set(labels.tolist())) < labels.size:
        raise refusal(
            "`labels` must be a list of one or more integers without repetition",
            "%s, %s" % (describe(labels.shape), labels.dtype) if labels.ndim != 1 else repr(labels.tolist()),
            "numpy.unique(labels).astype(int)",
        )
    return prediction, target, labels.tolist()


def label_map_pair(prediction, target):
    """What was given as label maps of one shape, or a refusal."""
    prediction, target = label_map("prediction", prediction), label_map("target", target)
    if prediction.shape != target.shape:
        raise refusal(
            "`target` must have the shape of `prediction`, %s" % (prediction.shape,),
            describe(target.shape),
            "resampling one of them on the grid of the other with nearest interpolation",
        )
    return prediction, target


def label_map(name, array):
    """An array of whole numbers in an integer or boolean dtype, or a refusal."""
    array = np.asarray(array)
    received = "%s of %s" % (array.dtype, describe(array.shape))
    if array.ndim and array.dtype.kind in "biu":
        return array
    if array.ndim and array.dtype.kind == "f":
        wrong = (array != np.rint(array)) | np.isinf(array)  # NaN differs from itself
        if not wrong.any():
            return array.astype("int64")
        received = "%s and %d others" % (array[wrong][0], np.count_nonzero(wrong) - 1)
    raise refusal("`%s` must be a label map, of whole numbers" % name, received, "nearest interpolation where it was warped")


def _spacing(spacing, ndim):
    spacing = np.asarray(spacing, "float64")
    if spacing.shape not in ((), (ndim,)) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise refusal(
            "`spacing` must be one positive number, or one for each of %d axes" % ndim,
            spacing.tolist(),
            "the zooms of the file, header.get_zooms()[:%d]" % ndim,
        )
    return np.broadcast_to(spacing, (ndim,))
