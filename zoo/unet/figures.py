"""Figures of a segmentation. No Keras here."""

import numpy as np

from zoo.files import written_whole


def draw(path, image, labels, probabilities, title=""):
    """Writes a figure: the image, the truth, the prediction, and where they disagree. Of a volume the slice in the middle of z.

    Args:
        path: picture to write, such as `.png`.
        image: `(height, width, channels)` or `(x, y, z, channels)`, 0..1.
        labels: integers `(height, width)` or `(x, y, z)`.
        probabilities: as `image`, with classes for channels; of two classes, those of class 1 are shown, else the largest.
        title: of the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image, labels, probabilities = section(image), section(labels[..., np.newaxis])[..., 0], section(probabilities)
    classes = probabilities.shape[-1]
    prediction = probabilities.argmax(axis=-1)
    shown = probabilities[..., 1] if classes == 2 else prediction / (classes - 1)
    panels = [
        ("image", image if image.shape[-1] == 3 else image[..., 0]),
        ("truth", labels / (classes - 1)),
        ("prediction: probability of class 1" if classes == 2 else "prediction", shown),
        ("disagreement: too high, too low", disagreement(image, labels, prediction)),
    ]
    height = 9.0 * image.shape[0] / image.shape[1] + 1.2
    figure = Figure(figsize=(9.0, height))
    FigureCanvasAgg(figure)
    for axis, (name, panel) in zip(figure.subplots(2, 2).flat, panels):
        axis.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name)
        axis.axis("off")
    figure.suptitle(title, fontsize=11)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.75 / height, 0.03, 0.4 / height)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=80)


def picture(image, labels, probabilities):
    """One image as `uint8` `(height, 3 * width)` for TensorBoard: the image, the truth, the prediction."""
    image, labels, probabilities = section(image), section(labels[..., np.newaxis])[..., 0], section(probabilities)
    highest = probabilities.shape[-1] - 1
    panels = [image[..., 0], labels / highest, probabilities.dot(np.arange(highest + 1)) / highest]
    return np.uint8(255 * np.clip(np.concatenate(panels, axis=1), 0, 1))


def section(image):
    """The slice `(height, width, channels)` that is shown of an image."""
    return image if image.ndim == 3 else image[:, :, image.shape[2] // 2]


def disagreement(image, labels, prediction):
    """The image in pale grey, with red where the predicted class is too high and blue where it is too low."""
    shown = np.repeat(0.4 + 0.6 * image[..., :1], 3, axis=-1)
    shown[prediction > labels] = [0.85, 0.1, 0.1]
    shown[prediction < labels] = [0.1, 0.2, 0.9]
    return shown
