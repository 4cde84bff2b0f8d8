"""How alike two images of one modality are."""

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice
from mrlayers.losses.volumes import as_float_pair, mean, mean_of_samples, require_same_shape, volume_axes
from mrlayers.losses.windows import box_size, box_sum

BORDERS = ("counted", "zeros")
SMALLEST_DEVIATION = 1e-6  # in units of the image; what varies less is a constant with rounding errors


@keras.saving.register_keras_serializable(package="mrlayers")
class MSE(keras.losses.Loss):
    """Mean squared error of images with Gaussian noise: `mean((y_pred - y_true)^2) / noise^2` over voxels and channels.

    Args:
        noise: standard deviation of the image noise, in units of the image, above 0. VoxelMorph's diffeomorphic model calls it
            image sigma (the paper has 0.01, the published script 0.02); 1 is the plain mean.

    Call arguments:
        y_true: the image to match, `(batch, *volume, channels)`.
        y_pred: the image that was moved, of the same shape.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision.

    Raises:
        ValueError: `noise` that is not positive, shapes that differ.

    Reference: Dalca et al., Unsupervised learning of probabilistic diffeomorphic registration for images and surfaces,
    Medical Image Analysis 57, 2019.
    """

    def __init__(self, noise=1.0, **kwargs):
        if not 0 < noise < float("inf"):
            raise refusal("`noise` must be a number above 0", repr(noise), "noise=1.0")
        super().__init__(**kwargs)
        self.noise = noise

    def call(self, y_true, y_pred):
        require_same_shape(y_true, y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        return mean_of_samples(ops.square(prediction - true)) / self.noise**2

    def get_config(self):
        config = super().get_config()
        config.update(noise=self.noise)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class NCC(keras.losses.Loss):
    """Local normalised cross-correlation of images: minus its mean over all voxels.

    With the covariance and the variances of the two images in a window around each voxel, it is
    `-mean(covariance^2 / (variance_true * variance_pred + epsilon))`, or with `squared=False`
    `-mean(covariance / sqrt(variance_true * variance_pred + epsilon))`. -1 for images that agree up to gain and offset, 0 for
    independent or constant ones. Symmetric in its arguments. Each channel is correlated by itself.

    Moments are means of products less products of means, which cancel where an image is far from zero. So the mean of the whole
    image is taken off first, and it is divided by its standard deviation: both leave the correlation as it is, make `epsilon`
    relative to the variance of either image, and the loss indifferent to gain and offset.

    Args:
        window: size of the window in voxels, odd: one number for every axis, or one for each (1 leaves an axis alone).
        squared: `True` also accepts inverted contrast and is at most 0; `False` is the signed correlation, from -1 to 1.
        border: `"counted"`: a window that reaches over the border counts the voxels that it has inside. `"zeros"`: it is filled
            up with zeros, nothing is taken off or divided by, and `epsilon` is absolute and beside sums instead of means, as
            published by VoxelMorph; gain and offset then change the value, near the border and through `epsilon`.
        epsilon: what is added to the product of variances. `None` is 1e-6 for `"counted"`: windows whose contrast is well below
            a thirtieth of the image's own do not count; and 1e-5 for `"zeros"`.

    Call arguments:
        y_true: the image to match, `(batch, *volume, channels)`.
        y_pred: the image that was moved, of the same shape.

    Returns: `(batch,)`, or what `reduction` makes of it; float32 also in mixed precision. A constant image has the value 0 and
        a finite gradient.

    Raises:
        ValueError: a window that is even or larger than the volume, `epsilon` that is not positive, an unknown border, shapes
            that differ.

    References:
        Avants et al., Symmetric diffeomorphic image registration with cross-correlation, Medical Image Analysis 12(1), 2008.
        Balakrishnan et al., VoxelMorph: a learning framework for deformable medical image registration, IEEE TMI 38(8), 2019.
    """

    def __init__(self, window=9, squared=True, border="counted", epsilon=None, **kwargs):
        require_choice("border", border, BORDERS)
        if epsilon is not None and not 0 < epsilon < float("inf"):
            raise refusal("`epsilon` must be a number above 0, or None", repr(epsilon), "epsilon=None")
        super().__init__(**kwargs)
        self.window = _checked_window(window)
        self.squared = bool(squared)
        self.border = border
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        require_same_shape(y_true, y_pred)
        true, prediction = as_float_pair(y_true, y_pred)
        windows = self._windows(prediction)
        if self.border == "counted":
            true, prediction, epsilon = _standardised(true), _standardised(prediction), self.epsilon or 1e-6
            share = 1.0 / box_size(prediction, windows)
        else:  # epsilon beside a product of two sums is epsilon / size^2 beside that of two means
            size = float(np.prod(windows))
            share, epsilon = 1.0 / size, (self.epsilon or 1e-5) / size**2

        def covariance(x, y, mean_x, mean_y):
            return share * box_sum(x * y, windows) - mean_x * mean_y

        means = share * box_sum(true, windows), share * box_sum(prediction, windows)
        shared = covariance(true, prediction, *means)
        # Rounding can leave a variance below zero where an image is flat.
        variance_true = ops.relu(covariance(true, true, means[0], means[0]))
        variance_prediction = ops.relu(covariance(prediction, prediction, means[1], means[1]))
        product = variance_true * variance_prediction + epsilon
        return -mean_of_samples(ops.square(shared) / product if self.squared else shared / ops.sqrt(product))

    def _windows(self, image):
        """The size of the window along each axis."""
        axes = volume_axes(image)
        windows = self.window if isinstance(self.window, tuple) else (self.window,) * len(axes)
        shape = backend.static_shape(image)[1:-1]
        if len(windows) != len(axes):
            raise refusal(
                "`window` must be one number, or one for each of the {} axes of the volume".format(len(axes)),
                repr(self.window),
                "window={}".format(windows[0]),
            )
        if any(size is not None and size < window for window, size in zip(windows, shape)):
            fitting = tuple(
                window if size is None else min(window, size - 1 + size % 2) for window, size in zip(windows, shape)
            )
            raise refusal(
                "`window` must not be larger than the volume, {}".format(describe(shape)),
                "window={}".format(self.window),
                "a larger volume" if set(fitting) == {1} else "window={}".format(fitting),
            )
        return windows

    def get_config(self):
        config = super().get_config()
        config.update(window=self.window, squared=self.squared, border=self.border, epsilon=self.epsilon)
        return config


def _standardised(image):
    """Less its mean and divided by its standard deviation, over the volume."""
    axes = volume_axes(image)
    image = image - mean(image, axes, keepdims=True)
    return image / ops.sqrt(mean(ops.square(image), axes, keepdims=True) + SMALLEST_DEVIATION**2)


def _checked_window(window):
    sizes = tuple(window) if isinstance(window, (list, tuple)) else (window,)
    integer = all(isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in sizes)
    if not sizes or not integer or any(size < 1 or size % 2 == 0 for size in sizes) or set(sizes) == {1}:
        nearest = [size + 1 - size % 2 for size in sizes if integer and size > 1]
        raise refusal(
            "`window` must be an odd integer of at least 3, or one odd integer for each axis",
            repr(window),
            "window={}".format(nearest[0] if nearest else 9),
        )
    sizes = tuple(int(size) for size in sizes)
    return sizes if isinstance(window, (list, tuple)) else sizes[0]
