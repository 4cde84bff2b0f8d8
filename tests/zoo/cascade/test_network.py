"""The deep cascade: parameter counts, published weights, limits, weights across runtimes, refusals."""

import numpy as np
import pytest

from mrlayers import backend, metrics, sampling
from mrlayers.backend import keras
from runtime import random, relative_error, to_complex, to_pairs
from zoo.cascade import data, deep_cascade, load_published
from zoo.images import load_images

MODELZOO = dict(shared=True, normalization="batch", data_weight=1.0, trainable_data_weight=True)
BATCH = ["beta", "gamma", "moving_mean", "moving_variance"]
NAMES = {
    False: ["cascade{}_convolution{}/{}".format(c, n, what) for c in (1, 2) for n in (1, 2, 3) for what in ("kernel", "bias")],
    True: ["cascade_convolution{}/kernel".format(n) for n in (1, 2, 3)]
    + ["cascade_normalization{}/{}".format(n, what) for n in (1, 2, 3) for what in BATCH]
    + ["cascade_consistency/raw_weight"],
}
SAMPLED = [0, 1, 2, 6, 14, 15]


def point_test():
    """Zero-filled image, k-space and mask of the known answers."""
    a, b = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    image = ((3 * a + 5 * b) % 7) / 6 + 1j * ((2 * a + b) % 5) / 10
    mask = np.zeros((16, 1, 1))
    mask[SAMPLED] = 1
    kspace = np.fft.fft2(image, norm="ortho") * mask[..., 0]
    zero_filled = np.fft.ifft2(kspace, norm="ortho")
    return image, to_pairs(zero_filled)[np.newaxis], to_pairs(kspace)[np.newaxis], mask[np.newaxis].astype("float32")


@pytest.mark.parametrize(
    "options, total, trainable",
    [
        (dict(num_cascades=2, num_convolutions=2), 4740, 4740),
        (dict(), 565770, 565770),
        (dict(num_convolutions=11, **MODELZOO), 336649, 335365),
        (dict(num_convolutions=10, num_cascades=7, **MODELZOO), 299529, 298373),
    ],
)
def test_parameter_counts(options, total, trainable):
    model = deep_cascade((16, 16), (16, 1, 1), **options)
    assert model.count_params() == total
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable


@pytest.mark.parametrize("engine", ["fft", "matmul", "auto"])
@pytest.mark.parametrize("mask_shape", [(16, 1, 1), None])
def test_published_weights_pass_the_point_test(shared, engine, mask_shape):
    _, image, kspace, mask = point_test()
    assert image[0, 3, 5] == pytest.approx([0.7022148123568456, 0.2243635096798218], abs=1e-6)
    model = deep_cascade((16, 16), mask_shape, engine=engine)
    load_published(model, shared("weights/d5_c5.npz"))
    result = model.predict([image, kspace, np.broadcast_to(mask, (1,) + (mask_shape or (16, 16, 1)))], verbose=0)[0]
    assert result[3, 5] == pytest.approx([0.6663407849461943, 0.0580356833141581], abs=1e-5)
    assert result[0, 0] == pytest.approx([0.2792283146845325, -0.0040109285315879], abs=1e-5)
    assert np.sum(result.astype("float64") ** 2) == pytest.approx(86.19555928544308, rel=1e-5)
    assert result.reshape(-1, 2).mean(axis=0, dtype="float64") == pytest.approx([0.498046875, 0.19921875], abs=1e-5)


def test_full_mask_returns_the_data(shared):
    image = to_pairs(point_test()[0])[np.newaxis]
    model = deep_cascade((16, 16))
    load_published(model, shared("weights/d5_c5.npz"))
    kspace = to_pairs(np.fft.fft2(to_complex(image), norm="ortho"))
    result = model.predict([image, kspace, np.ones((1, 16, 16, 1), "float32")], verbose=0)
    assert relative_error(result, image) < 1e-5


@pytest.mark.parametrize("acceleration", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_published_weights_gain_on_real_images(shared, acceleration):
    """Chest images, which the weights have never seen. Measured over all 100: see the README."""
    images = load_images(shared("data/chest/images.npz"))[::25]
    masks = sampling.cartesian_mask(images.shape, acceleration, seed=1)
    zero_filled, kspace = data.undersample(images, masks)
    model = deep_cascade(images.shape[1:], masks.shape[1:])
    load_published(model, shared("weights/d5_c5.npz"))
    result = np.concatenate(
        [model.predict_on_batch([x[np.newaxis] for x in sample]) for sample in zip(zero_filled, kspace, masks)]
    )
    gain = metrics.psnr(images, to_complex(result)) - metrics.psnr(images, to_complex(zero_filled))
    assert gain.mean() > 1.0


def test_starts_at_the_zero_filled_image():
    """The last convolution of a block starts at zero, and consistency leaves consistent data unchanged."""
    _, image, kspace, mask = point_test()
    model = deep_cascade((16, 16), (16, 1, 1), num_cascades=2, filters=4)
    assert relative_error(model.predict([image, kspace, mask], verbose=0), image) < 1e-5


def test_centered_network_is_the_same_network():
    """Shifting k-space and mask to the middle, and the image with them, changes nothing but the place of the image."""
    _, image, kspace, mask = point_test()
    plain, centered = [deep_cascade((16, 16), (16, 1, 1), filters=4, num_cascades=1, centered=flag) for flag in (False, True)]
    plain.set_weights([random(*weight.shape, seed=index) * 0.1 for index, weight in enumerate(plain.get_weights())])
    centered.set_weights(plain.get_weights())
    # F(ifftshift(x)) differs from F(x) by signs at even sizes: a centred k-space of the same image
    shifted = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(to_complex(image), axes=(1, 2)), norm="ortho"), axes=(1, 2))
    shifted_mask = np.fft.fftshift(mask, axes=1)
    result = centered.predict([image, to_pairs(shifted * shifted_mask[..., 0]), shifted_mask], verbose=0)
    assert relative_error(result, plain.predict([image, kspace, mask], verbose=0)) < 1e-5


def test_image_independent_work_is_done_once():
    """k-space enters one layer only, whatever the number of cascades."""
    model = deep_cascade((16, 16), (16, 1, 1), num_cascades=4, filters=4)
    assert sum(type(layer).__name__ == "IFFT" for layer in model.layers) == 1
    assert all(layer.reference == "image" for layer in model.layers if type(layer).__name__ == "DataConsistency")


@pytest.mark.parametrize("options", [dict(), MODELZOO])
def test_trains_and_crosses_by_name(tmp_path, options):
    from zoo import training

    _, image, kspace, mask = point_test()
    model = deep_cascade((16, 16), (16, 1, 1), num_cascades=2, num_convolutions=3, filters=4, **options)
    model.compile(keras.optimizers.Adam(1e-2), loss="mse", **backend.COMPILE_OPTIONS)
    before = model.get_weights()
    for _ in range(3):
        model.train_on_batch([image, kspace, mask], random(1, 16, 16, 2))
    assert all(np.abs(new - old).max() > 0 for new, old in zip(model.get_weights(), before))
    training.save_weights(model, str(tmp_path / "weights.npz"))
    with np.load(str(tmp_path / "weights.npz")) as archive:
        assert sorted(archive.files) == sorted(NAMES["shared" in options])
    again = deep_cascade((16, 16), (16, 1, 1), num_cascades=2, num_convolutions=3, filters=4, **options)
    training.load_weights(again, str(tmp_path / "weights.npz"))
    inputs = [image, kspace, mask]
    assert np.array_equal(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_refusals(tmp_path):
    for name, options in [
        ("num_cascades", dict(num_cascades=0)),
        ("num_convolutions", dict(num_convolutions=1)),
        ("filters", dict(filters=2.5)),
    ]:
        with pytest.raises(ValueError, match="`{}` must be a whole number of at least".format(name)):
            deep_cascade((16, 16), **options)
    with pytest.raises(ValueError, match="`normalization` must be one of None, 'batch'. Received: 'layer'"):
        deep_cascade((16, 16), normalization="layer")
    with pytest.raises(ValueError, match="`mask` must be broadcastable to `image`"):
        deep_cascade((16, 16), (15, 1, 1))
    path = str(tmp_path / "weights.npz")
    np.savez(path, arr_0=np.zeros((4, 2, 3, 3)), arr_1=np.zeros(4))
    with pytest.raises(
        ValueError,
        match="must hold 20 arrays arr_0 ... for this model. Received: 2 arrays, arr_0, arr_1, in .*weights.npz. Try",
    ):
        load_published(deep_cascade((16, 16), num_cascades=2), path)
    np.savez(path, *[np.zeros((4, 2, 3, 3)) if index % 2 == 0 else np.zeros(4) for index in range(4)])
    with pytest.raises(ValueError, match="`path` must fit the model. Received: .*Try `deep_cascade\\("):
        load_published(deep_cascade((16, 16), num_cascades=1, num_convolutions=2, filters=4), path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ValueError, match="cannot be read"):
        load_published(deep_cascade((16, 16), num_cascades=1), str(tmp_path / "broken.npz"))
