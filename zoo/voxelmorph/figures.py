"""Figures of a registration: neurite's plots of slices and flows where neurite is installed, matplotlib's otherwise. No Keras here."""

import importlib

import nibabel
import numpy as np

from zoo.files import written_whole

AS_STORED = np.diag([1.0, -1.0, 1.0, 1.0])  # rows of the picture go along the second axis, from the top


def draw(path, moving, fixed, moved, displacement, affine=None, title=""):
    """Writes a figure: the three images, the difference from `fixed` before and after, and the grid as the warp deforms it.

    Args:
        path: picture to write, such as `.png`.
        moving: `(height, width)`, or `(x, y, z)`, of which the slice in the middle of z is shown with the front at the top.
        fixed: likewise.
        moved: likewise.
        displacement: `(*volume, ndim)`, in voxels.
        affine: `(4, 4)`, which tells what the axes of a volume are. Without it, z is the last one and y goes down.
        title: of the figure.
    """
    moving, fixed, moved = [section(image, affine) for image in (moving, fixed, moved)]
    peak, most = np.percentile([moving, fixed], 99.8), np.percentile(np.abs(moving - fixed), 99.8)
    panels = [
        ("moving", moving, "gray", 0, peak),
        ("fixed", fixed, "gray", 0, peak),
        ("moved", moved, "gray", 0, peak),
        ("moving - fixed", moving - fixed, "RdBu_r", -most, most),
        ("moved - fixed", moved - fixed, "RdBu_r", -most, most),
        ("deformed grid", moved, "gray", 0, 3 * peak),
    ]
    figure, axes = slices(*zip(*panels))
    draw_grid(axes[1][2], flow_section(displacement, affine))
    _save(figure, path, title)


def draw_flow(path, displacement, affine=None, title="", arrows=32):
    """Writes a figure of the displacement in the slice that `draw` shows, as arrows from each place to where its voxel is from.

    Args:
        path: picture to write.
        displacement: see `draw`.
        affine: see `draw`.
        title: of the figure.
        arrows: about how many along the longer side.
    """
    field = flow_section(displacement, affine)
    step = max(1, max(field.shape[:2]) // arrows)
    _save(flow(field[step // 2 :: step, step // 2 :: step] / step), path, title)


def picture(moving, fixed, moved):
    """One pair as `uint8` `(height, 5 * width)` for TensorBoard: the three images, and both differences around grey."""
    moving, fixed, moved = [section(image) for image in (moving, fixed, moved)]
    panels = [moving, fixed, moved, 0.5 + (moving - fixed), 0.5 + (moved - fixed)]
    return np.uint8(255 * np.clip(np.concatenate(panels, axis=1), 0, 1))


def section(image, affine=None):
    """The slice `(height, width)` that is shown of an image."""
    if image.ndim == 2:
        return image
    volume = nibabel.apply_orientation(image, _orientation(affine))
    return volume[:, ::-1, volume.shape[2] // 2].T


def flow_section(displacement, affine=None):
    """The displacement `(height, width, 2)` within that slice, down and to the right."""
    if displacement.shape[-1] == 2:
        return displacement
    orientation = _orientation(affine)
    field = nibabel.apply_orientation(displacement, orientation)
    field = field[:, ::-1, field.shape[2] // 2].transpose(1, 0, 2)
    components = [orientation[:, 0].tolist().index(axis) for axis in (1, 0)]
    return field[..., components] * (orientation[components, 1] * [-1, 1])


def slices(titles, images, colours, lowest, highest):
    """`(figure, axes)` of six images in two rows."""
    plots, size = neurite_plots(), (9.0, 1.2 + 6.0 * images[0].shape[0] / images[0].shape[1])
    scales = [dict(vmin=low, vmax=high) for low, high in zip(lowest, highest)]
    if plots is not None:
        figure, axes = plots.slices(
            list(images), list(titles), list(colours), grid=[2, 3], width=9, show=False, imshow_args=scales
        )
        figure.set_size_inches(*size)
    else:
        figure = _figure(size)
        axes = figure.subplots(2, 3)
        for axis, title, image, colour, scale in zip(axes.flat, titles, images, colours, scales):
            axis.imshow(image, cmap=colour, interpolation="nearest", **scale)
            axis.set_title(title)
            axis.axis("off")
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.75 / size[1], 0.03, 0.6 / size[1])
    return figure, axes


def draw_grid(axis, field):
    """Lines that were straight in the moving image, every few voxels, where the warp takes them."""
    places = np.indices(field.shape[:2]) + np.moveaxis(field, -1, 0)
    spacing = max(2, max(field.shape[:2]) // 24)
    for place, size in zip(places, field.shape):
        axis.contour(place, levels=np.arange(0, size, spacing), colors="gold", linewidths=0.7)


def flow(field):
    """A figure of arrows, of a field `(height, width, 2)` in units of its grid, down and to the right."""
    plots, size = neurite_plots(), (6.0, 0.4 + 6.0 * field.shape[0] / field.shape[1])
    if plots is not None:  # which takes the components to the right and down
        figure = plots.flow([field[..., ::-1]], width=6, show=False)[0]
        figure.set_size_inches(*size)
        return figure
    figure = _figure(size)
    axis = figure.subplots()
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.4 / size[1])
    angle = np.arctan2(field[..., 0], field[..., 1])
    axis.quiver(field[..., 1], field[..., 0], angle, cmap="hsv", angles="xy", scale_units="xy", scale=1)
    axis.invert_yaxis()
    axis.axis("equal")
    axis.axis("off")
    return figure


def neurite_plots():
    """neurite's module of plots, or `None` where it is not installed, or not with the framework that it needs."""
    try:
        return importlib.import_module("neurite").plot
    except Exception:  # neurite 0.2 raises what the TensorFlow that it finds raises
        return None


def _orientation(affine):
    return nibabel.io_orientation(AS_STORED if affine is None else affine)


def _figure(size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path, title):
    from matplotlib import pyplot

    pyplot.close(figure)  # neurite's figures are pyplot's, which keeps them
    figure.suptitle(title, fontsize=11)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=80)
