"""KL of the diffeomorphic model: NumPy voxel by voxel, laws, refusals."""

import itertools

import numpy as np
import pytest

from applied import values
from mrlayers.losses import KL
from runtime import random


def brute_force(posterior, prior_lambda):
    """One sample: the matrix of degrees by counting neighbours, differences by walking through all pairs of neighbours."""
    shape, ndim = posterior.shape[:-1], posterior.shape[-1] // 2
    mean, log_variance = posterior[..., :ndim], posterior[..., ndim:]
    degree, squares = np.zeros(shape), [[] for _ in shape]
    for place in itertools.product(*[range(size) for size in shape]):
        for axis in range(ndim):
            neighbour = tuple(index + (axis == other) for other, index in enumerate(place))
            if neighbour[axis] < shape[axis]:
                degree[place] += 1
                degree[neighbour] += 1
                squares[axis].append((mean[neighbour] - mean[place]) ** 2)
    trace = np.mean(prior_lambda * degree[..., None] * np.exp(log_variance) - log_variance)
    precision = prior_lambda * 0.5 * sum(np.mean(pairs) for pairs in squares) / ndim
    return 0.5 * ndim * (trace + precision)


@pytest.mark.parametrize("shape", [(7,), (2, 5), (4, 3, 5)])
@pytest.mark.parametrize("prior_lambda", [10.0, 0.3])
def test_equals_brute_force(shape, prior_lambda):
    posterior = random(2, *shape + (2 * len(shape),))
    expected = [brute_force(sample, prior_lambda) for sample in posterior.astype("float64")]
    np.testing.assert_allclose(values(KL(prior_lambda), posterior), expected, rtol=1e-5)


def test_degree_of_corners_and_of_the_interior():
    """A variance at one voxel alone weighs 3 in a corner of a volume and 6 inside."""
    posterior = np.zeros((5, 5, 5, 5, 6), "float32")
    for sample, place in enumerate([(0, 0, 0), (0, 2, 0), (2, 2, 0), (2, 2, 2)]):
        posterior[(sample,) + place + (slice(3, None),)] = np.log(2.0)
    found = values(KL(1.0), posterior)
    expected = 1.5 * (np.array([3, 4, 5, 6]) - np.log(2.0)) / 5**3
    np.testing.assert_allclose(found[:4] - found[4], expected, rtol=1e-3)


def test_a_constant_velocity_costs_nothing():
    posterior = random(1, 5, 6, 4)
    moved = posterior + np.array([3.0, -2.0, 0.0, 0.0], "float32")
    np.testing.assert_allclose(values(KL(), moved), values(KL(), posterior), rtol=1e-5)


def test_best_variance_is_that_of_the_prior():
    """With log variance alone, the least value is where lambda D exp(log variance) is 1 on average."""
    posterior, grid = np.zeros((61, 40, 2), "float32"), np.linspace(-6, 0, 61)
    posterior[..., 1] = grid[:, None]
    assert grid[np.argmin(values(KL(10.0), posterior))] == pytest.approx(-np.log(10.0 * (2 - 2 / 40.0)), abs=0.1)


def test_refusals():
    for prior_lambda in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="`prior_lambda` must be a number above 0. Received: .*Try prior_lambda=10.0."):
            KL(prior_lambda)
    with pytest.raises(ValueError, match=r"`y_pred` must have 4 channels.*Received: shape \(1, 5, 6, 2\).*Try `numpy.concat"):
        values(KL(), random(1, 5, 6, 2))
    with pytest.raises(ValueError, match="at least 2 voxels along each axis"):
        values(KL(), random(1, 5, 1, 4))
