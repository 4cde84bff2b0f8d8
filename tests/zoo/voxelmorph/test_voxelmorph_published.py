"""The authors' weights: the point test on every runtime, both layouts of files, files that are something else."""

import h5py
import numpy as np
import pytest

from mrlayers import losses
from runtime import evaluate, random
from zoo.voxelmorph import load_published, voxelmorph, voxelmorph_diffeomorphic

WEIGHTS = "weights/cvpr2018_vm1_cc.h5"
SMALL = dict(encoder=(4, 5), decoder=(4, 5, 6, 4))


def point_test():
    i, j, k = np.meshgrid(*[np.arange(16)] * 3, indexing="ij")
    source, target = ((3 * i + 5 * j + 7 * k) % 11) / 10, ((2 * i + 3 * j + 5 * k) % 13) / 12
    return [volume[np.newaxis, ..., np.newaxis].astype("float32") for volume in (source, target)]


def write(path, model, layout, text=str, heads=("flow", "log_sigma"), counter=256):
    """The weights of `model` as Keras 2.1 (bare weights) or 2.2 (whole model) stored them, with counters in the names."""
    with h5py.File(str(path), "w") as file:
        group = file if layout == "weights" else file.create_group("model_weights")
        layers = [layer for layer in model.layers if layer.get_weights()]
        names = []
        for layer in layers:
            name = layer.name
            if name not in heads:
                name, counter = "conv3d_%d" % counter, counter + 1
            names.append(name)
            stored = group.create_group(name)
            inner = ["%s_%d/%s:0" % (name, counter, what) for what in ("kernel", "bias")]
            stored.attrs["weight_names"] = [text(x) for x in inner] if text is str else np.array(inner, "S")
            for weight, array in zip(inner, layer.get_weights()):
                stored[weight] = array
        group.create_group("leaky_re_lu_1").attrs["weight_names"] = np.array([], "S1")
        names.insert(1, "leaky_re_lu_1")
        group.attrs["layer_names"] = names if text is str else np.array(names, "S")
    return str(path)


def shuffled(model):
    model.set_weights([0.2 * random(*weight.shape, seed=index) for index, weight in enumerate(model.get_weights())])
    return model


def test_published_weights_pass_the_point_test(shared):
    source, target = point_test()
    model = voxelmorph((16, 16, 16), "vm1")
    load_published(model, shared(WEIGHTS))
    moved, flow = [np.asarray(x) for x in model.predict([source, target], verbose=0)]
    assert flow.mean() == pytest.approx(-0.438014, abs=1e-4)
    assert flow.std() == pytest.approx(1.051596, abs=1e-4)
    assert flow[0, 8, 8, 8] == pytest.approx([1.544774, -2.394122, -0.706629], abs=1e-4)
    assert moved[0, 8, 8, 8, 0] == pytest.approx(0.606921, abs=1e-4)

    def value(loss, true, prediction):
        return float(evaluate(lambda pair: loss(pair[0], pair[1]), true, prediction))

    assert value(losses.Gradient("l2"), flow, flow) == pytest.approx(0.180932, abs=1e-4)
    assert value(losses.NCC(9, border="zeros"), target, moved) == pytest.approx(-0.365730, abs=1e-4)
    assert value(losses.MSE(), target, moved) == pytest.approx(0.114472, abs=1e-4)


def test_published_weights_on_empty_volumes(shared):
    model = voxelmorph((16, 16, 16), "vm1")
    load_published(model, shared(WEIGHTS))
    empty = np.zeros((1, 16, 16, 16, 1), "float32")
    moved, flow = [np.asarray(x) for x in model.predict([empty, empty], verbose=0)]
    assert flow[0, 8, 8, 8] == pytest.approx([0.486054, -0.276638, -1.069648], abs=1e-4)
    assert not moved.any()


@pytest.mark.parametrize("layout, text, counter", [("weights", bytes, 98), ("model", str, 1)])
def test_both_layouts_and_any_counter(tmp_path, layout, text, counter):
    model, again = shuffled(voxelmorph((8, 8), **SMALL)), voxelmorph((7, 9), **SMALL)
    load_published(again, write(tmp_path / "published.h5", model, layout, text, counter=counter))
    assert all(np.array_equal(value, stored) for value, stored in zip(again.get_weights(), model.get_weights()))


@pytest.mark.parametrize("ndim", [2, 3])
def test_swapped_channels(tmp_path, ndim):
    """The first two channels of the field, and of its log variance, change places."""
    options = dict(encoder=(4,), decoder=(4, 4))
    model, again = [voxelmorph_diffeomorphic((8,) * ndim, 2, **options) for _ in range(2)]
    load_published(again, write(tmp_path / "published.h5", shuffled(model), "model"), channel_order="xy")
    arrays = [random(1, *((8,) * ndim + (1,)), seed=seed) for seed in (1, 2)]
    posterior, swapped = [np.asarray(m.predict(arrays, verbose=0)[2]) for m in (model, again)]
    order = [1, 0, 2][:ndim]
    np.testing.assert_allclose(swapped, posterior[..., order + [ndim + axis for axis in order]], atol=1e-6)


def test_weights_of_another_model_are_named(shared, tmp_path):
    path = shared(WEIGHTS)
    message = r"must hold the weights of this model. Received: decoder5 \(3, 3, 3, 32, 8\) instead of \(3, 3, 3, 32, 32\), "
    message += r"decoder6 .*no decoder7.* Try `voxelmorph\(volume_shape, variant='vm1'\)`"
    model = voxelmorph((16, 16, 16))
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        load_published(model, path)
    assert all(np.array_equal(new, old) for new, old in zip(model.get_weights(), before))
    with pytest.raises(ValueError, match="encoder1 .3, 3, 3, 2, 16. instead of .3, 3, 2, 16., .* and 7 more"):
        load_published(voxelmorph((16, 16), "vm1"), path)
    with pytest.raises(ValueError, match="no log_sigma, 1 convolutions are left over. Try `voxelmorph"):
        load_published(voxelmorph_diffeomorphic((16, 16, 16)), path)
    diffeomorphic = write(tmp_path / "diffeomorphic.h5", voxelmorph_diffeomorphic((8, 8), probabilistic=True), "model")
    with pytest.raises(ValueError, match="log_sigma is left over. Try `voxelmorph_diffeomorphic"):
        load_published(voxelmorph_diffeomorphic((8, 8), probabilistic=False), diffeomorphic)
    small = write(tmp_path / "small.h5", voxelmorph((8, 8), **SMALL), "model")
    with pytest.raises(ValueError, match=r"Try `encoder` and `decoder` of \(4, 5, 4, 5, 6, 4\)"):
        load_published(voxelmorph((8, 8), "vm1"), small)


def test_files_that_are_something_else(shared, tmp_path):
    model = voxelmorph((16, 16, 16), "vm1")
    with pytest.raises(ValueError, match="`path` must be an .h5 file of weights. Received: no such file, missing.h5"):
        load_published(model, "missing.h5")
    with open(shared(WEIGHTS), "rb") as file:
        (tmp_path / "truncated.h5").write_bytes(file.read()[:500000])
    (tmp_path / "text.h5").write_text("weights")
    for name in ("truncated.h5", "text.h5"):
        with pytest.raises(ValueError, match="Received: .*{}, which cannot be read .*. Try to copy it again".format(name)):
            load_published(model, str(tmp_path / name))
    with h5py.File(str(tmp_path / "other.h5"), "w") as file:
        file["volume"] = np.zeros(3)
    with pytest.raises(
        ValueError, match="must be an .h5 file of Keras weights. Received: .*other.h5, without what Keras writes"
    ):
        load_published(model, str(tmp_path / "other.h5"))
    with pytest.raises(ValueError, match="`channel_order` must be one of 'ij', 'xy'. Received: 'yx'"):
        load_published(model, shared(WEIGHTS), channel_order="yx")
