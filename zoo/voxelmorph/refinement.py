"""Instance optimisation: a few steps of descent on one pair's own field, starting from the network's."""

import collections

import numpy as np

from mrlayers import SpatialTransformer
from mrlayers.backend import keras, ops
from mrlayers.checks import refusal, require_integer
from zoo.voxelmorph.network import integral
from zoo.voxelmorph.objective import compile_registration, field_shape

Refined = collections.namedtuple("Refined", "moved displacement velocity losses")


def refine(start, moving, fixed, iterations=50, similarity="mse", smoothness_weight=None, learning_rate=0.1):
    """The displacement of one pair of volumes, improved by gradient descent on the objective of `compile_registration`.

    The only unknown is the displacement itself, or for a diffeomorphic model its velocity, so that the result stays a
    diffeomorphism. The result is never worse than the start: of all iterations it is the one with the lowest loss.

    Args:
        start: a `voxelmorph` or `voxelmorph_diffeomorphic` model, or a displacement `(1,) + volume_shape + (ndim,)` in voxels.
        moving: `(1,) + volume_shape + (1,)`.
        fixed: likewise.
        iterations: steps of Adam.
        similarity: see `compile_registration`.
        smoothness_weight: see `compile_registration`; of the gradient of displacement or velocity.
        learning_rate: of Adam, about the voxels that the field may change by in one step.

    Returns:
        `Refined`: `moved` like `moving`, `displacement`, `velocity` (`None` without one), and `losses`, one more than
        there are iterations: that of the start first.

    Raises:
        ValueError: shapes that do not fit, values that are not finite.
    """
    require_integer("iterations", iterations, 1)
    moving, fixed = [np.asarray(volume, "float32") for volume in (moving, fixed)]
    if moving.shape[0] != 1 or moving.shape != fixed.shape or moving.ndim < 3:
        raise refusal(
            "`moving` and `fixed` must be one pair, both (1,) + volume_shape + (1,)",
            "%s and %s" % (moving.shape, fixed.shape),
            "volume[numpy.newaxis, ..., numpy.newaxis]",
        )
    volume_shape = moving.shape[1:-1]
    field, steps = _start(start, moving, fixed)
    if field.shape[0] != 1 or field.shape[-1] != len(volume_shape) or not steps and field.shape[1:-1] != volume_shape:
        raise refusal(
            "`start` must be a displacement of %s" % ((1,) + volume_shape + (len(volume_shape),),),
            field.shape,
            "the displacement of this pair",
        )
    image = keras.Input(moving.shape[1:], batch_size=1, name="moving")
    x = Field(field.shape[1:], name="field")(image)
    displacement = integral(x, volume_shape, steps, "displacement") if steps else x
    outputs = [SpatialTransformer(name="moved")([image, displacement]), displacement] + ([x] if steps else [])
    model = keras.Model(image, outputs, name="refinement")
    model.set_weights([field[0]])
    # The losses are means over voxels: without this, Adam's epsilon would stop it in large volumes.
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-7 / float(np.prod(volume_shape)))
    training = compile_registration(model, similarity, smoothness_weight, optimizer=optimizer)
    losses = _descend(training, moving, [fixed, np.zeros((1,) + field_shape(training), "float32")], iterations)
    moved, displacement = model.predict(moving, batch_size=1, verbose=0)[:2]
    return Refined(moved, displacement, model.get_weights()[0][np.newaxis] if steps else None, losses)


def _start(start, moving, fixed):
    """The field to begin with, and the steps of its integration, 0 for a displacement."""
    if not hasattr(start, "predict"):
        return np.asarray(start, "float32"), 0
    outputs = start.predict([moving, fixed], batch_size=1, verbose=0)
    if len(outputs) % 2 == 0:
        return outputs[1], 0
    return outputs[2][..., : moving.ndim - 2], start.get_layer("displacement_integration").steps


def _descend(training, moving, targets, iterations):
    """The loss before every step and after the last; leaves the weights of the lowest in the model."""
    losses, best = [], None
    for _ in range(iterations + 1):
        weights = training.get_weights()
        training.reset_metrics()  # early versions of Keras 3 give the mean since the last one
        losses.append(float(training.train_on_batch(moving, targets)[0]))
        if not np.isfinite(losses[0]):
            raise refusal("`moving`, `fixed` and `start` must be finite", "a loss of %s" % losses[0], "numpy.nan_to_num")
        if losses[-1] <= np.nanmin(losses):
            best = weights
    training.set_weights(best)
    return losses


@keras.saving.register_keras_serializable(package="mrlayers")
class Field(keras.layers.Layer):
    """A field that is a weight, whatever the input.

    Args:
        shape: of the field, without the batch.
    """

    def __init__(self, shape, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.shape = tuple(int(size) for size in shape)

    def build(self, input_shape):
        self.field = self.add_weight(name="field", shape=self.shape, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        return ops.reshape(self.field, (1,) + self.shape)

    def compute_output_shape(self, input_shape):
        return (1,) + self.shape

    def get_config(self):
        config = super().get_config()
        config.update(shape=self.shape)
        return config
