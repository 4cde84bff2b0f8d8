"""SpatialTransformer and PointTransformer: contract, numbers, laws, refusals."""

import itertools

import numpy as np
import pytest
import scipy.ndimage

import contract
import plain_warping
from mrlayers import AffineToDense, PointTransformer, SpatialTransformer, backend
from mrlayers.backend import keras
from runtime import RUNTIME, double_precision, evaluate, gradients, random

SIZES = [(7,), (5, 8), (4, 3, 5)]


def example(size=(5, 8), channels=1, batch=2, scale=2.0, seed=0):
    """A volume, and a displacement of whole 64ths of a voxel, which float32 adds to a coordinate without rounding."""
    displacement = np.round(64 * scale * random(batch, *size + (len(size),), seed=seed + 1)) / 64
    return random(batch, *size + (channels,), seed=seed), displacement.astype("float32")


def off_lattice(size, seed=0):
    """A displacement to places inside and outside of a volume, in float64, none within a fifth of a voxel of the lattice."""
    uniform = np.random.RandomState(seed).uniform
    places = np.stack([np.floor(uniform(-length, 2 * length, size)) for length in size], axis=-1)
    return (places + uniform(0.2, 0.8, places.shape) - grid(size))[None]


def grid(size):
    return np.stack(np.meshgrid(*[np.arange(length) for length in size], indexing="ij"), axis=-1)


def rotation(angle, shift=(0, 0)):
    """`[A | t]` for one sample."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]], "float32")


# contract


@pytest.mark.parametrize(
    "options, size, affine",
    [({}, (5, 4, 7), False), ({"interpolation": "nearest", "fill": 0.5}, (5, 8), True)],
)
def test_contract(options, size, affine, tmp_path):
    moving, displacement = example(size, channels=2, batch=3)
    matrices = np.repeat(rotation(0.3, (1, -0.5)), 3, axis=0)
    arrays = [moving, matrices if affine else displacement]
    contract.check_layer(lambda: SpatialTransformer(name="moved", **options), arrays, tmp_path)


@pytest.mark.parametrize("size", [(7,), (6, 5)])
def test_contract_of_fewer_axes(size):
    arrays = list(example(size, batch=3))
    for options in ({}, {"fill": 1.0}):
        contract.check_config_round_trip(lambda: SpatialTransformer(**options), arrays)
        contract.check_batches(lambda: SpatialTransformer(**options), arrays)
        contract.check_training_step(lambda: SpatialTransformer(**options), arrays)


def test_contract_of_points(tmp_path):
    points = random(3, 6, 2, seed=3) + 3
    contract.check_layer(lambda: PointTransformer(name="carried"), [points, example(batch=3)[1]], tmp_path)


# numbers: the kernels against the plain version


def kernel(first, dtype):
    return keras.layers.Lambda(lambda inputs: backend.sample(inputs[0], inputs[1], first), dtype=dtype)


KERNEL_SIZES = [(7,), (1,), (5, 8), (1, 6), (4, 3, 5), (3, 1, 4)]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", KERNEL_SIZES)
def test_kernels_equal_the_plain_version(size, channels):
    """Values and both gradients. Batches, kinds of places and precisions take turns: all pairs of them with every size."""
    index = KERNEL_SIZES.index(size) + channels
    first, batch = [0, 1, None][index % 3], [1, 3][index // 2 % 2]
    dtype, tolerance = [("float32", 3e-6), ("float64", 1e-12)][(index + channels // 2) % 2]
    volume, where = example(size, channels, batch)
    if first is None:  # any number of places, of any rank
        where = np.concatenate([where + grid(size)] * 2, axis=1)
        where = where if index % 2 else where.reshape(batch, -1, len(size))
    volume, where = volume.astype(dtype), where.astype(dtype)
    upstream = random(*where.shape[:-1] + (channels,), seed=5, dtype=dtype)
    with double_precision():
        result = evaluate(kernel(first, dtype), volume, where)
        (to_volume, to_where), _ = gradients(kernel(first, dtype), [volume, where], upstream)
    assert result.dtype == to_volume.dtype == to_where.dtype == dtype
    np.testing.assert_allclose(result, plain_warping.sample(volume, where, first), atol=tolerance)
    plain_to_volume, plain_to_where = plain_warping.gradients(volume, where, first, upstream)
    np.testing.assert_allclose(to_volume, plain_to_volume, atol=10 * tolerance)
    np.testing.assert_allclose(to_where, plain_to_where, atol=10 * tolerance)


@pytest.mark.parametrize("options", [{}, {"fill": 0.75}], ids=["edge", "filled"])
@pytest.mark.parametrize("size", SIZES)
def test_gradient_of_the_displacement_equals_finite_differences(size, options):
    """Off the lattice. Linear interpolation has no curvature along an axis: what is left of central differences is rounding."""
    for channels in (1, 2):
        moving, displacement = random(1, *size + (channels,), dtype="float64"), off_lattice(size)
        upstream = random(*moving.shape, seed=3, dtype="float64")
        with double_precision():
            layer = SpatialTransformer(dtype="float64", **options)
            (_, found), _ = gradients(layer, [moving, displacement], upstream)
            for axis in range(len(size)):
                step = 0.1 * (np.arange(len(size)) == axis)
                ahead, behind = [evaluate(layer, moving, displacement + side * step) for side in (1, -1)]
                expected = np.sum((ahead - behind) / 0.2 * upstream, axis=-1)
                np.testing.assert_allclose(found[..., axis], expected, atol=1e-12)
        x = displacement + grid(size)
        margin = 0 if options == {} else 1
        beyond = np.logical_or(x < -margin, x > np.array(size) - 1 + margin)
        assert beyond.any() and not found[beyond].any() and np.any(found[~beyond])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "shift, fill, derivative",
    [
        (0, None, [1, 3, 5, 7, 0]),
        (1, None, [3, 5, 7, 0, 0]),
        (-1, None, [0, 1, 3, 5, 7]),
        (0, 100, [1, 3, 5, 7, 84]),
        (1, 100, [3, 5, 7, 84, 0]),
        (-1, 100, [-100, 1, 3, 5, 7]),
        (-2, 100, [0, -100, 1, 3, 5]),
        (-1.5, 100, [0, -100, 1, 3, 5]),
    ],
)
def test_derivative_on_the_lattice_is_that_to_the_right(shift, fill, derivative, channels):
    """Of 0, 1, 4, 9, 16, along each axis in turn: at the right face 0, or towards `fill`; beyond the volume 0."""
    squares = np.square(np.arange(5, dtype="float32"))
    for ndim, axis in [(1, 0), (2, 0), (2, 1), (3, 2)]:
        size = [3] * ndim
        size[axis] = 5
        moving = np.zeros([1] + size + [channels], "float32") + squares.reshape([-1] + [1] * (ndim - axis))
        displacement = np.zeros([1] + size + [ndim], "float32")
        displacement[..., axis] = shift
        (_, found), _ = gradients(SpatialTransformer(fill=fill), [moving, displacement], np.ones_like(moving))
        found = np.moveaxis(found[0, ..., axis], axis, -1) / channels
        np.testing.assert_allclose(found[(1,) * (ndim - 1)], derivative, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_fill_is_a_voxel_of_padding(channels):
    moving, displacement = example((4, 6), channels)
    upstream, fill = random(*moving.shape, seed=4), 0.5
    layer = SpatialTransformer(fill=fill)
    padded = np.pad(moving, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="constant", constant_values=fill)
    np.testing.assert_allclose(evaluate(layer, moving, displacement), plain_warping.sample(padded, displacement, 1), atol=3e-6)
    found, _ = gradients(layer, [moving, displacement], upstream)
    expected = plain_warping.gradients(padded, displacement, 1, upstream)
    np.testing.assert_allclose(found[0], expected[0][:, 1:-1, 1:-1], atol=3e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=3e-5)


# numbers: other people's


@pytest.mark.parametrize(
    "interpolation, shift, moved",
    [
        ("linear", -3, [0, 0, 0, 0, 10]),
        ("linear", -0.5, [0, 5, 15, 25, 35]),
        ("linear", 0.25, [2.5, 12.5, 22.5, 32.5, 40]),
        ("linear", 0.5, [5, 15, 25, 35, 40]),
        ("nearest", -3, [0, 0, 0, 0, 10]),
        ("nearest", -0.5, [0, 0, 20, 20, 40]),
        ("nearest", 0.25, [0, 10, 20, 30, 40]),
        ("nearest", 0.5, [0, 20, 20, 40, 40]),
    ],
)
def test_published_line(interpolation, shift, moved):
    """Nearest rounds halves to even, as published. The line lies along each axis of one, two and three."""
    line = np.arange(0, 50, 10, dtype="float32")
    for ndim in (1, 2, 3):
        for axis in range(ndim):
            size = [1] * ndim
            size[axis] = 5
            displacement = np.zeros([1] + size + [ndim], "float32")
            displacement[..., axis] = shift
            result = evaluate(SpatialTransformer(interpolation), line.reshape([1] + size + [1]), displacement)
            assert np.array_equal(result.ravel(), moved)


@pytest.mark.parametrize("size", SIZES)
def test_scipy_agrees(size):
    moving, displacement = example(size, channels=2, scale=3)
    displacement = displacement + np.float32(1 / 256)  # away from the halves, which SciPy rounds up
    places = np.moveaxis(displacement + grid(size), -1, 0)
    for interpolation, order in [("linear", 1), ("nearest", 0)]:
        for fill, mode in [(None, "nearest"), (0.25, "grid-constant")]:
            result = evaluate(SpatialTransformer(interpolation, fill), moving, displacement)
            for sample, channel in itertools.product(range(len(moving)), range(2)):
                expected = scipy.ndimage.map_coordinates(
                    moving[sample, ..., channel].astype("float64"), places[:, sample], order=order, mode=mode, cval=fill or 0.0
                )
                np.testing.assert_allclose(result[sample, ..., channel], expected, atol=3e-6)


@pytest.mark.skipif(RUNTIME != "tensorflow1", reason="neurite 0.2 runs on TensorFlow 1.15")
@pytest.mark.parametrize("size", [(9,), (9, 13), (6, 7, 5)])
def test_neurite_agrees(size):
    """neurite 0.2, linear, edge: values and both gradients on random fields."""
    import neurite
    import tensorflow as tf

    def theirs(inputs):
        return tf.map_fn(
            lambda pair: neurite.utils.interpn(pair[0], pair[1] + grid(size).astype("float32")), inputs, tf.float32
        )

    for channels in (1, 3):
        moving, displacement = random(2, *size + (channels,)), 2 * random(2, *size + (len(size),), seed=1)
        upstream = random(*moving.shape, seed=2)
        ours = SpatialTransformer()
        expected = evaluate(lambda pair: theirs(tuple(pair)), moving, displacement)
        assert np.abs(evaluate(ours, moving, displacement) - expected).max() < 1e-5
        found, _ = gradients(ours, [moving, displacement], upstream)
        lambda_layer = keras.layers.Lambda(lambda pair: theirs(tuple(pair)))
        for ours_to, theirs_to in zip(found, gradients(lambda_layer, [moving, displacement], upstream)[0]):
            assert np.abs(ours_to - theirs_to).max() < 1e-5


# laws: of the volume


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1,), (8,), (9,), (257,), (1, 4), (16, 17), (2, 3, 5), (4, 1, 9)])
def test_zero_displacement_is_the_identity(size, channels):
    """Bit for bit, on every face; and so is the affine identity."""
    moving = (100 * random(2, *size + (channels,))).astype("float32")
    zero = np.zeros((2,) + size + (len(size),), "float32")
    for options in ({}, {"fill": 0.3}, {"interpolation": "nearest"}):
        assert np.array_equal(evaluate(SpatialTransformer(**options), moving, zero), moving)
    identity = np.eye(len(size), len(size) + 1, dtype="float32")[None].repeat(2, axis=0)
    assert np.array_equal(evaluate(SpatialTransformer(), moving, identity), moving)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_whole_shifts_are_slices(size, channels):
    one = random(*size + (channels,))
    displacements, edge, filled = [], [], []
    for axis, shift in itertools.product(range(len(size)), (-2, 1, 9)):
        displacements.append(np.zeros(size + (len(size),), "float32"))
        displacements[-1][..., axis] = shift
        places = np.arange(size[axis]) + shift
        edge.append(np.take(one, np.clip(places, 0, size[axis] - 1), axis=axis))
        outside = (places < 0) | (places >= size[axis])
        filled.append(np.where(outside.reshape([-1] + [1] * (len(size) - axis)), np.float32(0.3), edge[-1]))
    moving, displacement = np.stack([one] * len(edge)), np.stack(displacements)
    for interpolation in ("linear", "nearest"):
        assert np.array_equal(evaluate(SpatialTransformer(interpolation), moving, displacement), np.stack(edge))
        assert np.array_equal(evaluate(SpatialTransformer(interpolation, fill=0.3), moving, displacement), np.stack(filled))


@pytest.mark.parametrize("size", SIZES)
def test_linear_images_are_reproduced(size):
    slopes = np.array([0.5, -0.25, 2.0])[: len(size)]
    moving = (1 + grid(size) @ slopes)[None, ..., None].astype("float32")
    displacement = example(size, batch=1)[1]
    inside = np.clip(displacement + grid(size), 0, np.array(size) - 1)
    np.testing.assert_allclose(evaluate(SpatialTransformer(), moving, displacement)[..., 0], 1 + inside @ slopes, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_constant_images_stay_and_lose_their_share_to_fill(size):
    moving, displacement = np.full((2,) + size + (1,), 0.7, "float32"), example(size)[1]
    np.testing.assert_allclose(evaluate(SpatialTransformer(), moving, displacement), moving, rtol=3e-7)
    x = displacement + grid(size)
    outside = np.maximum(np.maximum(-x, x - (np.array(size) - 1)), 0)
    share = np.prod(1 - np.minimum(outside, 1), axis=-1)
    result = evaluate(SpatialTransformer(fill=-0.5), moving, displacement)
    np.testing.assert_allclose(result[..., 0], 0.7 * share - 0.5 * (1 - share), atol=3e-7)


@pytest.mark.parametrize("options", [{}, {"fill": 0.5}, {"interpolation": "nearest"}], ids=["edge", "filled", "nearest"])
def test_axes_may_be_permuted_and_flipped(options):
    moving, displacement = example((4, 6, 5), channels=2)
    layer = SpatialTransformer(**options)
    moved = evaluate(layer, moving, displacement)
    for order in itertools.permutations(range(3)):
        axes = [0] + [axis + 1 for axis in order] + [4]
        permuted = evaluate(layer, moving.transpose(axes), displacement.transpose(axes)[..., order])
        np.testing.assert_allclose(permuted, moved.transpose(axes), atol=2e-6)
    if options.get("interpolation") == "nearest":
        displacement = displacement + np.float32(1 / 256)  # no halves: flipped, they may go to another even number
        moved = evaluate(layer, moving, displacement)
    for axis in range(3):
        mirrored = displacement * np.where(np.arange(3) == axis, -1, 1).astype("float32")
        flipped = evaluate(layer, np.flip(moving, axis + 1).copy(), np.flip(mirrored, axis + 1).copy())
        np.testing.assert_allclose(flipped, np.flip(moved, axis + 1), atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_samples_and_channels_do_not_mix(size):
    moving, displacement = example(size, channels=3, batch=3)
    for options in ({}, {"interpolation": "nearest", "fill": 2.0}):
        layer = SpatialTransformer(**options)
        moved = evaluate(layer, moving, displacement)
        for sample in range(3):
            alone = evaluate(layer, moving[sample : sample + 1], displacement[sample : sample + 1])
            assert np.array_equal(alone[0], moved[sample])
        for channel in range(3):
            alone = evaluate(layer, moving[..., channel : channel + 1].copy(), displacement)
            np.testing.assert_allclose(alone[..., 0], moved[..., channel], atol=3e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_gradient_of_the_volume_is_the_adjoint(size, channels):
    moving, displacement = example(size, channels)
    upstream = random(*moving.shape, seed=4)
    moved = evaluate(SpatialTransformer(), moving, displacement)
    (to_moving, _), _ = gradients(SpatialTransformer(), [moving, displacement], upstream)
    forward = np.sum(moved.astype("float64") * upstream)
    assert np.sum(moving.astype("float64") * to_moving) == pytest.approx(forward, rel=1e-5, abs=1e-4)
    shares = evaluate(SpatialTransformer(), np.ones_like(moving), displacement) * upstream
    assert np.sum(to_moving, dtype="float64") == pytest.approx(np.sum(shares, dtype="float64"), rel=1e-5, abs=1e-4)


# laws: of labels and precision


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int16"])
def test_nearest_keeps_integers_and_invents_no_label(dtype):
    labels, displacement = np.random.RandomState(0).choice([3, 17, 42], (2, 5, 8, 1)).astype(dtype), example()[1]
    warped = evaluate(SpatialTransformer("nearest"), labels, displacement)
    assert warped.dtype == dtype and set(np.unique(warped)) <= {3, 17, 42}
    filled = evaluate(SpatialTransformer("nearest", fill=7.0), labels, displacement)
    assert filled.dtype == dtype and set(np.unique(filled)) == {3, 7, 17, 42}
    inputs = [keras.Input(labels.shape[1:], dtype=dtype), keras.Input(displacement.shape[1:])]
    output = SpatialTransformer("nearest")(inputs)
    assert backend.dtype_name(output) == dtype
    assert np.array_equal(contract.predict(keras.Model(inputs, output), [labels, displacement]), warped)


def test_linear_probabilities_sum_to_one():
    labels, displacement = np.random.RandomState(0).randint(4, size=(2, 5, 8)), example()[1]
    warped = evaluate(SpatialTransformer(), np.eye(4, dtype="float32")[labels], displacement)
    np.testing.assert_allclose(warped.sum(axis=-1), 1, atol=1e-6)
    assert warped.min() >= 0


def test_integers_are_computed_as_floats():
    moving, displacement = example()
    moving = np.round(100 * moving)
    expected = evaluate(SpatialTransformer(), moving, displacement)
    assert np.array_equal(evaluate(SpatialTransformer(), moving.astype("int32"), displacement), expected)
    whole = np.round(displacement)
    expected = evaluate(SpatialTransformer(), moving, whole)
    assert np.array_equal(evaluate(SpatialTransformer(), moving, whole.astype("int32")), expected)


def test_coordinates_are_never_in_half_precision():
    """float16 tells whole numbers apart up to 2048, and quarters up to 512."""
    moving, displacement = np.arange(3000, dtype="float32").reshape(1, -1, 1) % 1024, np.full((1, 3000, 1), 0.25, "float32")
    expected = evaluate(SpatialTransformer(), moving, displacement)
    result = evaluate(SpatialTransformer(), moving.astype("float16"), displacement.astype("float16"))
    assert result.dtype == np.float32 and np.array_equal(result, expected)
    points = np.arange(0, 2999, 7, dtype="float32").reshape(1, -1, 1)
    carried = evaluate(PointTransformer(), points, displacement.astype("float16"))
    assert carried.dtype == np.float32 and np.array_equal(carried, points + 0.25)


@pytest.mark.parametrize("interpolation, channels", [("linear", 1), ("linear", 2), ("nearest", 1)])
def test_what_is_not_a_number_spoils_its_own_voxel_only(interpolation, channels):
    """And infinity is beyond the volume."""
    moving, displacement = example((9, 8), channels)
    spoiled = displacement.copy()
    spoiled[:, 1, ::2] = np.nan
    spoiled[:, 2, :, 0] = np.inf
    layer = SpatialTransformer(interpolation)
    result = evaluate(layer, moving, spoiled)
    assert np.array_equal(result[:, 3:], evaluate(layer, moving, displacement)[:, 3:])
    spoiled[:, 2, :, 0] = 9
    assert np.array_equal(result[:, 2], evaluate(layer, moving, spoiled)[:, 2])
    if interpolation == "linear":
        assert np.isnan(result[:, 1, ::2]).all() and np.isfinite(result[:, 1, 1::2]).all()
        (_, found), _ = gradients(layer, [moving, spoiled], np.ones_like(moving))
        assert np.isfinite(found[:, 3:]).all()


# laws: of transforms


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_affine_matrices_equal_their_dense_field(ndim):
    size = (6, 5, 4)[:ndim]
    moving = random(2, *size + (2,))
    matrices = np.eye(ndim, ndim + 1, dtype="float32") + 0.2 * random(2, ndim, ndim + 1, seed=1)
    dense = evaluate(AffineToDense(size), matrices)
    upstream = random(*moving.shape, seed=2)
    for options in ({}, {"fill": 0.5}, {"interpolation": "nearest"}):
        layer = SpatialTransformer(**options)
        assert np.array_equal(evaluate(layer, moving, matrices), evaluate(layer, moving, dense))
    (_, to_matrices), _ = gradients(SpatialTransformer(), [moving, matrices], upstream)
    (_, to_dense), _ = gradients(SpatialTransformer(), [moving, dense], upstream)
    ((through,), _) = gradients(AffineToDense(size), [matrices], to_dense)
    np.testing.assert_allclose(to_matrices, through, atol=1e-4)


def test_points_agree_with_images():
    """An image of its own coordinates, warped, says where each voxel came from: there a point goes, too."""
    displacement = example((5, 8), scale=1)[1]
    coordinates = np.repeat(grid((5, 8))[None], 2, axis=0).astype("float32")
    points = coordinates.reshape(2, -1, 2)
    carried = evaluate(PointTransformer(), points, displacement).reshape(coordinates.shape)
    inside = np.all((carried >= 0) & (carried <= (4, 7)), axis=-1)
    moved = evaluate(SpatialTransformer(), coordinates, displacement)
    np.testing.assert_allclose(carried[inside], moved[inside], atol=2e-6)
    assert np.array_equal(carried, coordinates + displacement)


def test_centre_of_a_blob_goes_where_its_point_goes():
    size, centre = (40, 36), np.array([22.0, 15.0])
    moving = np.exp(-np.sum((grid(size) - centre) ** 2, axis=-1) / (2 * 3.0**2))[None, ..., None].astype("float32")
    displacement = evaluate(AffineToDense(size), rotation(0.3, (2.5, -1.25)))
    moved = evaluate(SpatialTransformer(), moving, displacement)[0, ..., 0]
    found = np.array([np.sum(moved * grid(size)[..., axis]) for axis in range(2)]) / moved.sum()
    assert np.abs(found - centre).max() > 2
    carried = evaluate(PointTransformer(), found[None, None].astype("float32"), displacement)
    np.testing.assert_allclose(carried[0, 0], centre, atol=0.01)


def test_points_between_and_beyond_voxels():
    displacement = random(2, 4, 5, 6, 3)
    points = np.round(64 * (random(2, 7, 3, seed=1) * 3 + 2)).astype("float32") / 64
    expected = points + plain_warping.sample(displacement, points, None)
    np.testing.assert_allclose(evaluate(PointTransformer(), points, displacement), expected, atol=3e-6)
    assert evaluate(PointTransformer(), points[:, :0], displacement).shape == (2, 0, 3)


def test_no_gradient_flows_through_nearest():
    moving, displacement = example()
    (to_moving, to_displacement), _ = gradients(SpatialTransformer("nearest"), [moving, displacement], np.ones_like(moving))
    assert np.any(to_moving) and (to_displacement is None or not np.any(to_displacement))
    assert to_moving.sum() == moving.size


# refusals


def refused(layer, match, *shapes):
    """With arrays, and when a model is built."""
    with pytest.raises(ValueError, match=match):
        evaluate(layer, *[random(*shape) for shape in shapes])
    with pytest.raises(ValueError, match=match):
        layer([keras.Input(shape[1:], batch_size=shape[0]) for shape in shapes])


def test_refusals_of_shapes():
    field = "`transform` must be a displacement field .*3, 5, 8, 2\\) or affine matrices .*3, 2, 3\\).*Received: shape .*Try"
    for transform in [(3, 5, 8, 3), (3, 5, 7, 2), (3, 5, 8), (3, 3, 4), (3, 2, 2), (2, 5, 8, 2), (1, 2, 3), (3, 6)]:
        refused(SpatialTransformer(), field, (3, 5, 8, 1), transform)
    refused(SpatialTransformer(), "`moving` must be \\(batch, \\*size, channels\\) .*Received: shape", (3, 5), (3, 5, 1))
    refused(SpatialTransformer(), "`moving` must be .*one to three axes", (1, 2, 2, 2, 2, 1), (1, 2, 2, 2, 2, 4))
    displacement = "`displacement` must be a displacement field \\(batch, \\*size, ndim\\), .*Received: shape .*Try"
    refused(PointTransformer(), displacement, (3, 6, 2), (3, 5, 8, 3))
    refused(PointTransformer(), displacement, (3, 6, 2), (3, 8))
    for points in [(3, 6, 3), (6, 2), (2, 6, 2)]:
        refused(
            PointTransformer(),
            "`points` must be \\(batch, n, ndim\\), here .*Received: shape .*Try points",
            points,
            (3, 5, 8, 2),
        )


def test_refusals_of_arguments():
    with pytest.raises(ValueError, match="`interpolation` must be one of 'linear', 'nearest'. Received: 'cubic'"):
        SpatialTransformer("cubic")
    for fill in (float("nan"), float("inf"), "edge", [0]):
        with pytest.raises(ValueError, match="`fill` must be a finite number, or None to repeat the edge. Received: .*Try 0"):
            SpatialTransformer(fill=fill)
    moving, displacement = example()
    with pytest.raises(ValueError, match="`fill` must be a whole number for integer labels. Received: 0.5. Try 0"):
        evaluate(SpatialTransformer("nearest", fill=0.5), moving.astype("int32"), displacement)
    with pytest.raises(ValueError, match="`moving` must be real.*Received: a complex dtype"):
        evaluate(SpatialTransformer(), moving.astype("complex64"), displacement)


def test_refusals_of_anything_but_two():
    moving, displacement = example()
    for layer, names in [(SpatialTransformer(), "\\[moving, transform\\]"), (PointTransformer(), "\\[points, displacement\\]")]:
        for inputs, received in [((moving,), ".*"), ((moving, displacement, moving), "3 of them")]:
            with pytest.raises(
                ValueError, match="`inputs` must be one list of two tensors, %s. Received: %s" % (names, received)
            ):
                evaluate(layer, *inputs)


@pytest.mark.skipif(RUNTIME != "tensorflow1", reason="elsewhere `call` sees the arrays, whose sizes are known")
def test_refusals_of_unknown_sizes():
    moving, displacement = example()
    points = random(2, 6, 2)
    for layer, name, shapes, arrays in [
        (SpatialTransformer(), "moving", [(None, None, 1), (5, 8, 2)], [moving, displacement]),
        (SpatialTransformer(), "transform", [(5, 8, 1), (None, 8, 2)], [moving, displacement]),
        (PointTransformer(), "displacement", [(6, 2), (5, None, 2)], [points, displacement]),
    ]:
        with pytest.raises(ValueError, match="`%s` must have a known size. Received: shape .*Try keras.Input" % name):
            inputs = [keras.Input(shape) for shape in shapes]
            contract.predict(keras.Model(inputs, layer(inputs)), arrays)
