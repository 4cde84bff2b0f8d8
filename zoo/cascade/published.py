"""The authors' own weights of the deep cascade."""

from zoo.files import read_arrays


def load_published(model, path):
    """Loads `d5_c5.npz` of js3611/Deep-MRI-Reconstruction into a `deep_cascade` of the same size.

    Args:
        model: from `deep_cascade` with independent cascades, no normalization and the file's number of cascades, convolutions and filters
            (5, 5 and 64).
        path: an `.npz` of `arr_0` ... : kernel `(out, in, height, width)` and bias in turn, convolution by convolution.

    Raises:
        ValueError: the file has other arrays or other shapes than the model.
    """
    convolutions = [layer for layer in model.layers if "_convolution" in layer.name]
    archive = read_arrays(path)
    # Read by name: the order inside the published file is scrambled.
    expected = ["arr_{}".format(index) for index in range(2 * len(convolutions))]
    if set(expected) != set(archive):
        raise ValueError(
            "`path` must hold {} arrays arr_0 ... for this model. Received: {} arrays in {}. "
            "Try `deep_cascade(image_shape, num_cascades=5, num_convolutions=5, filters=64)`.".format(
                len(expected), len(archive), path
            )
        )
    arrays = [archive[name] for name in expected]
    weights = [[kernel.transpose(2, 3, 1, 0), bias] for kernel, bias in zip(arrays[::2], arrays[1::2])]
    for layer, values in zip(convolutions, weights):
        shapes = [tuple(array.shape) for array in layer.get_weights()]
        if shapes != [value.shape for value in values]:
            raise ValueError(
                "`path` must fit the model. Received: {} for layer {}, which has {}. Try other `filters` or `num_convolutions`.".format(
                    [value.shape for value in values], layer.name, shapes
                )
            )
    for layer, values in zip(convolutions, weights):
        layer.set_weights(values)
