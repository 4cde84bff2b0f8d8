"""Marks that Huawei's TF Adapter reads on the nodes of a graph, and TensorFlow ignores. Dies with TensorFlow 1.15.

A mark is put on the nodes that are created while its scope is open. Gradients are created later and inherit nothing, so what has
to be marked brings its own gradient, and opens the scope in that too.
"""

import contextlib

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

ON_HOST = "_without_npu_compile"
KEEP_PRECISION = "_keep_dtype"


@contextlib.contextmanager
def on_host(*tensors):
    """What is created in this scope, from these tensors, runs on the host where the rest runs on an NPU."""
    if tf.compat.v1.get_default_graph()._get_control_flow_context() is not None:
        # Whoever first takes a tensor from outside of a branch or a loop makes a node for it that also takes a boolean.
        tensors = [tf.identity(tensor) for tensor in tensors]
    with _marked(ON_HOST, b=True):
        yield tensors


def keep_precision():
    """What is created in this scope is not computed in half precision, whatever the mode. An integer since April 2021."""
    return _marked(KEEP_PRECISION, i=1)


def _marked(name, **value):
    return tf.compat.v1.get_default_graph()._attr_scope({name: attr_value_pb2.AttrValue(**value)})
