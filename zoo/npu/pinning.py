"""Host pinning and its proof: an NPU has no complex numbers, so every node that touches one must be marked for the host.

The marks are put by `mrlayers.backend`, forward and in every gradient. Nothing in a training script shows whether one was
forgotten, on the device the step would fail or run elsewhere without a word; so the finished graph is looked at.
"""

COMPLEX = ("complex64", "complex128")
VARIABLES = ("Var", "ReadVariable", "Assign", "ResourceApply", "Apply")
SHOWN = 8


def check_host_pinning(graph):
    """Refuses a graph of TensorFlow 1.15 in which host and NPU do not fit together.

    All nodes that touch a complex tensor carry `_without_npu_compile`, also inside of functions; only float32 tensors go from a
    marked node to one that is not, or back; no variable is made, read or written by a marked node.

    Args:
        graph: a `tf.Graph`, whose training step has been built, such as `keras.backend.get_session().graph` after `npu.compile`.

    Returns:
        How many nodes are marked.

    Raises:
        ValueError: what is wrong, node by node, with the layers they come from.

    References:
        The TF Adapter's rules for mixed computing, restated in `README.md`, section "Ascend NPUs".
    """
    found = violations(graph)
    if found:
        more = ["... and {} more".format(len(found) - SHOWN)] if len(found) > SHOWN else []
        raise ValueError(
            "Nodes that an NPU cannot run must be marked for the host, where only float32 may come and go. Received:\n  {}\n"
            "Try the layers FFT, IFFT and DataConsistency, which mark theirs, or engine='matmul', which needs none.".format(
                "\n  ".join(found[:SHOWN] + more)
            )
        )
    return len(pinned(graph))


def pinned(graph):
    """The operations that are marked for the host."""
    return [operation for operation in graph.get_operations() if is_pinned(operation)]


def is_pinned(operation):
    attributes = operation.node_def.attr
    return "_without_npu_compile" in attributes and attributes["_without_npu_compile"].b


def violations(graph):
    """One sentence for each thing that is wrong, see `check_host_pinning`."""
    found = []
    for operation in graph.get_operations():
        marked, where = (
            is_pinned(operation),
            "{} ({}) of layer {}".format(operation.name, operation.type, layer_of(operation.name)),
        )
        if not marked and touches_complex(operation):
            found.append(where + " touches complex numbers and is not marked")
        if marked and _touches_variable(operation):
            found.append(where + " is marked and touches a variable")
        for tensor in operation.inputs:
            if is_pinned(tensor.op) != marked and tensor.dtype.name != "float32":
                line = " takes {} from {}, which is on the other side".format(tensor.dtype.name, tensor.op.name)
                found.append(where + line)
    for function in graph.as_graph_def().library.function:
        for node in function.node_def:
            if not node.attr["_without_npu_compile"].b and is_complex(node):
                found.append(
                    "{} ({}) of function {} is complex and not marked".format(node.name, node.op, function.signature.name)
                )
    return found


def touches_complex(operation):
    tensors = list(operation.inputs) + list(operation.outputs)
    return any(tensor.dtype.base_dtype.name in COMPLEX for tensor in tensors)


def layer_of(name):
    """The layer whose name scope a node stands in; gradients repeat it behind `gradients`."""
    parts = name.split("/")
    last = max((index for index, part in enumerate(parts) if part.startswith("gradients")), default=-1)
    behind = parts[last + 1 :]
    return (behind[0][: -len("_grad")] if behind[0].endswith("_grad") else behind[0]) if behind else parts[0]


def _touches_variable(operation):
    tensors = list(operation.inputs) + list(operation.outputs)
    reference = any(tensor.dtype.name == "resource" or tensor.dtype._is_ref_dtype for tensor in tensors)
    return reference or operation.type.startswith(VARIABLES)


def is_complex(node):
    """Whether a `NodeDef` has a complex type among its attributes, or a list with one."""
    import tensorflow as tf

    numbers = [number for value in node.attr.values() for number in [value.type] + list(value.list.type)]
    return any(tf.as_dtype(number).base_dtype.name in COMPLEX for number in numbers if number)
