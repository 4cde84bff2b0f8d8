"""DataConsistency: contract, numbers, laws, refusals."""

import numpy as np
import pytest

import contract
from mrlayers import FFT, DataConsistency, backend
from mrlayers.backend import keras
from runtime import RUNTIME, double_precision, evaluate, gradients, random, relative_error, to_complex, to_pairs

ENGINES = ["fft", "matmul"]
SIZES = [(16, 12), (9, 13)]
MASKS = ["lines", "columns", "plane", "all", "shared"]


def make_mask(kind, size, batch=2):
    height, width = size
    shape = {
        "lines": (batch, height, 1, 1),
        "columns": (batch, 1, width, 1),
        "plane": (batch, height, width, 1),
        "all": (batch, 1, 1, 1),
        "shared": (1, height, width, 1),
    }[kind]
    mask = (np.random.RandomState(7).uniform(size=shape) < 0.4).astype("float32")
    mask.flat[0], mask.flat[-1] = 1, 0
    return mask


def expected(image, kspace, mask, data_weight=None, centered=False):
    """The formula, in k-space, in float64."""
    blend = 1.0 if data_weight is None else data_weight / (1.0 + data_weight)
    predicted = transform(image, centered)
    measured = mask[..., 0] * blend
    return transform(predicted * (1 - measured) + measured * kspace, centered, inverse=True)


def transform(z, centered, inverse=False):
    function = np.fft.ifft2 if inverse else np.fft.fft2
    if not centered:
        return function(z, norm="ortho")
    return np.fft.fftshift(function(np.fft.ifftshift(z, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def example(kind="lines", size=(9, 16)):
    return random(2, *size + (2,)), random(2, *size + (2,), seed=1), make_mask(kind, size)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_weight": 0.7, "trainable": True, "centered": True},
        {"data_weight": 2.0, "reference": "image", "engine": "matmul"},
    ],
)
def test_contract(options, tmp_path):
    image, kspace, mask = random(3, 7, 10, 2), random(3, 7, 10, 2, seed=1), make_mask("lines", (7, 10), batch=3)
    contract.check_layer(lambda: DataConsistency(name="consistency", **options), [image, kspace, mask], tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_formula(size, kind, centered, engine):
    image, kspace, mask = example(kind, size)
    for data_weight in (None, 0.0, 0.7, 1e6):
        truth = expected(to_complex(image), to_complex(kspace), mask, data_weight, centered)
        layer = DataConsistency(data_weight, centered=centered, engine=engine)
        assert relative_error(evaluate(layer, image, kspace, mask), to_pairs(truth, "float64")) < 1e-5
        zero_filled = to_pairs(transform(mask[..., 0] * to_complex(kspace), centered, inverse=True))
        layer = DataConsistency(data_weight, centered=centered, engine=engine, reference="image")
        assert relative_error(evaluate(layer, image, zero_filled, mask), to_pairs(truth, "float64")) < 1e-5


def test_blend_of_modelzoo():
    """w = lam / (0.5 + lam) for lam 0, .5, 2, 1e6 is 0, .5, .8, .9999995."""
    image, kspace, mask = example("plane")
    for lam, blend in [(0, 0), (0.5, 0.5), (2, 0.8), (1e6, 0.9999995)]:
        result = evaluate(DataConsistency(data_weight=2.0 * lam), image, kspace, mask)
        predicted, after = [transform(to_complex(x.astype("float64")), False) for x in (image, result)]
        moved = (after - predicted)[mask[..., 0] == 1] / (to_complex(kspace) - predicted)[mask[..., 0] == 1]
        np.testing.assert_allclose(moved, blend, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["lines", "columns"])
def test_lines_equal_the_full_mask(kind, engine):
    image, kspace, mask = example(kind)
    full = np.broadcast_to(mask, mask.shape[:1] + image.shape[1:3] + (1,)).copy()
    layer = DataConsistency(engine=engine)
    assert relative_error(evaluate(layer, image, kspace, mask), evaluate(layer, image, kspace, full)) < 1e-5


def test_an_axis_of_lines_is_never_transformed():
    """Read off the constant matrices, or off the transforms, of the TensorFlow 1.15 graph."""
    if RUNTIME != "tensorflow1":
        pytest.skip("only TensorFlow 1.15 keeps one graph to look at")
    image, reference, mask = example("lines", (6, 11))
    for engine in ENGINES:
        keras.backend.clear_session()
        evaluate(DataConsistency(reference="image", engine=engine), image, reference, mask)
        operations = keras.backend.get_session().graph.get_operations()
        if engine == "matmul":
            sizes = {
                op.outputs[0].shape.as_list()[0] for op in operations if op.type == "Const" and op.outputs[0].shape.rank == 2
            }
            assert sizes == {12}
        assert sum(op.type in ("FFT", "IFFT") for op in operations) == (2 if engine == "fft" else 0)
        assert not [op for op in operations if op.type in ("FFT2D", "IFFT2D")]


def test_frames_and_a_mask_for_each():
    image, kspace = random(2, 3, 8, 6, 2), random(2, 3, 8, 6, 2, seed=1)
    mask = (np.random.RandomState(0).uniform(size=(2, 3, 8, 1, 1)) < 0.4).astype("float32")
    result = evaluate(DataConsistency(), image, kspace, mask)
    truth = expected(to_complex(image), to_complex(kspace), mask)
    assert relative_error(result, to_pairs(truth, "float64")) < 1e-5


def test_mask_may_be_boolean_or_integer():
    image, kspace, mask = example()
    truth = evaluate(DataConsistency(), image, kspace, mask)
    for dtype in ("bool", "uint8", "int32"):
        assert np.array_equal(evaluate(DataConsistency(), image, kspace, mask.astype(dtype)), truth)


def test_integer_images_are_computed_as_floats():
    image, kspace, mask = example()
    image = (100 * image).astype("int32")
    for engine in ENGINES:
        result = evaluate(DataConsistency(engine=engine), image, kspace, mask)
        assert relative_error(result, evaluate(DataConsistency(engine=engine), image.astype("float32"), kspace, mask)) < 1e-6


def test_large_values_where_nothing_was_measured_do_not_matter():
    image, kspace, mask = example()
    spoiled = np.where(mask == 0, 1e6, kspace).astype("float32")
    assert (
        relative_error(evaluate(DataConsistency(), image, spoiled, mask), evaluate(DataConsistency(), image, kspace, mask))
        < 1e-5
    )


def test_a_frozen_weight_stays_frozen():
    layer = DataConsistency(0.7, trainable=True)
    layer.trainable = False
    again = DataConsistency.from_config(layer.get_config())
    evaluate(again, *example())
    assert len(again.weights) == 1 and not again.trainable_weights
    again.trainable = True
    assert len(again.trainable_weights) == 1


def test_large_learned_weight():
    layer = DataConsistency(1e4, trainable=True)
    image, kspace, mask = example()
    assert relative_error(evaluate(layer, image, kspace, mask), evaluate(DataConsistency(1e4), image, kspace, mask)) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("centered", [False, True])
def test_measured_samples_are_the_data_and_others_stay(centered, engine):
    image, kspace, mask = example("plane", (9, 15))
    result = evaluate(DataConsistency(centered=centered, engine=engine), image, kspace, mask)
    before, after = [transform(to_complex(x.astype("float64")), centered) for x in (image, result)]
    measured = mask[..., 0] == 1
    assert np.abs(after - to_complex(kspace))[measured].max() < 1e-5
    assert np.abs(after - before)[~measured].max() < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_algebra(engine):
    """Idempotent; non-expansive; identity for weight 0 and for an empty mask; the data for a full mask."""
    image, kspace, mask = example("plane")
    other = random(*image.shape, seed=5)
    layer = DataConsistency(engine=engine)
    once = evaluate(layer, image, kspace, mask)
    assert relative_error(evaluate(layer, once, kspace, mask), once) < 1e-5
    assert np.linalg.norm(once - evaluate(layer, other, kspace, mask)) <= np.linalg.norm(image - other) * (1 + 1e-6)
    assert np.array_equal(evaluate(DataConsistency(0.0, engine=engine), image, kspace, mask), image)
    assert np.array_equal(evaluate(layer, image, kspace, np.zeros_like(mask)), image)
    full = evaluate(layer, image, kspace, np.ones_like(mask))
    assert relative_error(full, to_pairs(transform(to_complex(kspace), False, inverse=True))) < 1e-5
    assert relative_error(evaluate(DataConsistency(1e9, engine=engine), image, kspace, mask), once) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", MASKS)
def test_gradients_are_the_adjoints(kind, engine):
    """DC is `A image + B kspace`: the gradients must satisfy <A x, y> = <x, A^H y> and the same for B, and none flows to the mask."""
    image, kspace, mask = example(kind)
    y = random(*image.shape, seed=3)
    layer = DataConsistency(0.7, engine=engine)
    zero = np.zeros_like(image)
    (to_image, to_kspace, to_mask), _ = gradients(layer, [image, kspace, mask], y)
    for gradient, inputs, x in [(to_image, (image, zero), image), (to_kspace, (zero, kspace), kspace)]:
        forward = np.sum(evaluate(layer, *inputs + (mask,)) * y, dtype="float64")
        assert np.sum(gradient * x, dtype="float64") == pytest.approx(forward, rel=1e-4)
    assert to_mask is None or not np.any(to_mask)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reference", ["kspace", "image"])
def test_gradients_equal_finite_differences(reference, engine):
    image, kspace, mask = [array.astype("float64") for array in example("plane", (5, 6))]
    y = random(*image.shape, seed=3, dtype="float64")
    with double_precision():
        layer = DataConsistency(0.7, trainable=True, reference=reference, engine=engine, dtype="float64")
        (to_image, to_reference, _), (to_weight,) = gradients(layer, [image, kspace, mask], y)
        raw = float(np.log(np.expm1(0.7)))

        def value(image, kspace, raw):
            layer.set_weights([np.asarray(raw)])
            return np.sum(evaluate(layer, image, kspace, mask) * y)

        direction, step = random(*image.shape, seed=4, dtype="float64"), 1e-4
        pairs = [
            (np.sum(to_image * direction), (step * direction, 0.0, 0.0)),
            (np.sum(to_reference * direction), (0.0, step * direction, 0.0)),
            (float(to_weight), (0.0, 0.0, step)),
        ]
        for gradient, moves in pairs:
            ahead = value(*[x + move for x, move in zip((image, kspace, raw), moves)])
            behind = value(*[x - move for x, move in zip((image, kspace, raw), moves)])
            assert gradient == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)


def test_learned_weight_cannot_become_negative():
    image, kspace, mask = example()
    inputs = [keras.Input(array.shape[1:]) for array in (image, kspace, mask)]
    layer = DataConsistency(0.5, trainable=True)
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(50.0), loss="mse", **backend.COMPILE_OPTIONS)
    for _ in range(5):
        model.train_on_batch([image, kspace, mask], image)  # the best weight for this target is 0
    assert np.isfinite(layer.get_weights()[0])
    result = model.predict([image, kspace, mask], verbose=0)
    blend = np.sum((result - image) * (evaluate(DataConsistency(), image, kspace, mask) - image)) / np.sum(
        (evaluate(DataConsistency(), image, kspace, mask) - image) ** 2
    )
    assert -1e-6 <= blend < 0.33


def test_engines_stay_equal_after_training():
    """The optimised paths against each other on weights that training has moved."""
    image, kspace, mask = example("lines", (8, 12))
    target, results = random(*image.shape, seed=6), []
    start = [random(3, 3, 2, 2, seed=8) * 0.1, np.zeros(2, "float32")]
    for engine in ENGINES:
        inputs = [keras.Input(array.shape[1:]) for array in (image, kspace, mask)]
        convolution = keras.layers.Conv2D(2, 3, padding="same")
        model = keras.Model(inputs, DataConsistency(1.0, True, engine=engine)([convolution(inputs[0])] + inputs[1:]))
        convolution.set_weights(start)
        model.compile(keras.optimizers.SGD(0.5), loss="mse", **backend.COMPILE_OPTIONS)
        for _ in range(5):
            model.train_on_batch([image, kspace, mask], target)
        results.append(model.predict([image, kspace, mask], verbose=0))
    assert relative_error(results[0], results[1]) < 1e-5


def test_functional_shapes_and_round_trip_with_fft():
    """The layer's own k-space convention is that of FFT: consistent data stay where they are."""
    image, _, mask = example("plane")
    for centered in (False, True):
        kspace = evaluate(FFT(centered=centered), image)
        assert relative_error(evaluate(DataConsistency(centered=centered), image, kspace, mask), image) < 1e-5


def refused(match, image=(2, 8, 6, 2), kspace=(2, 8, 6, 2), mask=(2, 8, 1, 1)):
    arrays = [random(*shape) for shape in (image, kspace, mask)]
    with pytest.raises(ValueError, match=match):
        evaluate(DataConsistency(), *arrays)
    with pytest.raises(ValueError, match=match):
        DataConsistency()([keras.Input(array.shape[1:]) for array in arrays])


def test_refusals_of_shapes():
    refused("`mask` must have the rank of `image`: .*Received: shape .*Try `numpy.expand_dims\\(mask, -1\\)`", mask=(2, 8, 6))
    refused("`mask` must be broadcastable to `image`: .*Received: shape", mask=(2, 7, 1, 1))
    refused("`mask` must be broadcastable to `image`: .*1 in the last", mask=(2, 8, 6, 2))
    refused("The reference must have the shape of `image`.*Received: shape", kspace=(2, 8, 5, 2))
    refused("`image` must have the shape \\(..., height, width, 2\\)", image=(2, 8, 6, 3), kspace=(2, 8, 6, 3))


def test_refusals_of_arguments():
    for data_weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`data_weight` must be a finite number of at least 0, or None"):
            DataConsistency(data_weight)
    for data_weight in (None, 0.0):
        with pytest.raises(ValueError, match="`data_weight` must be above 0 with `trainable=True`.*Try 1.0"):
            DataConsistency(data_weight, trainable=True)
    with pytest.raises(ValueError, match="`engine` must be one of"):
        DataConsistency(engine="cufft")
    with pytest.raises(ValueError, match="`reference` must be one of 'kspace', 'image'. Received: 'mask'"):
        DataConsistency(reference="mask")


def test_refusals_of_dtypes_and_lists():
    image, kspace, mask = example()
    with pytest.raises(ValueError, match="`inputs` must be one list of three tensors.*Received: 2 of them"):
        evaluate(DataConsistency(), image, kspace)
    with pytest.raises(ValueError, match="`kspace` must be real.*Received: a complex dtype"):
        evaluate(DataConsistency(), image, kspace.astype("complex64"), mask)
