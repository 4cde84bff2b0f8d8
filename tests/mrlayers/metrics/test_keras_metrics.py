"""Metrics that Keras computes while it trains, against those in NumPy."""

import numpy as np

from mrlayers import metrics
from runtime import evaluate, random, to_complex


def test_complex_psnr_equals_psnr():
    target, image = random(3, 8, 6, 2), random(3, 8, 6, 2, seed=1)
    result = evaluate(lambda pair: metrics.complex_psnr(*pair), target, image)
    np.testing.assert_allclose(result, metrics.psnr(to_complex(target), to_complex(image), "complex-max"), rtol=1e-5)
