"""Metrics against scikit-image, against values worked out by hand, and against the formulas of the systems they are named after."""

import sys
import warnings

import numpy as np
import pytest
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from mrlayers import metrics
from mrlayers.metrics import images

METRICS = [(name, definition) for name in sorted(images.DEFINITIONS) for definition in images.DEFINITIONS[name]]
PERFECT = {"mse": 0.0, "nmse": 0.0, "psnr": np.inf, "ssim": 1.0}


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pair_of_images(shape=(3, 17, 14), noise=0.1, seed=0):
    random = np.random.RandomState(seed)
    reference = random.normal(size=shape) + 1j * random.normal(size=shape)
    return reference, reference + noise * (random.normal(size=shape) + 1j * random.normal(size=shape))


def to_pairs(z):
    return np.stack([z.real, z.imag], axis=-1)


def per_image(function, reference, image):
    return [function(one, other) for one, other in zip(reference, image)]


# numbers

# reference 3+4j, 0, 0, 1j and image 3, 0, 0, 1: squared errors 16, 0, 0, 2; magnitudes 5, 0, 0, 1 and 3, 0, 0, 1.
BY_HAND = [
    ("mse", "complex", 4.5),
    ("mse", "magnitude", 1.0),
    ("nmse", "magnitude", 4 / 26.0),
    ("nmse", "complex", 18 / 26.0),
    ("nmse", "fastmri-volume", 4 / 26.0),
    ("psnr", "complex-max", 7.447274948966939),  # 10 log10(25 / 4.5)
    ("psnr", "unit-peak", -6.532125137753437),  # 10 log10(1 / 4.5)
    ("psnr", "magnitude-range", 13.979400086720377),  # 10 log10(25)
    ("psnr", "magnitude-max", 13.979400086720377),
    ("psnr", "fastmri-volume", 13.979400086720377),
]


@pytest.mark.parametrize("name, definition, expected", BY_HAND)
def test_four_pixels_by_hand(name, definition, expected):
    reference = np.array([[[3 + 4j, 0], [0, 1j]]])
    image = np.array([[[3 + 0j, 0], [0, 1]]])
    np.testing.assert_allclose(getattr(metrics, name)(reference, image, definition), np.full((), expected), rtol=1e-14)


def test_range_and_maximum_differ_where_the_reference_is_nowhere_zero():
    reference = np.array([[2.0, 3.0], [4.0, 5.0]]) + 0j
    image = reference + 1
    assert metrics.psnr(reference, image, "magnitude-range") == pytest.approx(20 * np.log10(3))
    assert metrics.psnr(reference, image, "magnitude-max") == pytest.approx(20 * np.log10(5))


def test_psnr_of_the_deep_cascade_papers():
    reference, image = pair_of_images()
    expected = [10 * np.log10(np.max(np.abs(r)) ** 2 / np.mean(np.abs(r - i) ** 2)) for r, i in zip(reference, image)]
    np.testing.assert_allclose(metrics.psnr(reference, image), expected)


def test_psnr_and_nmse_of_cascadenet():
    reference, image = pair_of_images()
    org, rec = np.abs(reference), np.abs(image)
    peak = org.max(axis=(1, 2)) - org.min(axis=(1, 2))
    psnr = 20 * np.log10(peak / (np.sqrt(((org - rec) ** 2).mean(axis=(1, 2))) + 1e-10))
    np.testing.assert_allclose(metrics.psnr(reference, image, "magnitude-range"), psnr, rtol=1e-8)
    np.testing.assert_allclose(
        metrics.nmse(reference, image), ((org - rec) ** 2).sum(axis=(1, 2)) / (org**2).sum(axis=(1, 2)), rtol=1e-12
    )


def test_psnr_and_nmse_of_scikit_image():
    reference, image = pair_of_images()
    org, rec = np.abs(reference), np.abs(image)
    np.testing.assert_allclose(
        metrics.psnr(reference, image, "magnitude-max"),
        per_image(lambda o, r: peak_signal_noise_ratio(o, r, data_range=o.max()), org, rec),
    )
    np.testing.assert_allclose(
        metrics.nmse(reference, image, "magnitude"), per_image(lambda o, r: normalized_root_mse(o, r) ** 2, org, rec)
    )
    np.testing.assert_allclose(
        metrics.nmse(reference, image, "complex"),
        per_image(lambda o, r: normalized_root_mse(to_pairs(o), to_pairs(r)) ** 2, reference, image),
    )


def test_fastmri_takes_the_volume_as_one():
    reference, image = pair_of_images()
    reference[1:] *= 5
    org, rec = np.abs(reference), np.abs(image)
    assert metrics.nmse(reference, image, "fastmri-volume") == pytest.approx(
        np.linalg.norm(org - rec) ** 2 / np.linalg.norm(org) ** 2
    )
    assert metrics.psnr(reference, image, "fastmri-volume") == pytest.approx(
        peak_signal_noise_ratio(org, rec, data_range=org.max())
    )
    expected = np.mean(per_image(lambda o, r: structural_similarity(o, r, data_range=org.max()), org, rec))
    assert metrics.ssim(reference, image, "fastmri-volume") == pytest.approx(expected)
    assert metrics.ssim(reference, image, "magnitude-max").mean() != pytest.approx(expected, abs=1e-3)


def test_ssim_of_scikit_image():
    reference, image = pair_of_images()
    org, rec = np.abs(reference), np.abs(image)
    expected = per_image(lambda o, r: structural_similarity(o, r, data_range=o.max() - o.min()), org, rec)
    np.testing.assert_allclose(metrics.ssim(reference, image), expected)
    expected = per_image(lambda o, r: structural_similarity(o, r, data_range=o.max()), org, rec)
    np.testing.assert_allclose(metrics.ssim(reference, image, "magnitude-max"), expected)


def test_gaussian_ssim_by_its_formula_at_the_one_pixel_that_an_11_by_11_image_has():
    reference, image = (np.abs(x) for x in pair_of_images((11, 11), noise=0.5))
    tap = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weight = np.outer(tap, tap) / tap.sum() ** 2

    def mean(x):
        return (weight * x).sum()

    def covariance(x, y):
        return mean(x * y) - mean(x) * mean(y)

    c1, c2 = (0.01 * reference.max()) ** 2, (0.03 * reference.max()) ** 2
    expected = (2 * mean(reference) * mean(image) + c1) * (2 * covariance(reference, image) + c2)
    expected /= mean(reference) ** 2 + mean(image) ** 2 + c1
    expected /= covariance(reference, reference) + covariance(image, image) + c2
    assert metrics.ssim(reference + 0j, image + 0j, "gaussian") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("definition", ["magnitude-max", "gaussian"])
def test_ssim_of_constant_images_is_its_luminance_term(definition):
    one = np.ones((12, 12), complex)
    assert metrics.ssim(2 * one, one, definition) == pytest.approx((2 * 2 + 4e-4) / (4 + 1 + 4e-4))


# laws


@pytest.mark.parametrize("name, definition", METRICS)
def test_pairs_and_single_precision_agree_with_complex_values(name, definition):
    metric = getattr(metrics, name)
    reference, image = pair_of_images()
    expected = metric(reference, image, definition)
    np.testing.assert_array_equal(metric(to_pairs(reference), to_pairs(image), definition), expected)
    np.testing.assert_array_equal(metric(reference, to_pairs(image), definition), expected)
    reference, image = reference.astype("complex64"), image.astype("complex64")
    single = metric(reference, image, definition)
    np.testing.assert_array_equal(single, metric(to_pairs(reference), to_pairs(image), definition))
    np.testing.assert_array_equal(single, metric(reference.astype("complex128"), image.astype("complex128"), definition))
    np.testing.assert_allclose(single, expected, rtol=1e-4)


@pytest.mark.parametrize("name, definition", METRICS)
def test_one_value_per_image_or_per_volume(name, definition):
    metric = getattr(metrics, name)
    reference, image = pair_of_images((2, 3, 12, 13))
    if definition == "fastmri-volume":
        assert np.shape(metric(reference[0], image[0], definition)) == ()
        return
    values = metric(reference, image, definition)
    assert values.shape == (2, 3) and values.dtype == "float64"
    single = metric(reference[1, 2], image[1, 2], definition)
    assert isinstance(single, np.float64) and single == values[1, 2]


@pytest.mark.parametrize("name, definition", METRICS)
def test_a_perfect_image(name, definition):
    reference, _ = pair_of_images()
    np.testing.assert_allclose(getattr(metrics, name)(reference, reference, definition), PERFECT[name])


@pytest.mark.parametrize("name, definition", METRICS)
def test_a_zero_reference(name, definition):
    metric = getattr(metrics, name)
    zero, one = np.zeros((2, 12, 12), complex), np.ones((2, 12, 12), complex)
    np.testing.assert_array_equal(metric(zero, zero, definition), PERFECT[name])
    expected = {"mse": 1.0, "nmse": np.inf, "psnr": -np.inf, "ssim": 0.0}[name]
    np.testing.assert_array_equal(metric(zero, one, definition), 0.0 if definition == "unit-peak" else expected)


@pytest.mark.parametrize("name, definition", METRICS)
def test_only_complex_definitions_see_the_phase(name, definition):
    reference, image = pair_of_images()
    metric = getattr(metrics, name)
    sees = not np.allclose(metric(reference, image * 1j, definition), metric(reference, image, definition))
    assert sees == (definition in ("complex", "complex-max", "unit-peak"))


@pytest.mark.parametrize("name, definition", METRICS)
def test_only_errors_in_absolute_units_see_the_scale(name, definition):
    reference, image = pair_of_images()
    metric = getattr(metrics, name)
    sees = not np.allclose(metric(10 * reference, 10 * image, definition), metric(reference, image, definition))
    assert sees == (name == "mse" or definition == "unit-peak")


@pytest.mark.parametrize("name, definition", METRICS)
def test_less_noise_is_better(name, definition):
    reference, image = pair_of_images()
    metric = getattr(metrics, name)
    worse, better = metric(reference, image, definition), metric(reference, (reference + image) / 2, definition)
    assert np.all(better < worse if name in ("mse", "nmse") else better > worse)


def test_the_first_definition_is_the_default():
    reference, image = pair_of_images()
    for name, definitions in images.DEFINITIONS.items():
        metric = getattr(metrics, name)
        np.testing.assert_array_equal(metric(reference, image), metric(reference, image, definitions[0]))


# refusals


@pytest.mark.parametrize("name", sorted(images.DEFINITIONS))
def test_refuses_an_unknown_definition_and_lists_the_names(name):
    reference, image = pair_of_images()
    with pytest.raises(ValueError, match="`definition` must be one of .*" + images.DEFINITIONS[name][-1]):
        getattr(metrics, name)(reference, image, "best")


ONE = np.ones((2, 12, 12), complex)
REFUSED = [
    (ONE.real, ONE, "`reference` must be complex .* Try reference.astype"),
    (ONE, ONE.real, "`image` must be complex .* Try image.astype"),
    (ONE[0, :, :2].real, ONE, r"`reference` must be complex .* Received: real, \(12, 2\)"),
    (ONE, ONE[:1], r"`image` must have the shape of `reference`, \(2, 12, 12\).* Received: \(1, 12, 12\)"),
    (ONE[0, 0], ONE[0, 0], r"`reference` must have the shape \(..., height, width\)"),
    (ONE[:0], ONE[:0], "at least one pixel"),
    (ONE, np.where(np.arange(12) == 3, np.nan, ONE), "`image` must be finite. Received: 24 values"),
    (np.full((12, 12, 2), np.inf), ONE, "`reference` must be finite. Received: 144 values"),
]


@pytest.mark.parametrize("name", sorted(images.DEFINITIONS))
@pytest.mark.parametrize("reference, image, message", REFUSED, ids=range(len(REFUSED)))
def test_refuses(name, reference, image, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(reference, image)


@pytest.mark.parametrize("name", ["nmse", "psnr", "ssim"])
@pytest.mark.parametrize("volume", [ONE[0], ONE[np.newaxis]], ids=["slice", "volumes"])
def test_refuses_anything_but_one_volume(name, volume):
    with pytest.raises(ValueError, match="must be one volume"):
        getattr(metrics, name)(volume, volume, "fastmri-volume")


@pytest.mark.parametrize("definition, window", [("magnitude-range", 7), ("gaussian", 11)])
def test_ssim_refuses_images_below_its_window(definition, window):
    small = np.ones((window - 1, 20), complex)
    with pytest.raises(ValueError, match="at least {0} x {0} pixels .* Received: {1} x 20".format(window, window - 1)):
        metrics.ssim(small, small, definition)


def test_ssim_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(ImportError, match="pip install scikit-image"):
        metrics.ssim(ONE, ONE)
    metrics.psnr(ONE, ONE)
