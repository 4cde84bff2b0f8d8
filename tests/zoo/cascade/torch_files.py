"""Reads PyTorch's files of before 1.6 without PyTorch: five pickles, then the numbers of one storage after another."""

import collections
import pickle

import numpy as np


class _Reader(pickle.Unpickler):
    """Knows tensors of float32 and nothing else; they come as (storage, offset, shape, strides), for their numbers stand behind."""

    known = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor"): lambda *tensor: tensor[:4],
        ("torch._utils", "_rebuild_tensor_v2"): lambda *tensor: tensor[:4],
        ("torch", "FloatStorage"): "float32",
        ("torch.cuda", "FloatStorage"): "float32",
    }

    def find_class(self, module, name):
        return self.known[module, name]

    def persistent_load(self, pid):
        return pid[2]


def read(path):
    """Tensors of a state dict by name, as arrays."""
    with open(path, "rb") as file:
        magic, _, _, tensors, keys = [_Reader(file).load() for _ in range(5)]
        assert magic == 0x1950A86A20F9469CFC6C
        storages = {key: np.fromfile(file, "<f4", int(np.fromfile(file, "<i8", 1)[0])) for key in keys}
    arrays = {}
    for name, (key, offset, shape, strides) in tensors.items():
        strides = [4 * stride for stride in strides]
        arrays[name] = np.lib.stride_tricks.as_strided(storages[key][offset:], shape, strides).copy()
    return arrays
