"""Folds: the published orders as literals, a partition for any number, and what is refused."""

import numpy as np
import pytest

from zoo.unet.folds import split_fold

ISBI = [{25, 3, 0, 21, 15, 12}, {6, 4, 18, 19, 9, 7}, {8, 14, 23, 20, 1, 29}, {27, 11, 17, 22, 5, 16}, {2, 28, 13, 10, 26, 24}]


def validation(*arguments, **named):
    return split_fold(*arguments, **named)[1].tolist()


# --- numbers


@pytest.mark.parametrize("fold", range(5))
def test_isbi_as_mindspore_divides_it(fold):
    training, validating = split_fold(30, fold)
    assert set(validating.tolist()) == ISBI[fold]
    assert set(training.tolist()) == set(range(30)) - ISBI[fold]
    assert list(training) == sorted(training) and list(validating) == sorted(validating)


def test_nvidia_truncates():
    """Fold by fold a shift of 5 with parts of 6: images 2, 10, 13 and 28 never validate."""
    parts = [validation(30, fold, fold_rule="nvidia") for fold in range(5)]
    assert all(len(part) == 6 for part in parts)
    assert set(parts[0]) == ISBI[0]
    assert set(range(30)) - set().union(*parts) == {2, 10, 13, 28}
    assert [len(set(first) & set(second)) for first, second in zip(parts, parts[1:])] == [1, 1, 1, 1]
    for fold, part in enumerate(parts):
        assert set(split_fold(30, fold, fold_rule="nvidia")[0]) == set(range(30)) - set(part)


# --- laws


@pytest.mark.parametrize("count, folds", [(30, 5), (31, 5), (34, 5), (7, 7), (5, 2), (263, 10)])
def test_every_image_validates_once(count, folds):
    parts = [validation(count, fold, folds, seed=3) for fold in range(folds)]
    assert sorted(sum(parts, [])) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_groups_stay_together():
    groups = ["patient %d" % (index * index % 7) for index in range(40)]
    everywhere = []
    for fold in range(4):
        training, validating = split_fold(40, fold, 4, groups=groups)
        assert {groups[index] for index in training} & {groups[index] for index in validating} == set()
        everywhere += validating.tolist()
    assert sorted(everywhere) == list(range(40))


def test_a_seed_is_an_order():
    assert validation(30, 0, seed=1) == validation(30, 0, seed=1) != validation(30, 0, seed=2)
    before = np.random.get_state()[1].tolist()
    split_fold(30, 0)
    assert np.random.get_state()[1].tolist() == before


# --- refusals


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (dict(fold=5), "`fold` must be an integer from 0 to 4. Received: 5. Try fold=0."),
        (dict(fold=-1), "`fold` must be an integer from 0 to 4"),
        (dict(fold=0.0), "`fold`"),
        (dict(fold=True), "`fold`"),
        (dict(fold=0, folds=31), "`folds` must be at most the number of images, 30. Received: 31. Try folds=30."),
        (dict(fold=0, folds=1), "`folds`"),
        (dict(fold=0, seed=-1), "`seed`"),
        (dict(fold=0, fold_rule="msu"), "`fold_rule` must be one of 'partition', 'nvidia'"),
        (dict(fold=0, folds=6, fold_rule="nvidia"), "`folds` must be 5"),
        (dict(fold=0, groups=["a"] * 29), "`groups` must be one name for each of the 30 images. Received: 29 names"),
        (dict(fold=0, groups=["a", "b"] * 15), "`folds` must be at most the number of groups, 2"),
    ],
)
def test_refusals(arguments, expected):
    with pytest.raises(ValueError) as caught:
        split_fold(30, **arguments)
    assert expected in str(caught.value)
