"""The files that a network is exported to: a frozen graph, a SavedModel, ONNX."""

import contextlib
import logging
import os
import shutil
import tempfile
import warnings

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.export.interface import interface
from zoo.files import installed, make_folder, written_whole

LOOPS = ("TensorArrayV3", "Enter", "While", "StatelessWhile")  # which no om file holds, or not at a known cost


def freeze(model, path, batch=1, inputs=None, outputs=None):
    """Writes a model as a frozen graph: weights are constants, and no complex number, no loop and nothing for training is left.

    Checked on the graph and on CPUs; no NPU has been at hand. float32 in and out, in the learning phase 0, Fourier transforms as
    products with real matrices whatever engine the model was built with. Weights that were trained with Keras 3 cross as
    `.npz` (`zoo.training`).

    Args:
        model: a functional `keras.Model` on TensorFlow 1.15, every size known.
        path: file to write, `.pb`.
        batch: how many samples at once, always.
        inputs: names. By default `feature`, `mask` of the cascades, where `feature` is the zero-filled image and the k-space is what
            follows from it (see `zoo.export.interface`); `input_src`, `input_tgt` of registration; others keep their own.
        outputs: names of the first outputs, by default `predTst`; `moved`, `flow`; others keep their own.

    Raises:
        ValueError: another runtime, a size that is not known, names that do not fit, or an operation that cannot be exported.
    """
    definition = _frozen(interface(model, batch, inputs, outputs))
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(definition.SerializeToString())


def savedmodel(model, path, batch=1, inputs=None, outputs=None):
    """Writes a model as a SavedModel of TensorFlow: on TensorFlow 1.15 of its frozen graph, else by Keras. Arguments: as of `freeze`.

    Args:
        model: a functional `keras.Model` on TensorFlow.
        path: folder to write, which must not exist.
        batch: see `freeze`.
        inputs: see `freeze`.
        outputs: see `freeze`.

    Raises:
        ValueError: as of `freeze`, and a folder that exists.
    """
    if backend.RUNTIME not in ("tensorflow1", "tensorflow"):
        raise refusal("`savedmodel` needs Keras on TensorFlow", backend.RUNTIME, "KERAS_BACKEND=tensorflow")
    if os.path.exists(path):
        raise refusal("`path` must be a folder that does not exist", path, "another name")
    exported = interface(model, batch, inputs, outputs)
    with _folder_written_whole(path) as temporary:
        if backend.RUNTIME == "tensorflow1":
            from zoo.npu import frozen

            frozen.write_saved_model(_frozen(exported), temporary)
        else:
            network, signature = _keras_model(exported, named=True)
            network.export(temporary, format="tf_saved_model", verbose=False, input_signature=signature)


def onnx(model, path, batch=1, inputs=None, outputs=None):
    """Writes a model as ONNX, data consistency inside. Needs Keras 3 on PyTorch, `onnx` and `onnxscript`.

    Args:
        model: a functional `keras.Model`, every size known.
        path: file to write, `.onnx`.
        batch: see `freeze`.
        inputs: see `freeze`.
        outputs: see `freeze`.

    Raises:
        ValueError: as of `freeze`; another runtime, or a package that is not installed.
    """
    missing = [package for package in ("onnx", "onnxscript") if not installed(package)]
    if missing:
        raise refusal("`onnx` needs the packages onnx and onnxscript", "no " + missing[0], "`pip install mrlayers[onnx]`")
    if backend.RUNTIME != "torch":
        raise refusal("`onnx` needs Keras 3 on PyTorch", backend.RUNTIME, "KERAS_BACKEND=torch; weights cross as .npz")
    exported = interface(model, batch, inputs, outputs)
    import onnx as files

    network, signature = _keras_model(exported, named=False)
    with written_whole(path) as temporary:
        with _quiet():
            network.export(temporary, format="onnx", verbose=False, input_signature=signature)
        written = files.load(temporary)
        _name_outputs(written.graph, exported.outputs)
        _drop_idle_squeezes(written.graph, files.numpy_helper.to_array)
        files.checker.check_model(written)
        files.save(written, temporary)


def _frozen(exported):
    """The `GraphDef` of an interface, or one sentence on what in it cannot be exported."""
    if backend.RUNTIME != "tensorflow1":
        advice = "`savedmodel` or `onnx` here, or Python 3.7; weights cross as .npz"
        raise refusal("`freeze` needs TensorFlow 1.15", "Keras 3 on " + backend.RUNTIME, advice)
    from zoo.npu import frozen

    definition = frozen.freeze(exported.network, exported.inputs, exported.outputs)
    loops = [node.name for node in definition.node if node.op in LOOPS]
    for what, names in (("complex number", frozen.complex_nodes(definition)), ("loop", loops)):
        if names:
            raise refusal("`model` must be one without a %s" % what, "%d nodes, %s" % (len(names), names[0]), "engine='matmul'")
    return definition


def _keras_model(exported, named):
    """A `keras.Model` with the names and the batch of an interface, and what Keras wants to know to export just that.

    `named`: its result is a dict by name, whose order Keras does not keep, instead of a list, which has no names.
    """
    inputs = [keras.Input(shape[1:], batch_size=shape[0], name=name) for name, shape in exported.inputs]
    results = exported.network(inputs)
    signature = [keras.InputSpec(shape=shape, dtype="float32", name=name) for name, shape in exported.inputs]
    network = keras.Model(inputs, dict(zip(exported.outputs, results)) if named else results)
    return network, [signature]


def _name_outputs(graph, names):
    """PyTorch's exporter numbers the outputs; this gives them the names that were asked for."""
    wanted = dict(zip([output.name for output in graph.output], names))
    for output in graph.output:
        output.name = wanted[output.name]
    for node in graph.node:
        for references in (node.input, node.output):
            references[:] = [wanted.get(name, name) for name in references]


def _drop_idle_squeezes(graph, to_array):
    """To squeeze a size that is not 1 does nothing on PyTorch, which Keras relies on, and is an error in ONNX."""
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in graph.value_info}
    axes = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    idle = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Squeeze" and any(shapes[node.input[0]][axis] != 1 for axis in axes[node.input[1]].ravel())
    }
    for node in list(graph.node):
        if node.op_type == "Squeeze" and node.output[0] in idle:
            graph.node.remove(node)
        else:
            node.input[:] = [idle.get(name, name) for name in node.input]


@contextlib.contextmanager
def _quiet():
    """PyTorch's exporter tells of optional packages that nothing here needs, as warnings and in its log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _folder_written_whole(path):
    """A name for a new folder beside `path`, moved there when the block ends well."""
    parent = os.path.dirname(os.path.abspath(path))
    make_folder(parent)
    around = tempfile.mkdtemp(prefix=".partial-", dir=parent)
    try:
        temporary = os.path.join(around, os.path.basename(os.path.abspath(path)))
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(around)
