"""Data consistency: put the measured k-space back into an image."""

import math

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, fits, require_choice, require_pairs, require_real
from mrlayers.fourier import ENGINES, as_float, fourier_transform, sampled_part

REFERENCES = ("kspace", "image")


def data_consistency(image, reference_image, mask, blend=1.0, centered=False, engine="auto"):
    """`image + blend * F^H mask F (reference_image - image)`: measured frequencies move towards the reference, others stay.

    `blend` is `data_weight / (1 + data_weight)`, 1 in the noiseless limit. The operator is affine in the image, an orthogonal
    projection of it for `blend=1`, and needs one FFT pair, or half of one for a mask of lines (see `sampled_part`).
    """
    correction = sampled_part(reference_image - image, mask, centered, engine)
    return image + (correction if blend is None else blend * correction)


@keras.saving.register_keras_serializable(package="mrlayers")
class DataConsistency(keras.layers.Layer):
    """Replaces, or blends, what an image says of the measured k-space samples with the measurement.

    Where `mask` is 1, k-space becomes `(predicted + data_weight * measured) / (1 + data_weight)`; elsewhere it stays as
    predicted. Computed in image space as `image + blend * F^H mask F (reference - image)` with
    `blend = data_weight / (1 + data_weight)`: exact, one FFT pair, no matter which of the two references is given.

    An axis in which the mask is 1 wide is never transformed: a mask of lines costs half. With `reference="kspace"` every call
    transforms the measured k-space once; a network with several of these layers does that once for all of them with
    `zero_filled = IFFT()(kspace)` and `DataConsistency(reference="image")([image, zero_filled, mask])`.

    Args:
        data_weight: how much a measurement outweighs the prediction, at least 0, without unit: the ratio of the prediction's
            noise variance to the measurement's. 0 ignores the data; `None` is the noiseless limit and replaces the prediction.
            The blend `lam / (0.5 + lam)` of ModelZoo's CascadeNet is `data_weight = 2 * lam`.
        trainable: learn the weight, starting from `data_weight` (above 0). It is stored as the inverse of softplus and so can
            never be negative, whatever the optimizer does.
        centered: `True` when zero frequency of `kspace` and `mask` is in the middle, `False` when it is at index 0.
        engine: `"auto"`, `"fft"`, `"matmul"` or `"split"`, see `FFT`.
        reference: `"kspace"`: the second input is measured k-space. `"image"`: it is the inverse transform of that (the
            zero-filled image). Where `mask` is 0 k-space must be finite, but its values do not matter.

    Call arguments:
        inputs: one list `[image, kspace or zero-filled image, mask]`. No gradient flows to `mask`.

    Input shape: image and reference `(..., height, width, 2)`; mask of the same rank, last axis 1, every other axis either that
        of the image or 1, with 1 where k-space was measured. `(batch, height, 1, 1)` is a set of lines.

    Output shape: as the image; float32 whatever the mixed-precision policy.

    Raises:
        ValueError: negative weight, weight missing or 0 with `trainable=True`, shapes that do not fit, a complex dtype.

    Example:

    >>> import numpy as np
    >>> from mrlayers import DataConsistency
    >>> image = np.random.rand(1, 8, 6, 2).astype("float32")
    >>> kspace = np.random.rand(1, 8, 6, 2).astype("float32")
    >>> mask = np.array([1, 0, 0, 1, 0, 0, 0, 1], "float32").reshape(1, 8, 1, 1)
    >>> consistent = DataConsistency()([image, kspace, mask])

    References:
        Schlemper et al., A deep cascade of convolutional neural networks for dynamic MR image reconstruction,
        IEEE TMI 37 (2018), equations 7 to 10.
    """

    def __init__(self, data_weight=None, trainable=False, centered=False, engine="auto", reference="kspace", **kwargs):
        _check_weight(data_weight, trainable)
        require_choice("engine", engine, ENGINES)
        require_choice("reference", reference, REFERENCES)
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=trainable, **kwargs)
        self.data_weight = data_weight
        self.learns_weight = bool(trainable)
        self.centered = bool(centered)
        self.engine = engine
        self.reference = reference

    def build(self, input_shape):
        if self.learns_weight:
            self.raw_weight = self.add_weight(
                name="raw_weight",
                shape=(),
                initializer=keras.initializers.Constant(self.data_weight + math.log(-math.expm1(-self.data_weight))),
                trainable=True,
            )
        super().build(input_shape)

    def call(self, inputs):
        image, reference, mask = _three(inputs)
        _check_shapes(*[backend.static_shape(x) for x in (image, reference, mask)])
        for name, x in (("image", image), (self.reference, reference), ("mask", mask)):
            require_real(name, x.dtype)
        image = as_float(image)
        reference, mask = ops.cast(reference, image.dtype), ops.stop_gradient(ops.cast(mask, image.dtype))
        if self.reference == "kspace":
            reference = fourier_transform(reference * mask, inverse=True, centered=self.centered, engine=self.engine)
        return data_consistency(image, reference, mask, self._blend(image.dtype), self.centered, self.engine)

    def _blend(self, dtype):
        if self.learns_weight:
            weight = ops.cast(ops.softplus(self.raw_weight), dtype)
            return weight / (1.0 + weight)
        return None if self.data_weight is None else self.data_weight / (1.0 + self.data_weight)

    def compute_output_shape(self, input_shape):
        _check_shapes(*[backend.static_shape(shape) for shape in _three(input_shape)])
        return input_shape[0]

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        frozen = config.pop("frozen", False)
        layer = super().from_config(config)
        if frozen:
            layer.trainable = False
        return layer

    def get_config(self):
        config = super().get_config()
        config.update(
            frozen=self.learns_weight and not self.trainable,
            data_weight=self.data_weight,
            trainable=self.learns_weight,
            centered=self.centered,
            engine=self.engine,
            reference=self.reference,
        )
        return config


def _check_weight(data_weight, trainable):
    if data_weight is not None and not (data_weight >= 0 and math.isfinite(data_weight)):
        raise ValueError(
            "`data_weight` must be a finite number of at least 0, or None for noiseless data. Received: {!r}.".format(
                data_weight
            )
        )
    if trainable and not data_weight:
        raise ValueError(
            "`data_weight` must be above 0 with `trainable=True`: learning starts from it. Received: {!r}. Try 1.0.".format(
                data_weight
            )
        )


def _three(inputs):
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 3:
        raise ValueError(
            "`inputs` must be one list of three tensors, [image, reference, mask]. Received: {}.".format(
                "{} of them".format(len(inputs)) if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            )
        )
    return inputs


def _check_shapes(image, reference, mask):
    require_pairs("image", image, "float32")
    if not fits(image, reference):
        raise ValueError(
            "The reference must have the shape of `image`, {}. Received: {}.".format(tuple(image), describe(reference))
        )
    expected = "{} or 1 in any axis, and 1 in the last".format(tuple(image[:-1]) + (1,))
    if len(mask) != len(image):
        fix = "numpy.expand_dims(mask, -1)" if len(mask) == len(image) - 1 else "mask.reshape(...)"
        raise ValueError(
            "`mask` must have the rank of `image`: {}. Received: {}. Try `{}`.".format(expected, describe(mask), fix)
        )
    if mask[-1] != 1 or not all(size == 1 or fits([full], [size]) for full, size in zip(image[:-1], mask[:-1])):
        raise ValueError("`mask` must be broadcastable to `image`: {}. Received: {}.".format(expected, describe(mask)))
