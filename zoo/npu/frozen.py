"""Frozen graphs of TensorFlow: made of a Keras model on TensorFlow 1.15, read, described and run by any TensorFlow."""

import tensorflow.compat.v1 as tf

from mrlayers.checks import refusal
from zoo.files import existing, reading
from zoo.npu.pinning import is_complex
from zoo.npu.sessions import supported_batch_normalization

PASSING_ON = ("Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot")
# The same parser reads it as in training (inferred, not verified): it guards transforms from half precision.
KEPT = "_keep_dtype"


def freeze(network, inputs, outputs):
    """The `GraphDef` of a network with its variables as constants, and of nothing that does not lead to its outputs.

    Nodes that only pass a tensor on, as those do that hold gradients, go; so do all attributes that TensorFlow, the NPU's
    adapter or this package keep for training, `_without_npu_compile` among them, but for `_keep_dtype`.

    Args:
        network: function from a list of placeholders to a list of tensors. It is called in a graph and a session of its own,
            in the learning phase 0, and makes there whatever layers it needs.
        inputs: list of `(name, shape)`, float32, all sizes known.
        outputs: list of names.
    """
    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as session:
        tf.keras.backend.set_learning_phase(0)
        with supported_batch_normalization():
            results = network([tf.placeholder(tf.float32, shape, name) for name, shape in inputs])
        names = [result.op.name for result in results]
        constant = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
    return _bare(constant, [name for name, _ in inputs], zip(outputs, [result.name for result in results]))


def _bare(definition, inputs, outputs):
    nodes = {node.name: node for node in definition.node}

    def source(reference):
        """The output of a node that computes something, behind all that only pass it on."""
        name, _, index = reference.partition(":")
        if nodes[name].op in PASSING_ON:
            return source(nodes[name].input[int(index or 0)])
        return name, index or "0"

    outputs = [(name, source(reference)) for name, reference in outputs]
    needed, waiting = set(inputs), [node for _, (node, _) in outputs]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [source(reference)[0] for reference in _data(nodes[name])]

    def renamed(name):  # a layer may be called as an output is
        return name if name in inputs else "network/" + name

    bare = tf.GraphDef(versions=definition.versions)
    for node in definition.node:
        if node.name in needed:
            kept = bare.node.add(name=renamed(node.name), op=node.op)
            kept.input.extend("%s:%s" % (renamed(name), index) for name, index in map(source, _data(node)))
            for key, value in node.attr.items():
                if not key.startswith("_") or key == KEPT:
                    kept.attr[key].CopyFrom(value)
    for name, (node, index) in outputs:
        last = bare.node.add(name=name, op="Identity", input=["%s:%s" % (renamed(node), index)])
        last.attr["T"].type = tf.float32.as_datatype_enum
    return bare


def _data(node):
    """The inputs of a node that are tensors: in a function of its inputs and constants no order has to be kept."""
    return [reference for reference in node.input if not reference.startswith("^")]


def read(path):
    """The `GraphDef` in the file `path`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, or a graph without inputs.
    """
    path, definition = existing(path), tf.GraphDef()
    with reading(path), open(path, "rb") as file:
        definition.ParseFromString(file.read())
    if not _inputs(definition):
        expected = "`path` must be a frozen graph of TensorFlow, whose inputs are placeholders"
        raise refusal(expected, "%s, with %d nodes and no placeholder" % (path, len(definition.node)), "what `freeze` wrote")
    return definition


def _inputs(definition):
    return [node.name for node in definition.node if node.op == "Placeholder"]


def _outputs(definition):
    used = {reference.partition(":")[0].lstrip("^") for node in definition.node for reference in node.input}
    return [node.name for node in definition.node if node.name not in used]


def signature(definition):
    """`(inputs, outputs)`, each a list of `(name, shape, name of the dtype)`; `None` for what is not known of a shape."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        found = []
        for names in (_inputs(definition), _outputs(definition)):
            tensors = [graph.get_tensor_by_name(name + ":0") for name in names]
            found.append([(x.op.name, _sizes(x), x.dtype.base_dtype.name) for x in tensors])
    return tuple(found)


def _sizes(x):
    return (None,) if x.shape.ndims is None else tuple(x.shape.as_list())


def complex_nodes(definition):
    """Names of the nodes that touch a complex tensor."""
    return [node.name for node in definition.node if is_complex(node)]


def runner(definition):
    """A function that runs a frozen graph: from a dict of arrays by input to a dict of arrays by output."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    session = tf.Session(graph=graph)
    outputs = {name: name + ":0" for name in _outputs(definition)}

    def run(arrays):
        return session.run(outputs, {name + ":0": array for name, array in arrays.items()})

    return run


def write_saved_model(definition, folder):
    """Writes a frozen graph as a SavedModel with one signature, whose names are those of the graph."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.import_graph_def(definition, name="")
        inputs, outputs = [
            {name: graph.get_tensor_by_name(name + ":0") for name in names}
            for names in (_inputs(definition), _outputs(definition))
        ]
        tf.saved_model.simple_save(session, folder, inputs, outputs)
