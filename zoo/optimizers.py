"""Adam with what the published recipes add to it: weight decay, gradients of several batches, a scaled loss."""

import numbers

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_choice, require_integer


def adam(
    learning_rate=1e-4,
    weight_decay=0.0,
    decay="l2",
    accumulate=1,
    loss_scale=None,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-8,
):
    """Adam (Kingma and Ba 2015) as a Keras optimizer for `model.compile(optimizer, loss, **backend.COMPILE_OPTIONS)`.

    A step with the gradient `g`, which is the mean over `accumulate` batches, changes every weight `w` as

        g <- g + weight_decay * w                            with decay="l2", before the moments
        w <- w - learning_rate * weight_decay * w            with decay="decoupled", beside the step
        m <- beta_1 * m + (1 - beta_1) * g,  v <- beta_2 * v + (1 - beta_2) * g**2
        w <- w - learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)

    where `t` counts steps, not batches. Weights with beta or gamma in their names (those of normalizations) do not decay.

    Args:
        learning_rate: of a step, above 0, or a Keras schedule. On Keras 3 a schedule counts batches, on TensorFlow 1.15 steps;
            they differ with `accumulate`. `zoo.training.exponential_decay` sets it by epochs.
        weight_decay: part of a weight, 0 or more: what MindSpore's U-Net has is 5e-4.
        decay: `"l2"` as published for MindSpore's U-Net, or `"decoupled"` (AdamW, Loshchilov and Hutter 2019).
        accumulate: batches in a step. What a last epoch leaves over is not stepped with; an epoch may end between two steps.
            Layers with statistics of a batch, such as batch normalization, see the small batches.
        loss_scale: `None`, a number that multiplies the loss and divides the gradients (published: 1024), or `"dynamic"`: 2**15,
            halved with every batch whose gradients are not finite, which is left out, and doubled after 2000 that are in a row.
        beta_1: what the mean of the gradients keeps, from 0 to below 1.
        beta_2: what the mean of their squares keeps, from 0 to below 1.
        epsilon: added to the root, above 0.

    Returns:
        A Keras optimizer. `zoo.training.fit` keeps and restores all of its state.

    Raises:
        ValueError: an argument out of its range.

    References:
        Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015 (epsilon as in the last lines of its section 2);
        Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019;
        Micikevicius et al., Mixed precision training, ICLR 2018.
    """
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        learning_rate = _number("learning_rate", learning_rate, "above 0", lambda value: value > 0, "1e-4")
    weight_decay = _number("weight_decay", weight_decay, "at least 0", lambda value: value >= 0, "5e-4")
    require_choice("decay", decay, ("l2", "decoupled"))
    require_integer("accumulate", accumulate, 1)
    if loss_scale is not None and loss_scale != "dynamic":
        loss_scale = _number("loss_scale", loss_scale, "above 0, 'dynamic' or None", lambda value: value > 0, "1024")
    beta_1 = _number("beta_1", beta_1, "from 0 to below 1", lambda value: 0 <= value < 1, "0.9")
    beta_2 = _number("beta_2", beta_2, "from 0 to below 1", lambda value: 0 <= value < 1, "0.999")
    epsilon = _number("epsilon", epsilon, "above 0", lambda value: value > 0, "1e-8")
    return backend.adam(learning_rate, weight_decay, decay, int(accumulate), loss_scale, beta_1, beta_2, epsilon)


def _number(name, value, expected, allows, fix):
    """A finite number in its range, as a `float`."""
    known = isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(value) < float("inf")
    if not known or not allows(value):
        raise refusal("`%s` must be a number %s" % (name, expected), repr(value), "%s=%s" % (name, fix))
    return float(value)
