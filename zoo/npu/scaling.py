"""Optimizers as the adapter needs them: gradients averaged over ranks, the loss scaled, learning rate and state still Keras's."""

import numbers

from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.npu import bridge

# What the published scripts begin with, halved with every second overflow in a row and doubled after so many steps without one.
FIRST_LOSS_SCALE = 2.0**32
GROWTH_STEPS = 1000


def require_loss_scale(loss_scale):
    """A loss scale is `None`, `"dynamic"` or a number of at least 1."""
    number = isinstance(loss_scale, numbers.Real) and not isinstance(loss_scale, bool) and 1 <= loss_scale < float("inf")
    if loss_scale is not None and loss_scale != "dynamic" and not number:
        raise refusal("`loss_scale` must be None, 'dynamic' or a number of at least 1", repr(loss_scale), "loss_scale=1024")


def wrapped(optimizer, loss_scale, num_ranks):
    """`optimizer` for `model.compile`, which averages over ranks and scales the loss through the adapter.

    The adapter scales the loss for optimizers of `tf.train` only, and what it makes of them has no learning rate that a Keras
    callback could set. So a Keras optimizer takes its place among them for as long as the training step is built, and stays
    what `model.optimizer` is: callbacks set its learning rate, and checkpoints hold its state and that of the loss scale.

    Args:
        optimizer: of Keras or of `tf.train`, which remains without a learning rate for callbacks.
        loss_scale: as of `npu.compile`.
        num_ranks: number of processes.
    """
    if loss_scale is None and num_ranks == 1:
        return optimizer
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        adapted, _ = _adapted(optimizer, loss_scale, num_ranks)
        return _as_tensorflow(optimizer, adapted.compute_gradients, adapted.apply_gradients)
    if loss_scale is not None:
        _refuse_before_scaling(optimizer)

    def compute_gradients(loss, var_list=None, **options):
        return list(zip(optimizer.get_gradients(loss, var_list), var_list))

    def apply_gradients(grads_and_vars, global_step=None, name=None):
        return optimizer.apply_gradients(grads_and_vars, name)

    adapted, state = _adapted(_as_tensorflow(optimizer, compute_gradients, apply_gradients), loss_scale, num_ranks)

    def get_updates(loss, params):
        optimizer.iterations  # the first of its weights, as without a loss scale
        optimizer._weights.extend(variable for variable in state if not any(variable is known for known in optimizer._weights))
        return [adapted.apply_gradients(adapted.compute_gradients(loss, var_list=params))]

    optimizer.get_updates = get_updates  # on this one object, as the adapter's own wrapper does: class and names stay
    return optimizer


def _as_tensorflow(optimizer, compute_gradients, apply_gradients):
    """An optimizer of `tf.train` made of two functions. Keras asks it for its variables, which the adapter's cannot be asked for."""
    found = bridge.tensorflow("npu.compile").compat.v1.train.Optimizer(use_locking=False, name=type(optimizer).__name__)
    found.compute_gradients = compute_gradients
    found.apply_gradients = apply_gradients
    return found


def _adapted(optimizer, loss_scale, num_ranks):
    """An optimizer of `tf.train`, averaged inside and scaled outside as in the published scripts, and its variables."""
    if num_ranks > 1:
        distribute = bridge.find("npu_distributed_optimizer_wrapper") or bridge.find("NPUDistributedOptimizer")
        optimizer = distribute(optimizer)
    if loss_scale is None:
        return optimizer, []
    manager = _manager(loss_scale)
    scaled = bridge.find("NPULossScaleOptimizer")(optimizer, manager, is_distributed=num_ranks > 1)
    names = ("_loss_scale", "_num_good_steps", "_num_bad_steps") if loss_scale == "dynamic" else ()
    return scaled, [getattr(manager, name) for name in names]


def _manager(loss_scale):
    if loss_scale != "dynamic":
        return bridge.find("FixedLossScaleManager")(loss_scale)
    return bridge.find("ExponentialUpdateLossScaleManager")(
        init_loss_scale=FIRST_LOSS_SCALE,
        incr_every_n_steps=GROWTH_STEPS,
        decr_every_n_nan_or_inf=2,
        incr_ratio=2,
        decr_ratio=0.5,
    )


def _refuse_before_scaling(optimizer):
    if getattr(optimizer, "loss_scale", None) is not None:
        received = "one with loss_scale=%r" % optimizer.loss_scale
        raise refusal("`optimizer` must not scale the loss beside `npu.compile`", received, "loss_scale=None in one of them")
    for name in ("clipnorm", "clipvalue"):
        if hasattr(optimizer, name):
            expected = "`optimizer` must not clip gradients with a loss scale, as Keras clips before they are scaled back"
            raise refusal(expected, "%s=%r" % (name, getattr(optimizer, name)), "loss_scale=None, or no clipping")
