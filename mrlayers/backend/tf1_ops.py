"""The part of `keras.ops` that mrlayers uses, on TensorFlow 1.15: same names, same arguments, same meaning.

`tests/mrlayers/backend/test_ops.py` holds every function here against `keras.ops`. Dies with TensorFlow 1.15.
"""

import tensorflow as tf


def abs(x):
    return tf.abs(x)


def add(x1, x2):
    return tf.add(x1, x2)


def cast(x, dtype):
    return tf.cast(x, dtype)


def concatenate(xs, axis=0):
    return tf.concat(xs, axis=axis)


def convert_to_tensor(x, dtype=None):
    return tf.convert_to_tensor(x, dtype=dtype)


def log(x):
    return tf.math.log(x)


def matmul(x1, x2):
    return tf.matmul(x1, x2)


def max(x, axis=None, keepdims=False):
    return tf.reduce_max(x, axis=axis, keepdims=keepdims)


def maximum(x1, x2):
    return tf.maximum(x1, x2)


def mean(x, axis=None, keepdims=False):
    return tf.reduce_mean(x, axis=axis, keepdims=keepdims)


def reshape(x, newshape):
    return tf.reshape(x, newshape)


def roll(x, shift, axis=None):
    return tf.roll(x, shift=shift, axis=axis)


def shape(x):
    dynamic = tf.shape(x)
    return tuple(dynamic[axis] if size is None else size for axis, size in enumerate(x.shape.as_list()))


def softplus(x):
    return tf.nn.softplus(x)


def sqrt(x):
    return tf.sqrt(x)


def square(x):
    return tf.square(x)


def stack(x, axis=0):
    return tf.stack(x, axis=axis)


def subtract(x1, x2):
    return tf.subtract(x1, x2)


def sum(x, axis=None, keepdims=False):
    return tf.reduce_sum(x, axis=axis, keepdims=keepdims)


def swapaxes(x, axis1, axis2):
    order = list(range(x.shape.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return tf.transpose(x, order)


def transpose(x, axes=None):
    return tf.transpose(x, perm=axes)
