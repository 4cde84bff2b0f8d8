"""FFT and IFFT: contract, numbers, laws, refusals."""

import numpy as np
import pytest

import contract
from mrlayers import FFT, IFFT, backend
from mrlayers.backend import keras, ops
from mrlayers.fourier import sampled_part
from mrlayers.matrices import real_dft_matrix
from runtime import RUNTIME, evaluate, gradients, random, relative_error, second_gradient, to_complex, to_pairs

ENGINES = ["fft", "matmul", "split"]
SIZES = [(16, 12), (7, 13), (1, 20)]


@pytest.mark.parametrize("layer_type", [FFT, IFFT])
def test_contract(layer_type, tmp_path):
    contract.check_layer(
        lambda: layer_type(axes=-2, centered=True, engine="matmul", name="transform"), [random(3, 7, 10, 2)], tmp_path
    )


@pytest.mark.parametrize("engine", ENGINES + ["auto"])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("axes", [(-3, -2), (-3,), (-2,)])
@pytest.mark.parametrize("size", SIZES)
def test_equals_numpy(size, axes, centered, engine):
    x = random(2, *size + (2,))
    moved = tuple(axis + 1 for axis in axes)
    z = np.fft.ifftshift(to_complex(x.astype("float64")), axes=moved) if centered else to_complex(x.astype("float64"))
    for layer_type, transform in [(FFT, np.fft.fftn), (IFFT, np.fft.ifftn)]:
        expected = transform(z, axes=moved, norm="ortho")
        expected = to_pairs(np.fft.fftshift(expected, axes=moved) if centered else expected, "float64")
        assert relative_error(evaluate(layer_type(axes=axes, centered=centered, engine=engine), x), expected) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_large_sizes_keep_their_digits(engine):
    x = random(1, 320, 251, 2)
    expected = to_pairs(np.fft.fft2(to_complex(x.astype("float64")), norm="ortho"), "float64")
    assert relative_error(evaluate(FFT(engine=engine), x), expected) < 1e-5


def test_gaussian_becomes_gaussian():
    """An analytic pair, so that the truth is nobody's FFT: exp(-pi x^2 / n) is its own orthonormal transform."""
    line = np.exp(-np.pi * (np.arange(32) - 16.0) ** 2 / 32)
    gaussian = to_pairs(np.outer(line, line) + 0j)[np.newaxis]
    assert relative_error(evaluate(FFT(centered=True), gaussian), gaussian) < 1e-5


@pytest.mark.parametrize("shape", [(5, 6, 2), (2, 5, 6, 2), (2, 3, 5, 6, 2), (2, 3, 4, 5, 6, 2)])
@pytest.mark.parametrize("engine", ENGINES)
def test_leading_axes(shape, engine):
    x = random(*shape)
    expected = to_pairs(np.fft.fft2(to_complex(x), norm="ortho"))
    assert relative_error(evaluate(FFT(engine=engine), x), expected) < 1e-5


def test_sizes_may_be_unknown_with_the_fft_engine():
    if RUNTIME == "jax":
        pytest.skip("JAX compiles for each size: Keras itself asks for them")
    image = keras.Input((None, None, 2))
    model = keras.Model(image, FFT(centered=True)(image))
    for size in [(8, 6), (5, 9)]:
        x = random(2, *size + (2,))
        assert relative_error(model.predict(x, verbose=0), evaluate(FFT(centered=True), x)) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_unitary(size, centered, engine):
    """<F x, y> = <x, F^H y>, F^H F = 1, and the gradient is the adjoint."""
    x, y = random(2, *size + (2,)), random(2, *size + (2,), seed=1)
    forward, inverse = FFT(centered=centered, engine=engine), IFFT(centered=centered, engine=engine)
    fx, fy = evaluate(forward, x), evaluate(inverse, y)
    assert np.sum(fx * y, dtype="float64") == pytest.approx(np.sum(x * fy, dtype="float64"), rel=1e-4)
    assert relative_error(evaluate(inverse, fx), x) < 1e-5
    assert relative_error(gradients(forward, [x], y)[0][0], fy) < 1e-5
    assert relative_error(gradients(inverse, [x], y)[0][0], evaluate(forward, y)) < 1e-5


@pytest.mark.parametrize("axes", [(-3,), (-2,), (-3, -2)])
def test_fast_kernel_equals_plain_transforms(axes):
    """`backend.fourier_projection` against `backend.fourier` twice with the mask in between."""
    x = random(2, 9, 16, 2)
    mask = (random(2, 9 if -3 in axes else 1, 16 if -2 in axes else 1, 1, seed=1) > 0.5).astype("float32")
    y = random(2, 9, 16, 2, seed=2)

    def plain(x):
        return backend.fourier(backend.fourier(x, axes, False) * ops.convert_to_tensor(mask), axes, True)

    def fast(x):
        return backend.fourier_projection(x, ops.convert_to_tensor(mask), axes)

    assert relative_error(evaluate(fast, x), evaluate(plain, x)) < 1e-5
    plain_layer, fast_layer = keras.layers.Lambda(plain), keras.layers.Lambda(fast)
    assert relative_error(gradients(fast_layer, [x], y)[0][0], gradients(plain_layer, [x], y)[0][0]) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_projection_has_second_derivatives(engine):
    """The Hessian of |P x|^2 / 2 is P itself."""
    mask = np.array([1, 0, 1, 1, 0, 0, 1, 0], "float32").reshape(1, 8, 1, 1)
    x, v = random(1, 8, 6, 2), random(1, 8, 6, 2, seed=1)

    def project(x):
        return sampled_part(x, ops.convert_to_tensor(mask), engine=engine)

    assert relative_error(second_gradient(project, x, v), evaluate(project, v)) < 1e-5


def test_integers_are_computed_as_floats():
    x = np.random.RandomState(0).randint(0, 256, (1, 8, 6, 2))
    for engine in ENGINES:
        expected = to_pairs(np.fft.fft2(to_complex(x), norm="ortho"), "float64")
        assert relative_error(evaluate(FFT(engine=engine), x.astype("int32")), expected) < 1e-5


def test_layers_share_their_matrices_on_tensorflow1():
    if RUNTIME != "tensorflow1":
        pytest.skip("only TensorFlow 1.15 keeps one graph to look at")
    evaluate(lambda x: IFFT(engine="matmul")(FFT(engine="matmul")(FFT(engine="matmul")(x))), random(1, 8, 8, 2))
    operations = keras.backend.get_session().graph.get_operations()
    assert sum(op.type == "Const" and op.outputs[0].shape.as_list() == [16, 16] for op in operations) == 2


def test_matmul_engine_has_no_complex_tensor():
    """Checked on the graph, which TensorFlow 1.15 has."""
    if RUNTIME != "tensorflow1":
        pytest.skip("only TensorFlow 1.15 keeps one graph to look at")
    import tensorflow as tf

    gradients(keras.layers.Lambda(lambda x: FFT(centered=True, engine="matmul")(x)), [random(2, 6, 5, 2)], random(2, 6, 5, 2))
    operations = keras.backend.get_session().graph.get_operations()
    assert not [
        op.name for op in operations for tensor in op.outputs if tensor.dtype.base_dtype in (tf.complex64, tf.complex128)
    ]


@pytest.mark.parametrize("size", [(256, 256), (320, 320)])
def test_round_trip_where_products_are_in_half_precision(size, monkeypatch, capsys):
    """An emulation of devices that round what they multiply to half precision, and add up in single precision."""
    exact = backend.matrix_product

    def halved(rows, matrix):
        return exact(ops.cast(ops.cast(rows, "float16"), "float32"), matrix.astype("float16").astype("float32"))

    monkeypatch.setattr(backend, "matrix_product", halved)
    image = np.random.RandomState(0).uniform(0, 1, (1,) + size + (2,)).astype("float32")
    found = {}
    for engine in ("matmul", "split"):
        again = evaluate(lambda x: IFFT(engine=engine)(FFT(engine=engine)(x)), image)
        found[engine] = -10 * np.log10(np.mean((again.astype("float64") - image) ** 2))
        gradient = gradients(FFT(engine=engine), [image], image)[0][0]
        found[engine + " gradient"] = relative_error(gradient, to_pairs(np.fft.ifft2(to_complex(image), norm="ortho")))
    with capsys.disabled():
        print("\nround trip at {}: {matmul:.0f} dB unprotected, {split:.0f} dB in three products".format(size, **found))
    assert found["split"] > 120 and found["split gradient"] < 1e-5
    assert found["matmul"] < 90 and found["matmul gradient"] > 1e-5


def test_matrices_are_unitary_to_the_last_digit():
    matrix = real_dft_matrix(101, False, True, True)
    assert np.abs(matrix @ matrix.T - np.eye(202)).max() < 1e-14


def test_refusals():
    with pytest.raises(ValueError, match="last axis of \\(real, imaginary\\).*Received: shape \\(2, 4, 6, 3\\)"):
        FFT()(ops.convert_to_tensor(random(2, 4, 6, 3)))
    with pytest.raises(ValueError, match="Received: shape \\(4, 2\\)"):
        FFT()(ops.convert_to_tensor(random(4, 2)))
    with pytest.raises(ValueError, match="Received: a complex dtype. Try `numpy.stack"):
        FFT()(ops.convert_to_tensor(to_complex(random(1, 4, 2, 2))))
    with pytest.raises(ValueError, match="`axes` must hold -3 \\(height\\), -2 \\(width\\) or both. Received: \\(1, 2\\)"):
        FFT(axes=(1, 2))
    with pytest.raises(ValueError, match="`engine` must be one of 'auto', 'fft', 'matmul', 'split'. Received: 'dft'"):
        FFT(engine="dft")
    if RUNTIME == "tensorflow1":  # Keras 3 builds anew for every size it meets
        with pytest.raises(ValueError, match="`engine` must be 'fft' where a size is not known"):
            image = keras.Input((None, None, 2))
            keras.Model(image, FFT(engine="matmul")(image)).predict(random(1, 4, 4, 2), verbose=0)
