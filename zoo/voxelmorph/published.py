"""The authors' own weights of VoxelMorph."""

import os

import h5py
import numpy as np

from mrlayers.checks import refusal, require_choice
from zoo.voxelmorph.network import VARIANTS

HEADS = ("flow", "log_sigma")


def load_published(model, path, channel_order="ij"):
    """Loads an `.h5` of github.com/voxelmorph/voxelmorph (branch legacy) into a model of the same architecture.

    Whole models (Keras 2.2) and bare weights (Keras 2.1), whatever the counters in their layers' names; only arrays are read,
    nothing that is stored in the file is executed. `cvpr2018_vm1_cc.h5` is for `voxelmorph(volume_shape, "vm1")`.

    Args:
        model: from `voxelmorph` or `voxelmorph_diffeomorphic`, with any volume shape of as many axes as the file's.
        path: the `.h5` file.
        channel_order: `"ij"`, or `"xy"` for files whose first two channels of the field are swapped.

    Raises:
        ValueError: no such file, no readable weights file, or weights of another model: the arrays that differ are named.
    """
    require_choice("channel_order", channel_order, ("ij", "xy"))
    stored = _read(path)
    body = [layer.name for layer in model.layers if layer.name.rstrip("0123456789") in ("encoder", "decoder")]
    heads = [layer.name for layer in model.layers if layer.name in HEADS]
    found = dict(zip(body, [arrays for name, arrays in stored if name not in HEADS]))
    found.update({name: arrays for name, arrays in stored if name in HEADS})
    expected = {name: model.get_layer(name).get_weights() for name in body + heads}
    problems = [
        "no %s" % name if name not in found else "%s %s instead of %s" % (name, _shapes(found[name]), _shapes(arrays))
        for name, arrays in expected.items()
        if name not in found or [array.shape for array in found[name]] != [array.shape for array in arrays]
    ]
    problems += ["%s is left over" % name for name in found if name not in expected]
    number = len(stored) - len(found)
    problems += ["%d convolutions are left over" % number] if number else []
    if problems:
        more = " and %d more" % (len(problems) - 4) if len(problems) > 4 else ""
        raise refusal("`%s` must hold the weights of this model" % path, ", ".join(problems[:4]) + more, _architecture(stored))
    for name in heads if channel_order == "xy" else ():
        found[name] = [np.concatenate([array[..., 1::-1], array[..., 2:]], axis=-1) for array in found[name]]
    for name in expected:
        model.get_layer(name).set_weights(found[name])


def _read(path):
    """`(layer name, [kernel, bias])` of every layer with weights, in the order of the file."""
    if not os.path.exists(path):
        raise refusal("`path` must be an .h5 file of weights", "no such file, %s" % path, "its full path")
    try:
        with h5py.File(path, "r") as file:
            group = file["model_weights"] if "model_weights" in file else file
            layers = [(name, group[name]) for name in _text(group.attrs["layer_names"])]
            return [
                (name, [np.asarray(layer[weight][()], "float32") for weight in weights])
                for name, layer, weights in [(name, layer, _text(layer.attrs["weight_names"])) for name, layer in layers]
                if weights
            ]
    except KeyError as error:
        raise refusal(
            "`path` must be an .h5 file of Keras weights",
            "%s, without what Keras writes into one (%s)" % (path, str(error).strip("'\"")),
            "a file of the authors, such as cvpr2018_vm1_cc.h5",
        ) from error
    except Exception as error:  # h5py raises half a dozen kinds for a damaged file
        raise refusal(
            "`path` must be an .h5 file of weights",
            "%s, which cannot be read (%s)" % (path, type(error).__name__),
            "to copy it again",
        ) from error


def _text(names):
    """h5py 3 reads text where h5py 2 reads bytes."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _shapes(arrays):
    return " ".join(str(tuple(array.shape)) for array in arrays[:1])


def _architecture(stored):
    """What model the file is for, as far as its numbers of filters tell."""
    if "log_sigma" in dict(stored):
        return "`voxelmorph_diffeomorphic(volume_shape)`"
    filters = tuple(arrays[0].shape[-1] for name, arrays in stored if name not in HEADS)
    known = [name for name, (encoder, decoder) in VARIANTS.items() if encoder + decoder == filters]
    return "`voxelmorph(volume_shape, variant=%r)`" % known[0] if known else "`encoder` and `decoder` of %s" % (filters,)
