"""Networks for series by name, new or with the weights of a file: the run that they lie in, or the file itself, says which it is."""

from mrlayers.checks import refusal, require_choice
from zoo import training
from zoo.cascade.crnn import crnn_mri
from zoo.cascade.dynamic import dynamic_cascade
from zoo.cascade.published import TORCH_FILES, load_published
from zoo.files import existing, read_arrays
from zoo.runs import read_arguments

MODELS = ("cascade", "sharing", "crnn", "static")
PUBLISHED = {
    "crnn": dict(model="crnn", cascades=5, convolutions=5, filters=64),
    "static": dict(model="static", cascades=5, convolutions=5, filters=64),
}


def series_network(
    model, series_shape, mask_shape=None, cascades=5, convolutions=5, filters=64, distances=(0, 1, 2, 3, 4), **options
):
    """One of the networks for series.

    Args:
        model: `"cascade"`: 3x3x3 convolutions; `"sharing"`: the same with `DataSharing`; `"crnn"`: `crnn_mri`; `"static"`: the 2-D
            cascade, frame by frame.
        series_shape, mask_shape: see `dynamic_cascade`.
        cascades: how many, or how many iterations.
        convolutions: in each.
        filters: channels in each.
        distances: of `"sharing"`, in frames.
        options: more of `dynamic_cascade` or `crnn_mri`.

    Raises:
        ValueError: as those, and for another `model`.
    """
    require_choice("model", model, MODELS)
    if model == "crnn":
        return crnn_mri(series_shape, mask_shape, cascades, convolutions, filters, **options)
    if model == "sharing":
        options["distances"] = distances
    if model == "static":
        options["kernel_size"] = (1, 3, 3)
    return dynamic_cascade(series_shape, mask_shape, cascades, convolutions, filters, **options)


def settings_of(weights):
    """What `series_network` needs to know of the network that a file of weights is of.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of neither a run of `train_dynamic.py` nor of the authors.
    """
    published = _published(weights)
    if published:
        return dict(PUBLISHED[published])
    begun = read_arguments(weights)
    if "model" not in begun:
        expected = "`weights` must lie beside the `arguments.json` of their run, or be a file of the authors"
        raise refusal(expected, weights, "best.npz in the folder of a run of train_dynamic.py")
    settings = {name: begun[name] for name in ("model", "cascades", "convolutions", "filters")}
    if begun["model"] == "sharing" and not begun["periodic"]:
        settings["boundary"] = "clipped"
    return settings


def trained_series_network(weights, series_shape, mask_shape=None, **options):
    """`series_network` with the weights of a file, an `.npz` of a run or a file of the authors (see `load_published`).

    A network that was trained with patches or with other numbers of frames fits series of any size.
    """
    model = series_network(series_shape=series_shape, mask_shape=mask_shape, **dict(settings_of(weights), **options))
    (load_published if _published(weights) else training.load_weights)(model, weights)
    return model


def _published(weights):
    """Which network of `PUBLISHED` a file of the authors is of; `None` for others."""
    if existing(weights).lower().endswith(TORCH_FILES):
        return "crnn"
    names = set(read_arrays(weights))
    return "static" if "arr_0" in names else "crnn" if any(name.startswith("bcrnn.") for name in names) else None
