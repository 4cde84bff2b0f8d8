"""A simulator of how the TF Adapter divides a graph between host and NPU. It runs nothing, and knows no device."""

import collections

import numpy as np

from zoo.npu.pinning import COMPLEX, is_pinned

HOST_TYPES = "Dataset Iterator String Placeholder PyFunc Print Summary Save Restore Assert _Arg _Retval".split()
NEVER_ON_NPU = COMPLEX + ("float64", "string", "variant")

Partition = collections.namedtuple("Partition", "npu host segments round_trips crossings bytes")


def simulate_partition(graph, fetches, supported_ops=None, batch_size=1):
    """What an NPU would run of a step, by the adapter's published rules for mixed computing.

    A node stays on the host when it is marked, when it touches complex numbers, doubles or strings, when it is fed or reads data,
    when its type is not among `supported_ops`, or when it belongs to a loop of which any node stays. Constants follow whoever takes
    them. What remains is put into as few segments as the order of the nodes allows, each of which is one graph on the NPU. The
    adapter's real list of operators comes with the toolkit, its clusters depend on its version: counts are a lower bound.

    Args:
        graph: a `tf.Graph` of TensorFlow 1.15.
        fetches: the operations or tensors that one step asks for, see `training_step`.
        supported_ops: types of operations that the NPU knows; `None` is all types.
        batch_size: stands in where a size of a tensor is unknown, for the bytes.

    Returns:
        A named tuple: `npu` and `host`, how many nodes either runs; `segments` on the NPU; `round_trips`, how often a step leaves
        the NPU and comes back; `crossings`, tensors that cross the border; `bytes` of those.

    References:
        The rules of `om_partition_subgraphs_pass` in Huawei's TF Adapter, restated.
    """
    operations = _ancestors([getattr(fetch, "op", fetch) for fetch in fetches])
    inside = set(operations)
    on_host = {operation: _stays(operation, supported_ops) for operation in operations if operation.type != "Const"}
    _move_loops(on_host)
    # Even stages are on the NPU, odd ones on the host; a node comes as early as what it takes allows.
    stages = {}
    for operation in operations:
        if operation in on_host:
            least = -1 if on_host[operation] else 0
            for before in _before(operation):
                least = max(least, stages.get(before, -1))
            stages[operation] = least if (least % 2 == 1) == on_host[operation] else least + 1
    used = sorted({stage for operation, stage in stages.items() if not on_host[operation]})
    crossing = set()
    for operation in on_host:
        for tensor in operation.inputs:
            if tensor.op in inside and tensor.op in on_host and on_host[tensor.op] != on_host[operation]:
                crossing.add(tensor)
    return Partition(
        npu=sum(not host for host in on_host.values()),
        host=sum(on_host.values()),
        segments=len(used),
        round_trips=max(len(used) - 1, 0),
        crossings=len(crossing),
        bytes=sum(_bytes(tensor, batch_size) for tensor in crossing),
    )


def training_step(model):
    """What one training step of a compiled `tf.keras` model asks for: the loss, the metrics and the updates."""
    model._make_train_function()
    return list(model.train_function.outputs) + [model.train_function.updates_op]


def _ancestors(fetches):
    """All operations that the fetches need, each behind those it needs itself."""
    ordered, seen, stack = [], set(), [(fetch, False) for fetch in fetches]
    while stack:
        operation, finished = stack.pop()
        if finished:
            ordered.append(operation)
        elif operation not in seen:
            seen.add(operation)
            stack.append((operation, True))
            stack.extend((before, False) for before in _before(operation))
            if operation.type == "Merge":  # the way back of a loop is needed too, but comes behind
                stack[:0] = [(tensor.op, False) for tensor in operation.inputs if tensor.op.type == "NextIteration"]
    return ordered


def _before(operation):
    taken = [tensor.op for tensor in operation.inputs if tensor.op.type != "NextIteration"]
    return taken + list(operation.control_inputs)


def _stays(operation, supported_ops):
    tensors = list(operation.inputs) + list(operation.outputs)
    return (
        is_pinned(operation)
        or any(kind in operation.type for kind in HOST_TYPES)
        or any(tensor.dtype.base_dtype.name in NEVER_ON_NPU for tensor in tensors)
        or supported_ops is not None
        and operation.type not in supported_ops
    )


def _move_loops(on_host):
    """A loop of which anything stays on the host stays there whole."""
    loops = collections.defaultdict(list)
    for operation in on_host:
        context = operation._get_control_flow_context()
        outermost = None
        while context is not None:
            outermost = context if context.IsWhileContext() else outermost
            context = context.outer_context
        if outermost is not None:
            loops[outermost].append(operation)
    for members in loops.values():
        if any(on_host[operation] for operation in members):
            on_host.update((operation, True) for operation in members)


def _bytes(tensor, batch_size):
    sizes = tensor.shape.as_list() if tensor.shape.rank is not None else []
    return int(np.prod([batch_size if size is None else size for size in sizes], dtype=np.int64)) * tensor.dtype.base_dtype.size
