"""Small networks of every family, with weights that make each part count, and inputs for them."""

import numpy as np

from runtime import random, to_complex, to_pairs
from zoo.cascade import crnn_mri, deep_cascade, dynamic_cascade
from zoo.unet import unet, unet_medical
from zoo.voxelmorph.network import voxelmorph, voxelmorph_diffeomorphic

NETWORKS = {
    "deep_cascade": lambda: deep_cascade((9, 8), num_cascades=2, num_convolutions=2, filters=4, engine="fft"),
    "modelzoo_cascade": lambda: deep_cascade(
        (8, 6), (8, 1, 1), 2, 2, 4, shared=True, normalization="batch", data_weight=1.0, trainable_data_weight=True
    ),
    "dynamic_cascade": lambda: dynamic_cascade(
        (3, 8, 6), (3, 8, 1, 1), 2, 2, 4, distances=(0, 1), stochastic=0.3, data_weight=2.0, engine="fft"
    ),
    "crnn_mri": lambda: crnn_mri((3, 8, 6), num_iterations=2, num_convolutions=3, filters=4, engine="fft"),
    "voxelmorph": lambda: voxelmorph((10, 8, 9), encoder=(2, 2), decoder=(2, 2, 2, 2)),
    "voxelmorph_diffeomorphic": lambda: voxelmorph_diffeomorphic((10, 12), encoder=(2, 2), decoder=(2, 2, 2)),
    "unet": lambda: unet((10, 9, 1), 2, 4, 2, normalization="batch", dropout=0.5),
    "unet_3d": lambda: unet((8, 8, 6, 1), 3, 4, 1, normalization="instance"),
    "unet_medical": lambda: unet_medical((188, 188, 1), 2, 2),
}
CASCADES = ("deep_cascade", "modelzoo_cascade", "dynamic_cascade", "crnn_mri")


def network(name):
    model = NETWORKS[name]()
    generator = np.random.RandomState(1)
    model.set_weights([weight + generator.uniform(-0.3, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def arrays_for(model, batch=1):
    """Inputs of the model, in order: of a cascade the image, its k-space and a mask."""
    arrays = [random(*(batch,) + tuple(x.shape[1:]), seed=index) for index, x in enumerate(model.inputs)]
    if len(arrays) == 3:
        arrays[1] = to_pairs(np.fft.fft2(to_complex(arrays[0]), norm="ortho"))
        arrays[2] = (arrays[2] > 0).astype("float32")
    return arrays


def fed(name, arrays):
    """Those of the inputs that the exported network takes."""
    return [arrays[0], arrays[2]] if name in CASCADES else arrays


def outputs_of(model, arrays):
    results = model.predict_on_batch(arrays if len(arrays) > 1 else arrays[0])
    return [np.asarray(array) for array in (results if isinstance(results, (list, tuple)) else [results])]
