"""TemporalFourier: contract, numbers, laws, refusals."""

import numpy as np
import pytest

import contract
from mrlayers import TemporalFourier
from mrlayers.backend import keras
from runtime import evaluate, gradients, random, relative_error, to_complex, to_pairs

ENGINES = ["fft", "matmul"]


def test_contract(tmp_path):
    arrays = [random(3, 5, 4, 3, 2)]
    contract.check_layer(lambda: TemporalFourier(inverse=True, centered=True, engine="matmul", name="xf"), arrays, tmp_path)


@pytest.mark.parametrize("engine", ENGINES + ["auto"])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shape", [(2, 8, 3, 4, 2), (2, 7, 3, 2, 5, 2), (1, 1, 3, 4, 2)])
def test_equals_numpy(shape, centered, engine):
    x = random(*shape)
    z = to_complex(x.astype("float64"))
    z = np.fft.ifftshift(z, axes=1) if centered else z
    for inverse, function in [(False, np.fft.fft), (True, np.fft.ifft)]:
        expected = function(z, axis=1, norm="ortho")
        expected = to_pairs(np.fft.fftshift(expected, axes=1) if centered else expected, "float64")
        assert relative_error(evaluate(TemporalFourier(inverse, centered, engine), x), expected) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_rest_and_a_heartbeat(engine):
    """What rests is in frequency 0; a beat of two per series in the frequencies 2 and -2; nothing elsewhere."""
    beat = 3 + np.cos(2 * np.pi * 2 * np.arange(12) / 12)
    series = to_pairs(beat.reshape(1, 12, 1, 1) * (1 + 2j) * np.ones((1, 12, 3, 2)))
    found = to_complex(evaluate(TemporalFourier(engine=engine), series))
    expected = np.zeros(12, complex)
    expected[[0, 2, 10]] = np.sqrt(12) * (1 + 2j) * np.array([3, 0.5, 0.5])
    assert np.abs(found - expected.reshape(1, 12, 1, 1)).max() < 1e-5
    centered = to_complex(evaluate(TemporalFourier(centered=True, engine=engine), series))
    assert np.abs(centered)[0, :, 0, 0].argmax() == 6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("centered", [False, True])
def test_unitary(centered, engine):
    """<F x, y> = <x, F^H y>, F^H F = 1, and the gradient is the adjoint."""
    x, y = random(2, 7, 3, 4, 2), random(2, 7, 3, 4, 2, seed=1)
    forward, inverse = [TemporalFourier(way, centered, engine) for way in (False, True)]
    fx, fy = evaluate(forward, x), evaluate(inverse, y)
    assert np.sum(fx * y, dtype="float64") == pytest.approx(np.sum(x * fy, dtype="float64"), rel=1e-4)
    assert relative_error(evaluate(inverse, fx), x) < 1e-5
    assert relative_error(gradients(forward, [x], y)[0][0], fy) < 1e-5
    assert relative_error(gradients(inverse, [x], y)[0][0], evaluate(forward, y)) < 1e-5


def test_refusals():
    with pytest.raises(
        ValueError, match="must have the shape \\(batch, time, height, width, 2\\).*`numpy.expand_dims\\(inputs, 1\\)`"
    ):
        TemporalFourier()(keras.Input((8, 6, 2)))
    with pytest.raises(ValueError, match="last axis of \\(real, imaginary\\).*Received: shape"):
        TemporalFourier()(keras.Input((5, 8, 6, 3)))
    with pytest.raises(ValueError, match="`engine` must be one of 'auto', 'fft', 'matmul', 'split'. Received: 'dft'"):
        TemporalFourier(engine="dft")
    with pytest.raises(ValueError, match="must be real.*Received: a complex dtype"):
        evaluate(TemporalFourier(), to_complex(random(1, 4, 3, 2, 2, 2)))
