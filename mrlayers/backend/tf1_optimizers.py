"""`tf.keras.optimizers.Adam` with what that of Keras 3 can do besides. Dies with TensorFlow 1.15.

TensorFlow 1.15 has a `LossScaleOptimizer` too, but one without weights or configuration: it can be neither resumed nor saved.
Here all that a resumed run needs is in `weights`.
"""

import tensorflow as tf

FIRST_LOSS_SCALE = 2.0**15  # these two are those of Keras 3
GROWTH_BATCHES = 2000


class ExtendedAdam(tf.keras.optimizers.Adam):
    """Adam with weight decay, gradients averaged over batches, and a scaled loss; see `zoo.optimizers.adam`."""

    def __init__(
        self, learning_rate, weight_decay=0.0, decoupled=False, accumulate=1, loss_scale=None, name="ExtendedAdam", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.accumulate = accumulate
        self.loss_scale = loss_scale
        self._states = {}

    def get_gradients(self, loss, params):
        """Of the scaled loss, in the scale of the loss."""
        if self.loss_scale is None:
            return super().get_gradients(loss, params)
        # Read once: what multiplies and what divides must be the same number.
        scale = tf.identity(self._scale() if self.loss_scale == "dynamic" else float(self.loss_scale))
        gradients = super().get_gradients(loss * tf.cast(scale, loss.dtype), params)
        return [gradient / tf.cast(scale, gradient.dtype) for gradient in gradients]

    def apply_gradients(self, grads_and_vars, name=None):
        """What `fit` runs for every batch."""
        pairs = [(tf.convert_to_tensor(gradient), variable) for gradient, variable in grads_and_vars]
        with tf.init_scope():  # the branches below must not make variables
            self.iterations
            self._create_hypers()
            self._create_slots([variable for _, variable in pairs])
        if self.loss_scale != "dynamic":
            return self._batch(pairs, name)
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in pairs])
        return tf.cond(finite, lambda: tf.group(self._batch(pairs, name), self._grow()), self._shrink)

    def _batch(self, pairs, name):
        """A step, or for all but the last of so many batches a larger sum."""
        if self.accumulate == 1:
            return super().apply_gradients(pairs, name)
        sums = [self.get_slot(variable, "gradient") for _, variable in pairs]
        batches = self._batches()

        def step():
            averaged = [((gradient + total) / self.accumulate, variable) for (gradient, variable), total in zip(pairs, sums)]
            with tf.control_dependencies([super(ExtendedAdam, self).apply_gradients(averaged, name)]):
                return tf.group([total.assign(tf.zeros_like(total)) for total in sums] + [batches.assign(0)])

        def wait():
            added = [total.assign_add(gradient) for (gradient, _), total in zip(pairs, sums)]
            return tf.group(added + [batches.assign_add(1)])

        return tf.cond(tf.equal(batches + 1, self.accumulate), step, wait)

    def _grow(self):
        good = self._good() + 1
        grown = good >= GROWTH_BATCHES
        larger = self._scale() * tf.compat.v2.where(grown, 2.0, 1.0)
        return tf.group(self._scale().assign(larger), self._good().assign(tf.compat.v2.where(grown, tf.zeros_like(good), good)))

    def _shrink(self):
        return tf.group(self._scale().assign(self._scale() / 2), self._good().assign(0))

    def _create_slots(self, var_list):
        super()._create_slots(var_list)
        if self.accumulate > 1:
            for variable in var_list:
                self.add_slot(variable, "gradient")
            self._batches()
        if self.loss_scale == "dynamic":
            self._scale()
            self._good()

    def _resource_apply_dense(self, grad, var, apply_state=None):
        name = var.name.split("/")[-1]
        if not self.weight_decay or "beta" in name or "gamma" in name:
            return super()._resource_apply_dense(grad, var, apply_state)
        if not self.decoupled:
            return super()._resource_apply_dense(grad + self.weight_decay * var, var, apply_state)
        with tf.control_dependencies([grad]):  # which was computed with the weight as it is now
            rate = self._decayed_lr(var.dtype.base_dtype)
            decayed = var.assign_sub(rate * self.weight_decay * var, read_value=False)
        with tf.control_dependencies([decayed]):
            return super()._resource_apply_dense(grad, var, apply_state)

    def get_config(self):
        config = super().get_config()
        config.update(
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            accumulate=self.accumulate,
            loss_scale=self.loss_scale,
        )
        return config

    def _batches(self):
        return self._state("batches", 0, tf.int32)

    def _scale(self):
        return self._state("loss_scale", FIRST_LOSS_SCALE, tf.float32)

    def _good(self):
        return self._state("good_batches", 0, tf.int32)

    def _state(self, name, value, dtype):
        """A number among the weights."""
        if name not in self._states:
            self._states[name] = self.add_weight(name, [], dtype, value, trainable=False)
            self._weights.append(self._states[name])
        return self._states[name]
