"""Quality of reconstructed images, by named definitions.

All metrics are called as `metric(reference, image, definition)`. Both images are complex `(..., height, width)` or real pairs
`(..., height, width, 2)` of (real, imaginary), finite and equal in shape; only the magnitude counts unless a definition says
"complex". The result has one float64 per image, in the shape of the axes in front. The `fastmri-volume` definitions take all
slices of `(slices, height, width[, 2])` as one volume and return one value. What does not fit is refused with a `ValueError`.
`DEFINITIONS` lists the names; the first of each metric is its default.
"""

import math

import numpy as np

from mrlayers.backend import ops
from mrlayers.checks import require_choice

DEFINITIONS = {
    "mse": ("complex", "magnitude"),
    "nmse": ("magnitude", "complex", "fastmri-volume"),
    "psnr": ("complex-max", "unit-peak", "magnitude-range", "magnitude-max", "fastmri-volume"),
    "ssim": ("magnitude-range", "magnitude-max", "gaussian", "fastmri-volume"),
}
OF_COMPLEX_VALUES = ("complex", "complex-max", "unit-peak")


def mse(reference, image, definition="complex"):
    """Mean squared error, in squared units of the images.

    Args:
        reference, image: see the module.
        definition: a name below.

    Definitions:
        complex: mean of `|reference - image|^2` (the loss of js3611/Deep-MRI-Reconstruction). The mean over real and imaginary
            parts as separate numbers, which Keras computes for pairs, is half of it.
        magnitude: mean of `(|reference| - |image|)^2`.
    """
    reference, image, axes = _prepare("mse", definition, reference, image)
    return np.mean(np.abs(reference - image) ** 2, axis=axes)


def nmse(reference, image, definition="magnitude"):
    """Squared error divided by the energy of the reference, without unit. Infinite for a zero reference, 0 if both are zero.

    Args:
        reference, image: see the module.
        definition: a name below.

    Definitions:
        magnitude: `sum (|reference| - |image|)^2 / sum |reference|^2` (printed as "MSE" by CascadeNet_ID2121 of the Ascend
            ModelZoo).
        complex: `sum |reference - image|^2 / sum |reference|^2`.
        fastmri-volume: "magnitude" with both sums over the volume (facebookresearch/fastMRI, `fastmri/evaluate.py`).
    """
    reference, image, axes = _prepare("nmse", definition, reference, image)
    error = np.sum(np.abs(reference - image) ** 2, axis=axes)
    energy = np.sum(np.abs(reference) ** 2, axis=axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, 0.0, error / energy)[()]


def psnr(reference, image, definition="complex-max"):
    """Peak signal-to-noise ratio `10 log10(peak^2 / error)`, in dB; `error` is a mean of squares.

    Infinite where the images are equal, minus infinity where they are not and the peak is zero.

    Args:
        reference, image: see the module.
        definition: a name below.

    Definitions:
        complex-max: peak `max |reference|`, error of complex values (`complex_psnr(..., peak="max")` of
            js3611/Deep-MRI-Reconstruction).
        unit-peak: peak 1, error of complex values (its `peak="normalized"`).
        magnitude-range: peak `max |reference| - min |reference|`, error of magnitudes (CascadeNet_ID2121 of the Ascend ModelZoo,
            which adds 1e-10 to the root of the error, so that equal images are finite there).
        magnitude-max: peak `max |reference|`, error of magnitudes.
        fastmri-volume: "magnitude-max" with maximum and mean over the volume (facebookresearch/fastMRI, `fastmri/evaluate.py`).
    """
    reference, image, axes = _prepare("psnr", definition, reference, image)
    error = np.mean(np.abs(reference - image) ** 2, axis=axes)
    peak = np.ones_like(error) if definition == "unit-peak" else _peak(reference, definition, axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, np.inf, 20 * np.log10(peak) - 10 * np.log10(error))[()]


def ssim(reference, image, definition="magnitude-range"):
    """Structural similarity of the magnitudes, at most 1, with K1 = 0.01 and K2 = 0.03; needs scikit-image.

    The mean leaves out a border of half a window. Where the data range is zero, images that are equal have 1 and others 0.

    Args:
        reference, image: see the module.
        definition: a name below.

    Definitions:
        magnitude-range: 7 x 7 uniform window with sample covariance (the defaults of scikit-image), data range
            `max |reference| - min |reference|`.
        magnitude-max: the same window, data range `max |reference|`.
        gaussian: 11 x 11 Gaussian window of standard deviation 1.5 with population covariance (Wang et al., IEEE TIP 13(4),
            2004), data range `max |reference|`.
        fastmri-volume: 7 x 7 uniform window, data range the maximum of the reference volume, mean over slices
            (facebookresearch/fastMRI, `fastmri/evaluate.py`).
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError("`ssim` needs scikit-image, which is not installed. Try `pip install scikit-image`.") from error
    reference, image, axes = _prepare("ssim", definition, reference, image)
    options, window = {"win_size": 7}, 7
    if definition == "gaussian":  # scikit-image cuts the Gaussian after 3.5 standard deviations: 11 taps
        options, window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}, 11
    height, width = reference.shape[-2:]
    if min(height, width) < window:
        raise ValueError(
            "`reference` must have at least {0} x {0} pixels for the definition {1!r}. Received: {2} x {3}. "
            "Try images that have not been cropped.".format(window, definition, height, width)
        )
    data_range = np.broadcast_to(_peak(reference, definition, axes), reference.shape[:-2])
    values = np.empty(reference.shape[:-2])
    for index in np.ndindex(values.shape):
        if data_range[index] > 0:
            values[index] = structural_similarity(reference[index], image[index], data_range=data_range[index], **options)
        else:
            values[index] = np.array_equal(reference[index], image[index])
    return values.mean() if definition == "fastmri-volume" else values[()]


def _peak(reference, definition, axes):
    magnitude = np.abs(reference)
    peak = magnitude.max(axis=axes)
    return peak - magnitude.min(axis=axes) if definition == "magnitude-range" else peak


def _prepare(metric, definition, reference, image):
    """Both images in float64, complex or as magnitudes as the definition wants them, and the axes to reduce."""
    require_choice("definition", definition, DEFINITIONS[metric])
    reference, image = _complex("reference", reference), _complex("image", image)
    if reference.shape != image.shape:
        raise ValueError(
            "`image` must have the shape of `reference`, {}, without the axis of (real, imaginary). Received: {}. "
            "Try to crop or to index one of them.".format(reference.shape, image.shape)
        )
    if definition not in OF_COMPLEX_VALUES:
        reference, image = np.abs(reference), np.abs(image)
    if definition != "fastmri-volume":
        return reference, image, (-2, -1)
    if reference.ndim != 3:
        raise ValueError(
            "`reference` must be one volume (slices, height, width) for the definition 'fastmri-volume'. "
            "Received: {}. Try a loop over volumes, or x[None] for a single slice.".format(reference.shape)
        )
    return reference, image, (-3, -2, -1)


def _complex(name, array):
    """Complex128 `(..., height, width)` from complex values or pairs."""
    array = np.asarray(array)
    if not np.iscomplexobj(array):
        if array.ndim < 3 or array.shape[-1] != 2:
            raise ValueError(
                "`{0}` must be complex (..., height, width), or real (..., height, width, 2) with a last axis of "
                "(real, imaginary). Received: real, {1}. Try {0}.astype(complex).".format(name, array.shape)
            )
        array = np.ascontiguousarray(array, "float64").view("complex128")[..., 0]
    if array.ndim < 2 or not array.size:
        raise ValueError(
            "`{0}` must have the shape (..., height, width) with at least one pixel. Received: {1}. "
            "Try {0}[None] for a single row.".format(name, array.shape)
        )
    if not np.isfinite(array).all():
        raise ValueError(
            "`{0}` must be finite. Received: {1} values that are not. Try numpy.nan_to_num({0}).".format(
                name, np.count_nonzero(~np.isfinite(array))
            )
        )
    return array.astype("complex128")


def complex_psnr(target, image):
    """Keras metric: `psnr` by the definition "complex-max", one value for each image of pairs `(batch, ..., height, width, 2)`.

    For `model.compile(metrics=[complex_psnr])`. In dB; the axes between batch and the pair count as one image.

    Args:
        target: the reference, whose largest magnitude is the peak.
        image: what the model predicts.
    """
    axes = list(range(1, len(target.shape)))
    peak = ops.max(ops.sum(ops.square(target), axis=-1), axis=axes[:-1])
    error = 2.0 * ops.mean(ops.square(target - image), axis=axes)
    return 10.0 / math.log(10.0) * ops.log(peak / ops.maximum(error, 1e-20))
