"""The authors' own weights of the deep cascade and of CRNN-MRI."""

import numpy as np

from mrlayers.checks import refusal
from zoo.files import existing, read_arrays, reader, written_whole

TORCH_FILES = (".pth", ".pt")


def load_published(model, path):
    """Loads weights of js3611/Deep-MRI-Reconstruction into a model of the same size. Nothing stored in the file is executed.

    Args:
        model: from `deep_cascade` with independent cascades, no normalization and the file's number of cascades, convolutions and filters
            (5, 5 and 64), from `dynamic_cascade` with the same and `kernel_size=(1, 3, 3)` (frame by frame), or from `crnn_mri`.
        path: `d5_c5.npz`: `arr_0` ..., kernel `(out, in, height, width)` and bias in turn, convolution by convolution. For `crnn_mri`,
            `crnn_mri_d5_c5.pth`, which takes PyTorch, or the `.npz` that `convert_published` made of it, which does not.

    Raises:
        ValueError: the file has other arrays or other shapes than the model, cannot be read, or holds more than weights.
    """
    path = existing(path)
    arrays = read_tensors(path) if path.lower().endswith(TORCH_FILES) else read_arrays(path)
    layers = {layer.name: layer for layer in model.layers}
    if "recurrence" in layers:
        names = _names_of_crnn(layers)
        advice = "`crnn_mri(series_shape)` with its default sizes"
    else:
        convolutions = [layer for layer in model.layers if "_convolution" in layer.name]
        names = [(layer, "arr_%d" % (2 * index), "arr_%d" % (2 * index + 1)) for index, layer in enumerate(convolutions)]
        sizes = "num_cascades=5, num_convolutions=5, filters=64"
        series = len(model.inputs[0].shape) == 5
        advice = (
            "`dynamic_cascade(series_shape, %s, kernel_size=(1, 3, 3))`" % sizes
            if series
            else "`deep_cascade(image_shape, %s)`" % sizes
        )
    # Read by name: the order inside the published file is scrambled.
    expected = [name for _, *pair in names for name in pair]
    if set(expected) != set(arrays):
        listed = "%d arrays %s ... for this model" % (len(expected), expected[0])
        raise refusal("`path` must hold " + listed, "%d arrays, %s, in %s" % (len(arrays), _some(arrays), path), advice)
    weights = []
    for layer, kernel, bias in names:
        kernel_shape, bias_shape = [tuple(int(size) for size in weight.shape) for weight in layer.weights]
        found = arrays[kernel].shape, arrays[bias].shape
        # A convolution over time that sees one frame only has an axis more.
        flat = kernel_shape[1:] if kernel_shape[:1] == (1,) and len(kernel_shape) == 5 else kernel_shape
        if found != (flat[-1:] + flat[-2:-1] + flat[:-2], bias_shape):
            received = "%s and %s for layer %s, which has %s" % (found + (layer.name, kernel_shape))
            raise refusal("`path` must fit the model", received, advice)
        weights.append([arrays[kernel].transpose(2, 3, 1, 0).reshape(kernel_shape), arrays[bias]])
    for (layer, _, _), values in zip(names, weights):
        layer.set_weights(values)


def convert_published(path, output):
    """Writes the tensors of a PyTorch file of weights as an `.npz` with the same names, for where PyTorch is absent.

    Args:
        path: `.pth` or `.pt`, a dict of tensors. It is read on the CPU and without executing anything stored in it.
        output: name of the `.npz`.

    Raises:
        ValueError: the file is damaged or holds more than tensors; PyTorch is not installed.
    """
    arrays = read_tensors(existing(path))
    with written_whole(output) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_tensors(path):
    """All tensors of a PyTorch file by name, as arrays."""
    torch = reader("torch", "torch", path)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in tensors.items()}
    except Exception as error:  # PyTorch and pickle raise half a dozen kinds, with pages of advice
        received = "%s (%s)" % (path, type(error).__name__)
        raise refusal("`path` must be a file of tensors and nothing else", received, "the authors' own file") from error


def _names_of_crnn(layers):
    cell = layers["recurrence"]
    names = [
        (cell.input_convolution, "bcrnn.CRNN_model.i2h"),
        (cell.time_convolution, "bcrnn.CRNN_model.h2h"),
        (cell.iteration_convolution, "bcrnn.CRNN_model.ih2ih"),
    ]
    number = 1
    while "recurrence%d" % number in layers:
        cell = layers["recurrence%d" % number]
        names += [(cell.input_convolution, "conv%d_x" % number), (cell.iteration_convolution, "conv%d_h" % number)]
        number += 1
    names.append((layers["convolution"], "conv%d_x" % number))
    return [(layer, name + ".weight", name + ".bias") for layer, name in names]


def _some(arrays):
    return ", ".join(sorted(arrays)[:3]) + (" ..." if len(arrays) > 3 else "")
