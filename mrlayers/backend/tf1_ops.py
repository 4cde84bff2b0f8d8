"""The part of `keras.ops` that mrlayers uses, on TensorFlow 1.15: same names, same arguments, same meaning.

`tests/mrlayers/backend/test_ops.py` holds every function here against `keras.ops`. Dies with TensorFlow 1.15.
"""

import tensorflow as tf


def cast(x, dtype):
    return tf.cast(x, dtype)


def convert_to_tensor(x, dtype=None):
    return tf.convert_to_tensor(x, dtype=dtype)


def log(x):
    return tf.math.log(x)


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


def square(x):
    return tf.square(x)


def stop_gradient(variable):
    return tf.stop_gradient(variable)


def sum(x, axis=None, keepdims=False):
    return tf.reduce_sum(x, axis=axis, keepdims=keepdims)


def swapaxes(x, axis1, axis2):
    order = list(range(x.shape.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return tf.transpose(x, order)
