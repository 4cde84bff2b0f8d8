"""Prediction by tiles: equal to the whole image, blended, mirrored, in bounded memory."""

import numpy as np
import pytest

from runtime import RNG
from zoo.unet import predict_tiles, unet


def picture(*shape):
    return RNG(2).uniform(-1, 1, shape).astype("float32")


def network(sizes, depth=1, **options):
    """The same weights whatever the sizes, that do something everywhere."""
    model = unet(sizes + (1,), 2, filters=3, depth=depth, **options)
    rng = RNG(5)
    model.set_weights([rng.uniform(-0.5, 0.6, weight.shape) for weight in model.get_weights()])
    return model


def mirrored(image, before, size):
    """The part of `size` of the mirrored image that begins `before` its first pixel."""
    widths = [(start, start + length) for start, length in zip(before, size)]
    large = np.pad(image, widths + [(0, 0)], mode="reflect")
    return large[tuple(slice(length) for length in size)]


def box(tiles):
    """A network of valid convolutions in NumPy: the mean of 3x3 pixels, twice."""
    for _ in range(2):
        tiles = sum(tiles[:, i : tiles.shape[1] - 2 + i, j : tiles.shape[2] - 2 + j] for i in range(3) for j in range(3)) / 9.0
    return np.concatenate([tiles, -tiles], axis=-1)


@pytest.mark.parametrize("tile, overlap, batch_size", [(32, 0, 1), ((28, 36), 4, 2), (24, 3, 3)])
def test_valid_network_equals_the_whole_image(tile, overlap, batch_size):
    """Input 16 pixels larger than the output, the image mirrored 8 pixels at each side."""
    image = picture(37, 46, 1)
    tiles = tile if isinstance(tile, tuple) else (tile, tile)
    model = network(tiles, padding="valid")
    result = predict_tiles(model, image, tile, overlap, multiple=2, batch_size=batch_size)
    whole = network((54, 62), padding="valid").predict(mirrored(image, (8, 8), (54, 62))[np.newaxis], verbose=0)[0]
    assert result.shape == (37, 46, 2) and result.dtype == np.float32 and whole.shape == (38, 46, 2)
    np.testing.assert_allclose(result, whole[:37, :46], atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize(
    "up, margin", [("transpose2", 24), pytest.param("transpose3", 28, marks=pytest.mark.slow), ("nearest", 28)]
)
def test_same_network_equals_the_whole_image(up, margin):
    """At depth 2: the margin holds off the zeros that padding puts beyond a tile, and no smaller multiple of 4 does."""
    image = picture(41, 50, 1)
    tile = (2 * margin + 20, 2 * margin + 12)
    model = network(tile, 2, up=up)
    size = (2 * margin + 44, 2 * margin + 52)
    large = mirrored(image, (margin, margin), size)[np.newaxis]
    whole = network(size, 2, up=up).predict(large, verbose=0)[0, margin : margin + 41, margin : margin + 50]
    errors = [
        np.abs(predict_tiles(model, image, tile, 3, held_off, multiple=4) - whole).max() for held_off in (margin, margin - 4)
    ]
    assert errors[0] < 1e-5 * np.abs(whole).max() < errors[1]


@pytest.mark.parametrize("padding, margin", [("same", 10), ("valid", 0)])
def test_volumes(padding, margin):
    image = picture(14, 19, 24, 1)
    tile = (26, 28, 30)
    result = predict_tiles(network(tile, padding=padding), image, tile, overlap=(1, 2, 0), margin=margin, multiple=2)
    if padding == "valid":
        large = network((30, 36, 40), padding=padding).predict(mirrored(image, (8,) * 3, (30, 36, 40))[np.newaxis], verbose=0)
        whole = large[0, :14, :19, :24]
    else:
        large = network((34, 40, 44)).predict(mirrored(image, (10,) * 3, (34, 40, 44))[np.newaxis], verbose=0)
        whole = large[0, 10:24, 10:29, 10:34]
    np.testing.assert_allclose(result, whole, atol=1e-5 * np.abs(whole).max())


def test_one_tile_of_the_image_is_the_prediction_itself():
    image = picture(24, 20, 1)
    model = network((24, 20))
    expected = model.predict(image[np.newaxis], verbose=0)[0]
    np.testing.assert_allclose(predict_tiles(model, image, (24, 20)), expected, atol=1e-6)


def test_a_tile_may_see_more_than_there_is():
    """Valid convolutions on an image smaller than their input: mirrored again and again."""
    image = picture(5, 4, 1)
    result = predict_tiles(lambda tiles: box(tiles)[:, 4:-4, 4:-4], image, (14, 15))
    large = np.pad(image, [(6, 8), (6, 8), (0, 0)], mode="reflect")[np.newaxis]
    np.testing.assert_allclose(result, box(large)[0, 4:9, 4:8], atol=1e-6)
    flat = predict_tiles(box, picture(1, 9, 1), (5, 9))
    assert flat.shape == (1, 9, 2) and np.isfinite(flat).all()


@pytest.mark.parametrize("shift", [(2, 0), (4, 6)])
def test_tiles_follow_a_shift(shift):
    """Another grid on the same picture says the same of the same pixels, mirrored borders aside."""
    image = picture(48, 52, 1)
    model = network((32, 32), padding="valid")
    whole = predict_tiles(model, image, 32, multiple=2)
    moved = predict_tiles(model, image[shift[0] :, shift[1] :], 32, overlap=5, multiple=2)
    inside = (slice(10, None), slice(10, None))
    expected = whole[shift[0] :, shift[1] :]
    np.testing.assert_allclose(moved[inside], expected[inside], atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("overlap", [0, 1, 4, 9, 15])
@pytest.mark.parametrize("size", [16, 23, 57])
def test_weights_add_up_to_one(size, overlap):
    """A network that repeats its input gives the image back, however tiles overlap; constants stay exact to rounding."""
    image = picture(size, 20, 3)
    np.testing.assert_allclose(predict_tiles(lambda tiles: tiles, image, 16, overlap), image, atol=1e-6)
    ones = predict_tiles(np.ones_like, image, 16, overlap)
    np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_blending_is_linear():
    """Two tiles that disagree: the step between them becomes a ramp over the pixels they share."""
    tiles = iter([0.0, 0.0, 1.0])  # the first call learns the sizes

    def disagree(batch):
        return np.full(batch.shape, next(tiles), "float32")

    result = predict_tiles(disagree, picture(20, 12, 1), 12, (4, 0))
    np.testing.assert_allclose(result[:, 0, 0], [0] * 8 + [0.2, 0.4, 0.6, 0.8] + [1] * 8, atol=1e-6)


def test_memory_and_progress(tmp_path):
    """The network never sees more than a batch, always as many tiles, and the image may stay on disk."""
    path = str(tmp_path / "image.npy")
    np.save(path, picture(40, 33, 1))
    seen, told = [], []

    def predict(tiles):
        assert isinstance(tiles, np.ndarray) and tiles.dtype == np.float32
        seen.append(tiles.shape)
        return box(tiles)

    image = np.load(path, mmap_mode="r")
    result = predict_tiles(predict, image, 20, 2, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert set(seen) == {(4, 20, 20, 1)} and told == [(4, 9), (8, 9), (9, 9)]
    whole = box(np.pad(np.array(image), [(2, 2), (2, 2), (0, 0)], mode="reflect")[np.newaxis])[0]
    np.testing.assert_allclose(result, whole, atol=1e-6)
    assert predict_tiles(box, (100 * image).astype("uint8"), 20).dtype == np.float32


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(image=picture(40, 40)), "`image` must have the shape .height, width, channels. .* Received: .40, 40.. Try"),
        (dict(image=np.zeros((0, 40, 1))), "`image` must have the shape"),
        (dict(tile=48), "`tile` must not be larger than the image.* Received: tile 48, which gives 44, for a size of 40. Try"),
        (dict(tile=(20, 20, 20)), "`tile` must be one number or 2 of them"),
        (dict(tile=0), "`tile` must be an integer from 1"),
        (dict(overlap=16), "`tile` must give more pixels than `overlap` .* Received: tile 20, which gives 16, overlap 16"),
        (dict(margin=8), "`tile` must give more pixels than"),
        (dict(multiple=32), "`tile` must give more pixels than .* multiple 32. Try a larger tile"),
        (dict(overlap=-1), "`overlap` must be an integer from 0"),
        (dict(batch_size=0), "`batch_size` must be an integer from 1"),
        (dict(predict=lambda tiles: tiles[:, 1:]), "`predict` must give an image for every tile"),
        (dict(predict=lambda tiles: tiles.mean(axis=(1, 2))), "`predict` must give an image for every tile"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        predict_tiles(**dict(dict(predict=box, image=picture(40, 40, 1), tile=20), **options))


def test_refusal_of_a_tile_that_is_not_the_input_of_the_model():
    model = network((24, 20))
    for image, tile in [(picture(40, 40, 1), 24), (picture(40, 40, 3), (24, 20)), (picture(30, 30, 30, 1), 24)]:
        with pytest.raises(ValueError, match=r"must be the model's input, .24, 20, 1.. .*Try tile=.24, 20."):
            predict_tiles(model, image, tile)
