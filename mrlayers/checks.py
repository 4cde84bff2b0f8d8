"""Sentences for bad input: argument, expected, received, fix."""

import numpy as np


def require_choice(name, value, choices):
    """`value` must be one of `choices`."""
    if value not in choices:
        raise ValueError(
            "`{}` must be one of {}. Received: {!r}.".format(name, ", ".join(repr(choice) for choice in choices), value)
        )


def require_pairs(name, shape, dtype):
    """A tensor must be real with shape `(..., height, width, 2)`."""
    require_real(name, dtype)
    if len(shape) < 3 or shape[-1] != 2:
        raise ValueError(
            "`{}` must have the shape (..., height, width, 2) with a last axis of (real, imaginary). "
            "Received: {}. Try `numpy.stack([z.real, z.imag], axis=-1)`.".format(name, describe(shape))
        )


def require_real(name, dtype):
    """A tensor must not have a complex dtype."""
    if "complex" in str(dtype):
        raise ValueError(
            "`{}` must be real, with a last axis of (real, imaginary). Received: a complex dtype. "
            "Try `numpy.stack([z.real, z.imag], axis=-1)`.".format(name)
        )


def describe(shape):
    """A shape as a tuple would be printed, with `None` for sizes that are not known yet."""
    return "shape " + str(tuple(shape))


def refusal(expected, received, advice):
    """The error of bad input: a sentence of what is expected, then what was received and what to try."""
    return ValueError("{}. Received: {}. Try {}.".format(expected, received, advice))


def require_integer(name, value, lowest):
    """`value` must be a whole number from `lowest` to 2**32 - 1."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not lowest <= value < 2**32:
        raise refusal("`%s` must be an integer from %d to 2**32 - 1" % (name, lowest), repr(value), "%s=%d" % (name, lowest))


def require_series(name, shape):
    """A tensor must have the shape `(batch, time, [coils,] height, width, 2)` with a known number of frames."""
    if len(shape) not in (5, 6) or shape[-1] != 2:
        raise refusal(
            "`{}` must have the shape (batch, time, height, width, 2) with a last axis of (real, imaginary)".format(name),
            describe(shape),
            "`numpy.expand_dims({}, 1)` for a single frame".format(name)
            if len(shape) == 4 and shape[-1] == 2
            else "`numpy.stack([z.real, z.imag], axis=-1)`",
        )
    if shape[1] is None:
        raise refusal(
            "`{}` must have a known number of frames".format(name), describe(shape), "`keras.Input((frames, height, width, 2))`"
        )


def fits(shape, expected):
    """Equal as far as the sizes are known."""
    return len(shape) == len(expected) and all(a is None or b is None or a == b for a, b in zip(shape, expected))


def require_two(inputs, names):
    """A layer on two tensors takes them as one list."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
        raise ValueError(
            "`inputs` must be one list of two tensors, {}. Received: {}.".format(
                names, "{} of them".format(len(inputs)) if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            )
        )
    return inputs
