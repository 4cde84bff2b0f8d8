"""Cross-validation: which images train and which validate. No Keras here."""

import numpy as np

from mrlayers.checks import refusal, require_choice, require_integer


def split_fold(count, fold, folds=5, seed=0, fold_rule="partition", groups=None):
    """Training and validation images of one fold.

    The images are put into the order `numpy.random.RandomState(seed).permutation(count)`, which is cut into `folds` parts of
    equal size (or sizes that differ by one); fold 0 validates on the last part, fold 1 on the one before it, and so on. So
    every image validates in exactly one fold, and the 30 images of ISBI 2012 are divided as MindSpore's U-Net divides them.

    NVIDIA's U-Net, and the ModelZoo port of it, mean the same but move the part on by `int((1 - 0.8) * count)`, which is 5 for
    30 images while the part has 6: four images are in two parts, and four in none. `fold_rule="nvidia"` gives these parts,
    to repeat published figures; it is no cross-validation.

    Args:
        count: Number of images.
        fold: From 0 to `folds - 1`.
        folds: From 2 to the number of images, or of groups.
        seed: Of the permutation, an integer from 0 to 2**32 - 1; published: 0.
        fold_rule: `"partition"`, or `"nvidia"`, which knows 5 folds only.
        groups: `count` names, for instance of patients: images with the same name stay together. `None`: every image alone.

    Returns:
        `(training, validation)`, arrays of indices in rising order.

    Raises:
        ValueError: When an argument is out of range.
    """
    require_integer("count", count, 2)
    require_integer("seed", seed, 0)
    require_choice("fold_rule", fold_rule, ("partition", "nvidia"))
    groups = list(range(count)) if groups is None else list(groups)
    if len(groups) != count:
        raise refusal("`groups` must be one name for each of the %d images" % count, "%d names" % len(groups), "groups=None")
    names = list(dict.fromkeys(groups))
    require_integer("folds", folds, 2)
    if folds > len(names):
        things = "images" if len(names) == count else "groups"
        raise refusal("`folds` must be at most the number of %s, %d" % (things, len(names)), folds, "folds=%d" % len(names))
    if not isinstance(fold, (int, np.integer)) or isinstance(fold, bool) or not 0 <= fold < folds:
        raise refusal("`fold` must be an integer from 0 to %d" % (folds - 1), repr(fold), "fold=0")
    order = np.random.RandomState(seed).permutation(len(names))
    part = np.array_split(order, folds)[folds - 1 - fold]
    if fold_rule == "nvidia":
        part = _truncated_part(order, fold, folds)
    chosen = {names[index] for index in part}
    validates = np.array([group in chosen for group in groups])
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def _truncated_part(order, fold, folds):
    """What is last once the order is rotated by `fold` shifts, each truncated to an integer from just below it."""
    if folds != 5:
        raise refusal("`folds` must be 5 with `fold_rule='nvidia'`", folds, "fold_rule='partition'")
    shift = int((1 - 0.8) * len(order))
    return np.roll(order, fold * shift)[int(0.8 * len(order)) :]
