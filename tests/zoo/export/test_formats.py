import json
import os
import subprocess
import sys

import numpy as np
import pytest

from contract import HALF, compute_dtype
from exported import CASCADES, NETWORKS, arrays_for, fed, network, outputs_of
from mrlayers import FFT, DataConsistency, backend
from mrlayers.backend import RUNTIME, keras
from zoo import export
from zoo.export.interface import interface
from zoo.files import installed

ON_TENSORFLOW_1 = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="only TensorFlow 1.15 freezes graphs")
ON_TENSORFLOW = pytest.mark.skipif(RUNTIME not in ("tensorflow1", "tensorflow"), reason="SavedModels are TensorFlow's")
ON_TORCH = pytest.mark.skipif(RUNTIME != "torch", reason="ONNX is written by PyTorch")
WITH_ONNX = pytest.mark.skipif(
    not all(installed(name) for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="onnx, onnxscript or onnxruntime is absent: `pip install mrlayers[onnx]`",
)
QUICK_AS_ONNX = ("deep_cascade", "dynamic_cascade", "crnn_mri", "voxelmorph_diffeomorphic")
PUBLISHED = {
    "cascade": (["feature", "mask"], ["predTst"]),
    "voxelmorph": (["input_src", "input_tgt"], ["moved", "flow"]),
    "unet": (["image"], None),
}
FRESH = """
import json, sys
import numpy as np
import tensorflow as tf
for path, numbers, results in json.loads(sys.stdin.read()):
    definition = tf.GraphDef()
    with open(path, "rb") as file:
        definition.ParseFromString(file.read())
    with tf.Graph().as_default(), tf.Session() as session, np.load(numbers) as arrays:
        names = [name for name in arrays.files if name != "outputs"]
        outputs = tf.import_graph_def(definition, name="", return_elements=[name + ":0" for name in arrays["outputs"]])
        found = session.run(outputs, {name + ":0": arrays[name] for name in names})
        np.savez(results, **{str(index): array for index, array in enumerate(found)})
assert not any(name.startswith(("mrlayers", "zoo")) for name in sys.modules)
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Of every family: the description of its frozen graph, its outputs in a fresh process, and those of the Keras model."""
    folder = tmp_path_factory.mktemp("frozen")
    tasks, expected, described = [], {}, {}
    for name in NETWORKS:
        keras.backend.clear_session()
        model = network(name)
        arrays = arrays_for(model)
        path = str(folder / (name + ".pb"))
        export.freeze(model, path)
        described[name] = export.inspect(path)
        expected[name] = outputs_of(model, arrays)
        inputs = dict(zip([each for each, _, _ in described[name].inputs], fed(name, arrays)))
        np.savez(path + ".npz", outputs=[each for each, _, _ in described[name].outputs], **inputs)
        tasks.append((path, path + ".npz", path + ".results.npz"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", FRESH]
    subprocess.run(command, input=json.dumps(tasks).encode(), env=environment, check=True, cwd=str(folder))
    results = {}
    for name, (_, _, path) in zip(NETWORKS, tasks):
        with np.load(path) as archive:
            results[name] = [archive[str(index)] for index in range(len(archive.files))]
    return described, results, expected


@ON_TENSORFLOW_1
@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_graph_agrees_in_a_fresh_process(frozen, name):
    _, results, expected = frozen
    for result, wanted in zip(results[name], expected[name]):
        np.testing.assert_allclose(result, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


@ON_TENSORFLOW_1
@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_graph_is_as_published_and_bare(frozen, name):
    description = frozen[0][name]
    family = "cascade" if name in CASCADES else name.split("_")[0]
    inputs, outputs = PUBLISHED[family]
    assert [each for each, _, _ in description.inputs] == inputs
    assert [each for each, _, _ in description.outputs] == (outputs or [description.outputs[0][0]])
    assert {dtype for _, _, dtype in description.inputs + description.outputs} == {"float32"}
    assert all(shape[0] == 1 and None not in shape for _, shape, _ in description.inputs + description.outputs)
    assert description.complex_nodes == [] and description.unlisted == []
    assert not set(description.operators) & {"IdentityN", "StopGradient", "TensorArrayV3", "Enter", "While", "Switch"}


@ON_TENSORFLOW_1
def test_marks_go_and_the_model_stays(tmp_path):
    from zoo.npu import frozen

    model = network("dynamic_cascade")
    before = outputs_of(model, arrays_for(model))
    export.freeze(model, str(tmp_path / "graph.pb"), batch=2)
    definition = frozen.read(str(tmp_path / "graph.pb"))
    assert {key for node in definition.node for key in node.attr if key.startswith("_")} <= {"_keep_dtype"}
    assert frozen.signature(definition)[0][0][1] == (2, 3, 8, 6, 2)
    assert all(np.array_equal(*pair) for pair in zip(outputs_of(model, arrays_for(model)), before))
    assert {node.op for node in definition.node} >= {"MatMul"}


def test_networks_of_mixed_precision_are_exported_in_single():
    backend.set_precision("mixed_" + HALF)
    model = network("deep_cascade")
    backend.set_precision("float32")
    assert HALF in {compute_dtype(layer) for layer in model.layers}
    exported = interface(model)
    inputs = [keras.Input(shape[1:], batch_size=shape[0]) for _, shape in exported.inputs]
    whole = keras.Model(inputs, exported.network(inputs))
    (inner,) = [layer for layer in whole.layers if hasattr(layer, "layers")]
    assert {compute_dtype(layer) for layer in inner.layers} == {"float32"}


@ON_TENSORFLOW_1
def test_own_names_and_kspace_as_an_input(tmp_path):
    from zoo.npu import frozen

    model = network("deep_cascade")
    arrays = arrays_for(model)
    arrays[0] = arrays[0] / 2  # an image that does not follow from the k-space
    path = str(tmp_path / "graph.pb")
    inner = "zero_filled/Const"  # the name of a node within
    export.freeze(model, path, inputs=("start", "kspace", "mask"), outputs=(inner,))
    found = frozen.runner(frozen.read(path))(dict(zip(("start", "kspace", "mask"), arrays)))
    np.testing.assert_allclose(found[inner], outputs_of(model, arrays)[0], atol=1e-5)


@ON_TENSORFLOW
@pytest.mark.parametrize("name", ["deep_cascade", "voxelmorph", "unet"])
def test_saved_model_agrees(tmp_path, name):
    import tensorflow as tf

    model = network(name)
    arrays = arrays_for(model)
    path = str(tmp_path / "saved")
    export.savedmodel(model, path)
    names, outputs = PUBLISHED["cascade" if name in CASCADES else name]
    inputs = dict(zip(names, fed(name, arrays)))
    if RUNTIME == "tensorflow1":
        results = tf.contrib.predictor.from_saved_model(path)(inputs)
    else:
        served = tf.saved_model.load(path).signatures["serving_default"]
        results = served(**{each: tf.constant(array) for each, array in inputs.items()})
    for output, wanted in zip(outputs or list(results), outputs_of(model, arrays)):
        np.testing.assert_allclose(results[output], wanted, atol=1e-5)
    with pytest.raises(ValueError, match="must be a folder that does not exist. Received: .*saved"):
        export.savedmodel(model, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]


@ON_TORCH
@WITH_ONNX
@pytest.mark.parametrize(
    "name", [name if name in QUICK_AS_ONNX else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_onnx_agrees_on_onnxruntime(tmp_path, name):
    import onnxruntime

    model = network(name)
    arrays = arrays_for(model)
    export.onnx(model, str(tmp_path / "network.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    inputs, outputs = PUBLISHED["cascade" if name in CASCADES else name.split("_")[0]]
    assert [each.name for each in session.get_inputs()] == inputs
    assert outputs is None or [each.name for each in session.get_outputs()] == outputs
    results = session.run(None, dict(zip(inputs, fed(name, arrays))))
    for result, wanted in zip(results, outputs_of(model, arrays)):
        np.testing.assert_allclose(result, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.onnx"]


def any_export(model, path, **options):
    """Whatever this runtime writes; what is refused is refused by all."""
    call = {"tensorflow1": export.freeze, "tensorflow": export.savedmodel, "torch": export.onnx}
    if RUNTIME == "jax":
        pytest.skip("JAX exports nothing of the three")
    return call[RUNTIME](model, str(path / "file"), **options)


@pytest.mark.parametrize("sizes", [(None, None), (8, None)])
def test_unknown_sizes_are_refused(tmp_path, sizes):
    from zoo.unet import unet

    with pytest.raises(ValueError, match=r"must have inputs of known size. Received: image with shape .*None"):
        any_export(unet(sizes + (1,), 2, 2, 1), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch", [None, 0, 1.5])
def test_unknown_batch_is_refused(tmp_path, batch):
    with pytest.raises(ValueError, match="`batch` must be an integer"):
        any_export(network("unet"), tmp_path, batch=batch)


@pytest.mark.parametrize(
    "names",
    [
        dict(inputs=("feature",)),
        dict(outputs=("a", "b")),
        dict(inputs=("x", "x")),
        dict(outputs=("mask",)),
        dict(outputs=("a b",)),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, names):
    with pytest.raises(ValueError, match="must name 2 inputs and up to 1 outputs, each once|must name 3 inputs"):
        any_export(network("deep_cascade"), tmp_path, **names)


def test_kspace_of_other_use_is_refused(tmp_path):
    inputs = [keras.Input((4, 4, channels), name=name) for channels, name in ((2, "image"), (2, "kspace"), (1, "mask"))]
    model = keras.Model(inputs, DataConsistency(name="consistency")(inputs))
    with pytest.raises(ValueError, match=r"zero-filled image only .* Received: layer consistency. Try inputs=\('feature'"):
        any_export(model, tmp_path)


def test_missing_packages_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.export.formats.installed", lambda package: package != "onnxscript")
    with pytest.raises(ValueError, match="Received: no onnxscript. Try `pip install mrlayers.onnx.`"):
        export.onnx(network("unet"), str(tmp_path / "file.onnx"))


def test_other_runtimes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.export.formats.installed", lambda package: True)
    model, path = network("unet"), str(tmp_path / "file")
    calls = {export.freeze: ("tensorflow1",), export.savedmodel: ("tensorflow1", "tensorflow"), export.onnx: ("torch",)}
    for call, runtimes in calls.items():
        if RUNTIME not in runtimes:
            with pytest.raises(ValueError, match="`{}` needs .* Received: .*{}".format(call.__name__, RUNTIME)):
                call(model, path)
    assert list(tmp_path.iterdir()) == []


@ON_TENSORFLOW_1
@pytest.mark.parametrize("what", ["complex number", "loop"])
def test_what_no_chip_takes_is_refused(tmp_path, what):
    import tensorflow as tf

    class Hidden(keras.layers.Layer):
        def call(self, inputs):
            return FFT(engine="fft")(inputs) if what == "complex number" else tf.map_fn(lambda x: 2 * x, inputs)

    inputs = keras.Input((4, 4, 2), name="image")
    with pytest.raises(ValueError, match="must be one without a {}. Received: .*nodes, network/".format(what)):
        export.freeze(keras.Model(inputs, Hidden(name="hidden")(inputs)), str(tmp_path / "graph.pb"))
    assert list(tmp_path.iterdir()) == []
