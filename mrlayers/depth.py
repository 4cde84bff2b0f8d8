"""Stochastic depth: parts of a deep network are left out at random while it is trained."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, fits, refusal, require_two


@keras.saving.register_keras_serializable(package="mrlayers")
class StochasticDepth(keras.layers.Layer):
    """Leaves out what lies between two tensors: `before` with probability `rate` while training, else `after`.

    A cascade whose blocks are now and then left out does not rely on any one of them. Each sample of a batch is drawn by itself;
    nothing is rescaled. Called with `training=True` after training, the spread of several outputs tells how sure the network is.

    Args:
        rate: probability that a sample takes `before`, from 0 to below 1.
        seed: of the random numbers; `None` takes Keras's own.

    Call arguments:
        inputs: one list `[before, after]` of one shape.
        training: `False` or `None` outside of `fit`: the output is `after`.

    Input shape: `(batch, ...)`, both the same.

    Output shape: the same.

    Raises:
        ValueError: a rate out of its range, anything but two tensors of one shape.

    Example:

    >>> import numpy as np
    >>> from mrlayers import StochasticDepth
    >>> before, after = np.zeros((2, 8, 6, 2), "float32"), np.ones((2, 8, 6, 2), "float32")
    >>> chosen = StochasticDepth(0.5)([before, after], training=True)

    References:
        Huang et al., Deep networks with stochastic depth, ECCV 2016; `StochasticDnCn` of github.com/js3611/Deep-MRI-Reconstruction,
        which draws once for a whole batch.
    """

    def __init__(self, rate, seed=None, **kwargs):
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise refusal("`rate` must be a number from 0 to below 1", repr(rate), "rate=0.5")
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.dropout = keras.layers.Dropout(rate, seed=seed, dtype="float32")

    def call(self, inputs, training=None):
        before, after = require_two(inputs, "[before, after]")
        _check([backend.static_shape(x) for x in (before, after)])
        sample = ops.reshape(before, (ops.shape(before)[0], -1))[:, :1]
        kept = self.dropout(ops.ones_like(ops.cast(sample, "float32")), training=training)
        kept = ops.reshape(kept, (-1,) + (1,) * (len(before.shape) - 1))
        return ops.where(kept > 0, after, before)

    def compute_output_shape(self, input_shape):
        shapes = [backend.static_shape(shape) for shape in require_two(input_shape, "[before, after]")]
        _check(shapes)
        return shapes[1]

    def get_config(self):
        config = super().get_config()
        config.update(rate=self.rate, seed=self.seed)
        return config


def _check(shapes):
    if not fits(*shapes):
        raise refusal(
            "`before` and `after` must have one shape", "%s and %s" % tuple(map(describe, shapes)), "the same for both"
        )
