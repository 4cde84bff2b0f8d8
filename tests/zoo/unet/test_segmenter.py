"""Trained networks on whole images: the network of a run, sizes, tiles, published preparation, refusals."""

import json

import numpy as np
import pytest
from scipy.special import softmax

from mrlayers.backend import RUNTIME, keras
from runtime import RNG
from zoo.training import save_weights
from zoo.unet.data import to_input
from zoo.unet.segmenter import Segmenter, build

SETTINGS = {
    "network": "unet",
    "filters": 2,
    "depth": 2,
    "up": "transpose2",
    "normalization": None,
    "dropout": 0.0,
    "num_classes": 3,
    "channels": 1,
    "ndim": 2,
    "resize": None,
    "surroundings": "mirror",
}


@pytest.fixture(autouse=True)
def own_graph():
    if RUNTIME == "tensorflow1":
        keras.backend.clear_session()


def run_folder(tmp_path, sizes=(16, 16), **settings):
    """The folder of a run: random weights, large enough to tell classes apart, and the arguments."""
    settings = dict(SETTINGS, **settings)
    model = build(sizes, settings)
    random = RNG(3)
    model.set_weights([random.uniform(-0.7, 0.7, weight.shape) for weight in model.get_weights()])
    save_weights(model, str(tmp_path / "last.npz"))
    (tmp_path / "arguments.json").write_text(json.dumps(settings))
    return model, str(tmp_path / "last.npz")


def image(*shape):
    return RNG(1).uniform(0, 1, shape).astype("float32")


def test_equals_the_trained_network(tmp_path):
    model, weights = run_folder(tmp_path)
    picture = image(16, 16, 1)
    result = Segmenter(weights).predict(picture)
    expected = softmax(np.asarray(model.predict_on_batch(to_input(picture)[np.newaxis]))[0], axis=-1)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert result.dtype == np.float32 and len(set(result.argmax(axis=-1).ravel())) > 1


@pytest.mark.parametrize("sizes", [(140, 155), (161, 33)])
def test_tiles_equal_the_whole_image(sizes, tmp_path):
    """A margin of 24 pixels, 6 * 2**2, holds off all that a border changes; the image ends where tiles end, or not."""
    segmenter = Segmenter(run_folder(tmp_path)[1])
    picture = image(*sizes, 1)
    whole = segmenter.predict(picture)
    seen = []
    tiled = segmenter.predict(picture, tile=(96, min(96, sizes[1])), progress=lambda done, total: seen.append((done, total)))
    assert whole.shape == sizes + (3,) and seen[-1][0] == seen[-1][1] > 1
    np.testing.assert_allclose(whole.sum(axis=-1), 1, atol=1e-5)
    interior = (slice(24, -24),) * (2 if sizes[1] > 96 else 1)  # whole images end with zeros, tiles with their mirror image
    np.testing.assert_allclose(tiled[interior], whole[interior], atol=1e-5)


def test_volumes(tmp_path):
    segmenter = Segmenter(run_folder(tmp_path, (8, 8, 8), ndim=3, depth=1, channels=2, num_classes=2)[1])
    assert segmenter.predict(image(9, 10, 7, 2)).shape == (9, 10, 7, 2)


@pytest.mark.parametrize("network", ["unet_mindspore", pytest.param("unet_medical", marks=pytest.mark.slow)])
def test_published_preparation(network, tmp_path):
    """Brought to a size, zeros around it, one valid network over all of it, and back."""
    model, weights = run_folder(tmp_path, (236, 236), network=network, filters=1, resize=52, surroundings="zero", num_classes=2)
    picture = np.repeat(np.repeat(image(26, 26, 1), 4, axis=0), 4, axis=1)
    result = Segmenter(weights).predict(picture)
    assert result.shape == (104, 104, 2)
    same_size = image(52, 52, 1)
    seen = np.pad(to_input(same_size), [(92, 92), (92, 92), (0, 0)], mode="constant")
    expected = softmax(np.asarray(model.predict_on_batch(seen[np.newaxis]))[0], axis=-1)
    np.testing.assert_allclose(Segmenter(weights).predict(same_size), expected, atol=1e-5)


def test_valid_networks_see_a_mirror_image_in_tiles(tmp_path):
    model, weights = run_folder(tmp_path, (236, 236), network="unet_mindspore", filters=1, num_classes=2)
    picture = image(52, 68, 1)
    result = Segmenter(weights).predict(picture, tile=236)
    seen = np.pad(to_input(picture), [(92, 92), (92, 92), (0, 0)], mode="reflect")
    expected = softmax(np.asarray(model.predict_on_batch(seen[np.newaxis, :236, :236]))[0], axis=-1)
    np.testing.assert_allclose(result[:52, :16], expected[:, :16], atol=1e-5)  # the second tile begins at 16
    assert result.shape == (52, 68, 2) and Segmenter(weights).predict(picture).shape == (52, 68, 2)


def refused(call, *arguments, **named):
    with pytest.raises(ValueError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and "Received: " in message and "Try " in message
    return message


def test_refusals(tmp_path):
    segmenter = Segmenter(run_folder(tmp_path)[1])
    assert "2-D with 1 channels" in refused(segmenter.predict, image(20, 20, 3))
    assert "2-D" in refused(segmenter.predict, image(8, 20, 20, 1))
    assert "larger than the image" in refused(segmenter.predict, image(20, 20, 1), tile=32)
    assert "`tile`" in refused(segmenter.predict, image(20, 20, 1), tile=(8, 8, 8))
    assert "`tile`" in refused(segmenter.predict, image(20, 20, 1), tile=0)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "w.npz").write_bytes((tmp_path / "last.npz").read_bytes())
    assert "arguments.json" in refused(Segmenter, str(alone / "w.npz"))
    (alone / "arguments.json").write_text(json.dumps(dict(SETTINGS, filters=3)))
    assert "of another shape" in refused(Segmenter, str(alone / "w.npz"))
    with pytest.raises(FileNotFoundError):
        Segmenter(str(tmp_path / "nothing.npz"))


def test_an_image_that_is_too_small_for_valid_convolutions(tmp_path):
    segmenter = Segmenter(run_folder(tmp_path, (236, 236), network="unet_mindspore", filters=1, num_classes=2)[1])
    assert "4 pixels or more" in refused(segmenter.predict, image(3, 20, 1))
