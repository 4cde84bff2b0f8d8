"""What registration networks are trained for: similarity of the images, smoothness of the field, overlap of labels."""

from mrlayers import SpatialTransformer, backend, losses
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_choice, require_integer

SMOOTHNESS_WEIGHTS = {"mse": 0.01, "ncc": 1.0}


def compile_registration(
    model,
    similarity="mse",
    smoothness_weight=None,
    image_sigma=None,
    prior_lambda=None,
    num_labels=0,
    label_weight=0.01,
    optimizer=None,
    compile=None,
):
    """A compiled model for `zoo.training.fit` with the layers and the weights of `model`.

    Its inputs are `[moving, fixed]`, its outputs, each with a target, a list: the moved image (target: `fixed`), the field that
    is kept smooth (any target; zeros of `field_shape(...)` will do), for a bidirectional model the moved fixed image
    (`moving`), and with `num_labels` the moved labels (`fixed_labels`). Weights saved from it load into `model` and the other
    way round.

    The loss is the similarity of moved and fixed image, the mean of both directions for a bidirectional model, plus what the
    model calls for:

    - `voxelmorph`: `smoothness_weight * Gradient("l2")` of the displacement;
    - `voxelmorph_diffeomorphic`: `KL(prior_lambda)` of the posterior, or without one the gradient of the velocity;
    - with `num_labels`: `label_weight * Dice` of linearly warped one-hot labels. A third input, `moving_labels`
      `(batch,) + volume_shape + (num_labels,)`, brings them.

    Args:
        model: from `voxelmorph` or `voxelmorph_diffeomorphic`.
        similarity: `"mse"`, `"ncc"` (squared local correlation in windows of 9 voxels), or a `keras.losses.Loss`.
        smoothness_weight: the papers' lambda, by default 0.01 for `"mse"` and 1 for `"ncc"`. Not for a posterior.
        image_sigma: noise of the images: `"mse"` is divided by its square. By default 0.02 for a posterior, else 1.
        prior_lambda: how smooth a posterior's prior is, 10 by default. For a posterior only.
        num_labels: how many labels the one-hot volumes have; 0 trains without labels.
        label_weight: weight of the Dice loss.
        optimizer: a Keras optimizer, by default `Adam(1e-4)`.
        compile: function that is called as `compile(model, optimizer, loss=..., loss_weights=...)` instead of `model.compile`, such as
            `zoo.npu.compile`.

    Raises:
        ValueError: an unknown similarity, a weight that this model has no use for, or none where there is no default.
    """
    ndim = len(backend.static_shape(model.outputs[0])) - 2
    moved, displacement = model.outputs[:2]
    field = model.outputs[2] if len(model.outputs) % 2 else displacement
    posterior = backend.static_shape(field)[-1] == 2 * ndim
    directions = [0.5, 0.5] if len(model.outputs) > 3 else [1.0]

    data_loss = _similarity(similarity, (0.02 if posterior else 1.0) if image_sigma is None else image_sigma)
    if image_sigma is not None and similarity != "mse":
        raise refusal('`image_sigma` belongs to `similarity="mse"`', repr(similarity), "image_sigma=None")
    field_loss, field_weight = _smoothness(posterior, similarity, smoothness_weight, prior_lambda)
    inputs, outputs = list(model.inputs), [moved, field]
    objectives, weights = [data_loss, field_loss], [directions[0], field_weight]
    if len(directions) > 1:
        outputs.append(model.outputs[-2])
        objectives.append(data_loss)
        weights.append(directions[1])
    if num_labels:
        require_integer("num_labels", num_labels, 1)
        labels = keras.Input(backend.static_shape(moved)[1:-1] + (num_labels,), name="moving_labels")
        inputs.append(labels)
        outputs.append(SpatialTransformer(name="moved_labels")([labels, displacement]))
        objectives.append(losses.Dice())
        weights.append(label_weight)
    training = keras.Model(inputs, outputs, name=model.name)
    optimizer = keras.optimizers.Adam(1e-4) if optimizer is None else optimizer
    if compile is None:
        training.compile(optimizer, loss=objectives, loss_weights=weights, **backend.COMPILE_OPTIONS)
    else:
        compile(training, optimizer, loss=objectives, loss_weights=weights)
    return training


def field_shape(training):
    """Shape of one target for the field of a compiled model, without the batch."""
    return backend.static_shape(training.outputs[1])[1:]


def _similarity(similarity, image_sigma):
    if isinstance(similarity, keras.losses.Loss):
        return similarity
    require_choice("similarity", similarity, tuple(SMOOTHNESS_WEIGHTS))
    return losses.MSE(noise=image_sigma) if similarity == "mse" else losses.NCC()


def _smoothness(posterior, similarity, smoothness_weight, prior_lambda):
    if posterior:
        if smoothness_weight is not None:
            raise refusal(
                "`smoothness_weight` is for models without a posterior", repr(smoothness_weight), "`prior_lambda` instead"
            )
        return losses.KL(10.0 if prior_lambda is None else prior_lambda), 1.0
    if prior_lambda is not None:
        raise refusal("`prior_lambda` is for models with a posterior", repr(prior_lambda), "`smoothness_weight` instead")
    if smoothness_weight is None:
        if similarity not in SMOOTHNESS_WEIGHTS:
            raise refusal("`smoothness_weight` must be given for a similarity of your own", "None", "smoothness_weight=1.0")
        smoothness_weight = SMOOTHNESS_WEIGHTS[similarity]
    return losses.Gradient("l2"), smoothness_weight
