"""What every layer must be able to do, whatever it computes."""

import json
import os
import subprocess
import sys

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras
from runtime import RUNTIME, evaluate, random

RELOAD = """
import sys
import numpy as np
import mrlayers
from mrlayers.backend import keras
with np.load(sys.argv[1] + ".npz") as archive:
    inputs, expected = [archive[str(index)] for index in range(len(archive.files) - 1)], archive["expected"]
model = keras.saving.load_model(sys.argv[1] + sys.argv[2])
result = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
assert np.array_equal(result, expected), np.abs(result - expected).max()
"""


def check_layer(make, arrays, tmp_path):
    """Every part of the contract. `make()` returns the layer, `arrays` are its inputs, batch first, at least three samples."""
    check_config_round_trip(make, arrays)
    check_batches(make, arrays)
    check_training_step(make, arrays)
    check_reload_in_fresh_process(make, arrays, tmp_path)
    if RUNTIME != "tensorflow1":
        check_mixed_precision(make, arrays)


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
    model = functional(make(), arrays)
    assert model.output_shape[0] is None
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


def check_reload_in_fresh_process(make, arrays, tmp_path):
    model = functional(make(), arrays)
    model.set_weights([weight + 0.25 for weight in model.get_weights()])  # what the configuration alone would not bring back
    path = str(tmp_path / "model")
    model.save(path + backend.SAVED_MODEL_SUFFIX)
    np.savez(path + ".npz", expected=predict(model, arrays), **{str(index): array for index, array in enumerate(arrays)})
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), TF_CPP_MIN_LOG_LEVEL="3")
    command = [sys.executable, "-c", RELOAD, path, backend.SAVED_MODEL_SUFFIX]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout[-2000:]


def check_mixed_precision(make, arrays):
    """Under a half-precision policy others compute in half precision, and the layer keeps float32 values and numbers."""
    expected = evaluate(make(), *arrays)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = make()
        assert layer.compute_dtype == "float32"
        np.testing.assert_allclose(evaluate(layer, *arrays), expected, rtol=1e-5, atol=1e-6)
        model = functional(layer, arrays, learn=True)
        assert predict(model, arrays).dtype == np.float32
    finally:
        keras.config.set_dtype_policy(before)


def functional(layer, arrays, learn=False):
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    first = keras.layers.Dense(arrays[0].shape[-1], name="learns")(inputs[0]) if learn else inputs[0]
    tensors = [first] + inputs[1:]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(tensors if len(tensors) > 1 else tensors[0]))


def predict(model, arrays):
    return np.asarray(model.predict(list(arrays) if len(arrays) > 1 else arrays[0], verbose=0))
