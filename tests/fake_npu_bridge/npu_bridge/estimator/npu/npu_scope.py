"""Scopes that put an attribute on the nodes made inside of them."""

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from npu_bridge import YEAR


def _attribute_scope(name, **value):
    return tf.compat.v1.get_default_graph()._attr_scope({name: attr_value_pb2.AttrValue(**value)})


def without_npu_compile_scope():
    return _attribute_scope("_without_npu_compile", b=True)


def keep_dtype_scope():
    return _attribute_scope("_keep_dtype", **({"b": True} if YEAR == 2021 else {"i": 1}))


if YEAR >= 2026:

    def limit_core_num_scope(op_aicore_num="0", op_vectorore_num="0"):
        return _attribute_scope("_op_aicore_num", s=op_aicore_num.encode())
