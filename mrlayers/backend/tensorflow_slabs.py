"""Steps over large tensors on TensorFlow 2, compiled by XLA.

A compiled region reads its arrays once for each array that it returns: from the cache, if it works on some rows at a time. It takes
them from the whole arrays itself, for to cut these beforehand costs what it saves.
"""

import functools

import tensorflow as tf

from mrlayers.backend.slabs import in_turn, joined, slabs

SLAB = 2**17  # pairs: 1 MB, ten times as much in the making


def in_slabs(*steps):
    """Each step is compiled by itself, or XLA would make what one step makes anew for each number of the next."""
    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    steps = joined(steps, _concatenate_pairs)
    first, *others = [compiled(step) for step in steps]
    if not others:
        return first

    @compiled
    def first_of_rows(tensors, options, begin, rows):
        def slab(x):
            if x.shape[-3] == 1:
                return x
            sizes = tf.concat([tf.shape(x)[:-3], [rows], tf.shape(x)[-2:]], 0)
            result = tf.slice(x, [0] * (x.shape.rank - 3) + [begin, 0, 0], sizes)
            result.set_shape(x.shape[:-3] + [rows] + x.shape[-2:])
            return result

        return steps[0](*tf.nest.map_structure(slab, tensors), options)

    following = in_turn(*others)

    def over_slabs(*arguments):
        *tensors, options = arguments
        parts = slabs(tuple(tensors[0].shape), SLAB)
        if len(parts) == 1 or tf.config.list_physical_devices("GPU"):
            return following(*first(*arguments), options)
        results = [following(*first_of_rows(tensors, options, tf.constant(begin), rows), options) for begin, rows in parts]
        return tf.concat(results, axis=-3)

    return over_slabs


def _concatenate_pairs(tensors):
    """By selection: XLA's own concatenation of pieces this short takes twice as long on CPUs."""
    result = tf.expand_dims(tensors[0], -2)
    for index, tensor in enumerate(tensors[1:], 1):
        chosen = tf.reshape(tf.range(len(tensors)) == index, (-1, 1))
        result = tf.where(chosen, tf.expand_dims(tensor, -2), result)
    return tf.reshape(result, tf.concat([tf.shape(tensors[0])[:-1], [2 * len(tensors)]], 0))
