"""The part of `keras.ops` that mrlayers uses, on TensorFlow 1.15: same names, same arguments, same meaning.

`tests/mrlayers/backend/test_ops.py` holds every function here against `keras.ops`. Dies with TensorFlow 1.15.
"""

import tensorflow as tf


def abs(x):
    return tf.abs(x)


def arange(start):
    return tf.range(start)


def cast(x, dtype):
    return tf.cast(x, dtype)


def clip(x, x_min, x_max):
    return tf.clip_by_value(x, x_min, x_max)


def concatenate(xs, axis=0):
    return tf.concat(xs, axis)


def convert_to_tensor(x, dtype=None):
    return tf.convert_to_tensor(x, dtype=dtype)


def custom_gradient(f):
    return tf.custom_gradient(f)


def equal(x1, x2):
    return tf.equal(x1, x2)


def exp(x):
    return tf.exp(x)


def expand_dims(x, axis):
    return tf.expand_dims(x, axis)


def log(x):
    return tf.math.log(x)


def max(x, axis=None, keepdims=False):
    return tf.reduce_max(x, axis=axis, keepdims=keepdims)


def maximum(x1, x2):
    return tf.maximum(x1, x2)


def mean(x, axis=None, keepdims=False):
    return tf.reduce_mean(x, axis=axis, keepdims=keepdims)


def ones_like(x, dtype=None):
    return tf.ones_like(x, dtype=dtype)


def pad(x, pad_width, mode="constant", constant_values=0):
    return tf.pad(x, pad_width, mode=mode, constant_values=constant_values)


def relu(x):
    return tf.nn.relu(x)


def reshape(x, newshape):
    return tf.reshape(x, newshape)


def roll(x, shift, axis=None):
    return tf.roll(x, shift=shift, axis=axis)


def round(x):
    return tf.round(x)


def shape(x):
    dynamic = tf.shape(x)
    return tuple(dynamic[axis] if size is None else size for axis, size in enumerate(x.shape.as_list()))


def sign(x):
    return tf.sign(x)


def softplus(x):
    return tf.nn.softplus(x)


def sqrt(x):
    return tf.sqrt(x)


def square(x):
    return tf.square(x)


def stack(x, axis=0):
    return tf.stack(x, axis=axis)


def stop_gradient(variable):
    return tf.stop_gradient(variable)


def sum(x, axis=None, keepdims=False):
    return tf.reduce_sum(x, axis=axis, keepdims=keepdims)


def swapaxes(x, axis1, axis2):
    order = list(range(x.shape.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return tf.transpose(x, order)


def take(x, indices, axis=None):
    return tf.gather(x, indices, axis=axis)


def unstack(x, num=None, axis=0):
    return tf.unstack(x, num=num, axis=axis)


def where(condition, x1=None, x2=None):
    return tf.compat.v2.where(condition, x1, x2)


def zeros(shape, dtype=None):
    return tf.zeros(shape, dtype=dtype or tf.float32)


def zeros_like(x, dtype=None):
    return tf.zeros_like(x, dtype=dtype)
