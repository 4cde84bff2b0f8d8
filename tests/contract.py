"""What every layer must be able to do, whatever it computes."""

import contextlib
import functools
import json
import os
import subprocess
import sys

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras
from runtime import RUNTIME, evaluate, random

HALF = "float16" if RUNTIME == "tensorflow1" else "bfloat16"
RELOAD = """
import json
import sys
import traceback
import numpy as np
import mrlayers
from mrlayers.backend import keras
for line in sys.stdin:
    model, numbers = json.loads(line)
    try:
        with np.load(numbers) as archive:
            inputs, expected = [archive[str(index)] for index in range(len(archive.files) - 1)], archive["expected"]
        result = keras.saving.load_model(model).predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        assert np.array_equal(result, expected), np.abs(result - expected).max()
        answer = "same"
    except Exception:
        answer = traceback.format_exc()
    keras.backend.clear_session()
    print("ANSWER", json.dumps(answer), flush=True)
"""


def check_layer(make, arrays, tmp_path, half=False):
    """Every part of the contract. `make()` returns the layer, `arrays` are its inputs, batch first, at least three samples.

    `half`: the layer computes in half precision where a policy says so; the others never do, and `make` takes no arguments.
    """
    check_config_round_trip(make, arrays)
    check_batches(make, arrays)
    check_training_step(make, arrays)
    check_reload_in_another_process(make, arrays, tmp_path)
    check_half_precision(make, arrays) if half else check_single_precision(make, arrays)


def check_config_round_trip(make, arrays):
    layer = make()
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    expected = evaluate(layer, *arrays)
    result = evaluate(again, *arrays)
    assert len(layer.get_weights()) == len(again.get_weights())
    assert np.array_equal(result, expected)


def check_batches(make, arrays):
    """One model of unknown batch size, with a batch of all samples and with batches of one."""
    layer = make()
    model = functional(layer, arrays)
    assert model.output_shape[0] is None
    if hasattr(layer, "_flatten_layers"):  # Keras on JAX runs a network that holds one not built before it compiles it
        assert [inner.name for inner in layer._flatten_layers() if not inner.built] == []
    whole = predict(model, arrays)
    assert tuple(model.output_shape[1:]) == whole.shape[1:]
    single = [predict(model, [array[index : index + 1] for array in arrays]) for index in range(len(whole))]
    np.testing.assert_allclose(np.concatenate(single), whole, rtol=1e-5, atol=1e-6)


def check_training_step(make, arrays):
    """A layer behind one that mixes channels, and a loss on it: that one must learn through the layer."""
    model = functional(make(), arrays, learn=True)
    model.compile(keras.optimizers.SGD(0.1), loss="mse", **backend.COMPILE_OPTIONS)
    before = [weight.copy() for weight in model.get_weights()]
    target = random(*predict(model, arrays).shape, seed=9)
    model.train_on_batch(list(arrays) if len(arrays) > 1 else arrays[0], target)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before))


def check_reload_in_another_process(make, arrays, tmp_path):
    model = functional(make(), arrays)
    model.set_weights([weight + 0.25 for weight in model.get_weights()])  # what the configuration alone would not bring back
    path = str(tmp_path / "model")
    model.save(path + backend.SAVED_MODEL_SUFFIX)
    np.savez(path + ".npz", expected=predict(model, arrays), **{str(index): array for index, array in enumerate(arrays)})
    process = reloader()
    process.stdin.write(json.dumps([path + backend.SAVED_MODEL_SUFFIX, path + ".npz"]) + "\n")
    process.stdin.flush()
    answer = next((line for line in process.stdout if line.startswith("ANSWER ")), 'ANSWER "the process has ended"')
    answer = json.loads(answer[len("ANSWER ") :])
    assert answer == "same", answer


@functools.lru_cache(maxsize=None)
def reloader():
    """The process that reloads: one for all tests, as most of the time goes into its start. It has only imported `mrlayers`."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), TF_CPP_MIN_LOG_LEVEL="3")
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
    return subprocess.Popen([sys.executable, "-c", RELOAD], env=environment, **pipes)


def check_single_precision(make, arrays):
    """Under a half-precision policy others compute in half precision, and the layer keeps float32 values and numbers."""
    expected = evaluate(make(), *arrays)
    with half_precision():
        layer = make()
        assert compute_dtype(layer) == "float32"
        np.testing.assert_allclose(evaluate(layer, *arrays), expected, rtol=1e-5, atol=1e-6)
        model = functional(layer, arrays, learn=True)
        assert predict(model, arrays).dtype == np.float32


def check_half_precision(make, arrays):
    """The layer computes in half precision with weights in float32, and in float32 where `dtype` says so."""
    expected = evaluate(make(), *arrays)
    with half_precision():
        layer = make()
        result = predict(functional(layer, arrays), arrays).astype("float32")
        assert compute_dtype(layer) == HALF
        assert {backend.dtype_name(weight) for weight in layer.weights} <= {"float32"}
        np.testing.assert_allclose(result, expected, atol=0.1 * np.abs(expected).max())
        assert np.abs(result - expected).max() > 0 or not layer.weights
        np.testing.assert_allclose(evaluate(make(dtype="float32"), *arrays), expected, rtol=1e-5, atol=1e-5)


def compute_dtype(layer):
    return layer._compute_dtype if RUNTIME == "tensorflow1" else layer.compute_dtype


@contextlib.contextmanager
def half_precision():
    backend.set_precision("mixed_" + HALF)
    try:
        yield
    finally:
        backend.set_precision("float32")


def functional(layer, arrays, learn=False):
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    first = keras.layers.Dense(arrays[0].shape[-1], name="learns")(inputs[0]) if learn else inputs[0]
    tensors = [first] + inputs[1:]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(tensors if len(tensors) > 1 else tensors[0]))


def predict(model, arrays):
    return np.asarray(model.predict(list(arrays) if len(arrays) > 1 else arrays[0], verbose=0))
