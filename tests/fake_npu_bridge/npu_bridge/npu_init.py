"""The names of `from npu_bridge.npu_init import *` that this project uses, each from the year on that has it."""

import os

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from npu_bridge import YEAR, calls

Optimizer = tf.compat.v1.train.Optimizer


class FixedLossScaleManager:
    def __init__(self, loss_scale, enable_overflow_check=True):
        if loss_scale < 1:
            raise ValueError("loss_scale")
        calls.append(("FixedLossScaleManager", loss_scale))
        self._fixed = tf.constant(loss_scale, tf.float32)

    def get_loss_scale(self):
        return self._fixed

    def update_loss_scale(self, finite):
        return tf.no_op()


class ExponentialUpdateLossScaleManager:
    """Its three variables are in no collection that Keras reads: whoever uses Keras initializes them."""

    def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, decr_ratio=0.8):
        self._rules = incr_every_n_steps, decr_every_n_nan_or_inf, incr_ratio, decr_ratio
        self._loss_scale = tf.Variable(float(init_loss_scale), trainable=False, name="loss_scale")
        self._num_good_steps = tf.Variable(0, trainable=False, name="good_steps")
        self._num_bad_steps = tf.Variable(0, trainable=False, name="bad_steps")

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite):
        steps_to_grow, steps_to_shrink, growth, decay = self._rules
        good = tf.compat.v2.where(finite, self._num_good_steps + 1, 0)
        bad = tf.compat.v2.where(finite, 0, self._num_bad_steps + 1)
        grows, shrinks = good >= steps_to_grow, bad >= steps_to_shrink
        factor = tf.compat.v2.where(grows, float(growth), tf.compat.v2.where(shrinks, decay, 1.0))
        with tf.control_dependencies([factor]):
            return tf.group(
                self._loss_scale.assign(self._loss_scale * factor),
                self._num_good_steps.assign(tf.compat.v2.where(grows, 0, good)),
                self._num_bad_steps.assign(tf.compat.v2.where(shrinks, 0, bad)),
            )


class NPULossScaleOptimizer(Optimizer):
    """Without the state of its base class, as that of TensorFlow's contrib, which the adapter's is made of."""

    def __init__(self, opt, loss_scale_manager, is_distributed=False):
        if not isinstance(opt, Optimizer):
            raise ValueError("opt must be a tf.train.Optimizer")
        calls.append(("NPULossScaleOptimizer", is_distributed))
        self._opt, self._manager = opt, loss_scale_manager

    def compute_gradients(self, loss, var_list=None, **options):
        scale = tf.identity(self._manager.get_loss_scale())
        pairs = self._opt.compute_gradients(loss * scale, var_list=var_list, **options)
        return [(gradient / scale, variable) for gradient, variable in pairs]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in grads_and_vars])
        applied = tf.cond(finite, lambda: tf.group(self._opt.apply_gradients(grads_and_vars, global_step, name)), tf.no_op)
        return tf.group(applied, self._manager.update_loss_scale(finite))


def _averaged(gradient):
    """Stands for the all-reduce of one gradient: a marked node, where there is more than one rank."""
    if int(os.environ.get("RANK_SIZE", "1")) == 1:
        return gradient
    mark = {"_fake_all_reduce": attr_value_pb2.AttrValue(b=True)}
    with tf.compat.v1.get_default_graph()._attr_scope(mark):
        return tf.identity(gradient, "HcomAllReduce")


class NPUDistributedOptimizer(Optimizer):
    def __init__(self, optimizer, is_weight_update_sharding=False, name=None):
        super().__init__(False, "NPUDistributedOptimizer")
        self._opt = optimizer

    def compute_gradients(self, *arguments, **options):
        return [(_averaged(gradient), variable) for gradient, variable in self._opt.compute_gradients(*arguments, **options)]

    def apply_gradients(self, *arguments, **options):
        return self._opt.apply_gradients(*arguments, **options)


if YEAR >= 2023:

    def npu_distributed_optimizer_wrapper(optimizer):
        """Changes the methods of the one object, as the adapter does."""
        calls.append(("npu_distributed_optimizer_wrapper", type(optimizer).__name__))
        compute = optimizer.compute_gradients
        optimizer.compute_gradients = lambda *arguments, **options: [
            (_averaged(gradient), variable) for gradient, variable in compute(*arguments, **options)
        ]
        return optimizer

    class NPUBroadcastGlobalVariablesCallback(tf.keras.callbacks.Callback):
        def __init__(self, root_rank):
            super().__init__()
            self.root_rank, self.done = root_rank, False

        def on_batch_begin(self, batch, logs=None):
            if not self.done:
                known = [variable for variable in tf.compat.v1.global_variables() if getattr(variable, "_keras_initialized", 0)]
                calls.append(("broadcast", self.root_rank, len(known)))
            self.done = True

    def init_resource(config=None):
        calls.append(("init_resource", config))
        return tf.compat.v1.Session(), tf.no_op("NPUShutdown")

    def shutdown_resource(sess, npu_shutdown):
        sess.run(npu_shutdown)
        calls.append(("shutdown_resource",))

    def close_session(sess):
        sess.close()
        calls.append(("close_session",))
