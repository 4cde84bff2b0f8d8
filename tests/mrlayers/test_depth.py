"""StochasticDepth: contract, the share that is left out, limits, refusals."""

import numpy as np
import pytest

from contract import check_layer
from mrlayers import StochasticDepth
from runtime import RUNTIME, evaluate, random

BEFORE, AFTER = random(3, 5, 4, 2), random(3, 5, 4, 2, seed=1)


def training(layer):
    return lambda inputs: layer(inputs, training=True)


def test_contract(tmp_path):
    check_layer(lambda **more: StochasticDepth(0.5, seed=1, name="depth", **more), [BEFORE, AFTER], tmp_path, half=True)


def test_share_that_is_left_out():
    before, after = np.zeros((4000, 2, 1), "float32"), np.full((4000, 2, 1), np.nan, "float32")
    result = evaluate(training(StochasticDepth(0.3, seed=5)), before, after)
    left_out = (result == 0).all(axis=(1, 2))
    assert (left_out | np.isnan(result).all(axis=(1, 2))).all()  # a sample as a whole, to the bit
    assert left_out.mean() == pytest.approx(0.3, abs=0.03)


def test_each_call_draws_anew():
    layer = StochasticDepth(0.5, seed=2)
    if RUNTIME == "tensorflow1":
        pytest.skip("TensorFlow 1.15 draws when the graph runs, and each call is a part of the graph")
    before, after = np.zeros((64, 1), "float32"), np.ones((64, 1), "float32")
    first, second = [evaluate(training(layer), before, after) for _ in range(2)]
    assert (first != second).any()


def test_nothing_is_left_out_outside_of_training_and_at_rate_0():
    np.testing.assert_array_equal(evaluate(StochasticDepth(0.9), BEFORE, AFTER), AFTER)
    np.testing.assert_array_equal(evaluate(training(StochasticDepth(0.0)), BEFORE, AFTER), AFTER)


@pytest.mark.parametrize("rate", [-0.1, 1, "half", None, True, float("nan")])
def test_refuses_a_rate(rate):
    with pytest.raises(ValueError, match="`rate` must be a number from 0 to below 1. Received: {!r}".format(rate)):
        StochasticDepth(rate)


def test_refuses_other_tensors():
    with pytest.raises(ValueError, match="one list of two tensors"):
        evaluate(StochasticDepth(0.5), BEFORE)
    with pytest.raises(ValueError, match=r"must have one shape. Received: shape \(3, 5, 4, 2\) and shape \(3, 5, 4, 1\)"):
        evaluate(StochasticDepth(0.5), BEFORE, AFTER[..., :1])
