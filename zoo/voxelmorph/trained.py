"""A trained network from the file of its weights: the run that they lie in, or the file itself, says which network it is."""

from mrlayers import losses
from mrlayers.checks import refusal
from zoo import training
from zoo.files import existing
from zoo.runs import read_arguments
from zoo.voxelmorph.network import VARIANTS, voxelmorph, voxelmorph_diffeomorphic
from zoo.voxelmorph.published import load_published

KERAS_FILES = (".h5", ".hdf5")
PUBLISHED = {"intensity_level": 0.45, "similarity": "ncc"}  # the scale the authors' images have, see `scale_intensity`
SIMILARITIES = ("mse", "ncc", "mi")


def similarity_loss(name):
    """What `compile_registration` and `refine` want for one of `SIMILARITIES`."""
    return losses.MutualInformation() if name == "mi" else name


def network(volume_shape, variant=None, diffeomorphic=False, bidirectional=False):
    """`voxelmorph(volume_shape, variant or "vm2")`, or `voxelmorph_diffeomorphic(volume_shape)`."""
    if not diffeomorphic:
        return voxelmorph(volume_shape, variant or "vm2", bidirectional=bidirectional)
    if variant is not None:
        raise refusal("`variant` is for networks that are not diffeomorphic", repr(variant), "one of the two")
    return voxelmorph_diffeomorphic(volume_shape, bidirectional=bidirectional)


def load(model, path):
    """Loads an `.npz` of `zoo.training`, or an `.h5` of the authors."""
    (load_published if path.lower().endswith(KERAS_FILES) else training.load_weights)(model, path)


def trained_network(volume_shape, path, variant=None, diffeomorphic=False):
    """A network with the weights of a file.

    Args:
        volume_shape: sizes of the volumes to register, with as many axes as those it was trained with.
        path: `.npz` of a run, with its `arguments.json` beside it, or `.h5` of the authors.
        variant: see `voxelmorph`. `None`: as the run began, and else what the file fits: any for an `.h5`, `"vm2"` for an `.npz`.
        diffeomorphic: whether it is `voxelmorph_diffeomorphic`; `False` with `variant=None` leaves that to the run or the file.

    Returns:
        `(model, arguments)`: the arguments that the run began with, such as `intensity_level`; what is known of them for an `.h5`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that cannot be read, or weights of another network; the arrays that differ are named.
    """
    published = existing(path).lower().endswith(KERAS_FILES)
    begun = dict(PUBLISHED) if published else read_arguments(path)
    if variant is not None or diffeomorphic:
        choices = [(variant, diffeomorphic)]
    elif published:
        choices = [(name, False) for name in VARIANTS] + [(None, True)]
    else:
        choices = [(begun.get("variant"), begun.get("diffeomorphic", False))]
    problem = None
    for choice in choices:
        model = network(volume_shape, *choice)
        try:
            load(model, path)
        except ValueError as error:
            problem = problem or error
        else:
            return model, begun
    raise problem
