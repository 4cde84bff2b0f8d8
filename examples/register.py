"""Registers one image to another with a trained network: from NIfTI to NIfTI, with a warp that ITK and ANTs open.

    python examples/register.py --moving a.nii.gz --fixed b.nii.gz --weights cvpr2018_vm1_cc.h5 --moved moved.nii.gz --warp warp.nii.gz
    python examples/register.py --moving a.nii.gz --fixed b.nii.gz --weights outputs/voxelmorph/best.npz --moved moved.nii.gz \\
        --labels a_seg.nii.gz --moved-labels moved_seg.nii.gz --fixed-labels b_seg.nii.gz --refine 50 --figure moved.png

The images lie on one grid (`--resample` brings the moving one to that of the fixed one) and are aligned and skull-stripped as those
that the network was trained with; any size will do. What is written has the affine and the header of the fixed image, and the moved
image the intensities of the moving one. `warp.py` applies the warp to other images and to landmarks.
"""

import argparse
import os
import time

from mrlayers.checks import refusal
from zoo.files import installed
from zoo.grids import match_grid
from zoo.runs import errors_in_words, peak_memory, require_outputs
from zoo.volumes import VOLUMES, read_labels, read_volume, scale_intensity, write_volume
from zoo.voxelmorph import evaluation, figures, refine, warps
from zoo.voxelmorph.cases import Case
from zoo.voxelmorph.network import VARIANTS
from zoo.voxelmorph.trained import SIMILARITIES, similarity_loss, trained_network

WARPS = (".nii.gz", ".nii", ".npz")
PICTURES = (".png", ".pdf", ".svg", ".jpg")


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        register(options)


def register(options):
    check(options)
    fixed = read_volume(options.fixed)
    moving = match_grid(read_volume(options.moving), fixed, options.resample, names=("--moving", "--fixed"))
    moving_labels, fixed_labels = [label_map(options, name, fixed) for name in ("--labels", "--fixed-labels")]
    shape = fixed.array.shape
    if options.warp:
        warps.require_grid(options.warp, shape, fixed.affine)

    model, begun = trained_network(shape, options.weights, options.variant, options.diffeomorphic)
    level = begun.get("intensity_level", 1.0) if options.intensity_level is None else options.intensity_level
    images = [scale_intensity(volume.array, level=level) for volume in (moving, fixed)]
    begin = time.perf_counter()
    displacement = find(model, *images, options, begun)
    seconds = time.perf_counter() - begin

    tools = evaluation.warpers(shape)
    affine = None if fixed.header is None else fixed.affine
    case = Case(options.moving, options.fixed, *images, moving_labels, fixed_labels, None, affine)
    scores = evaluation.score(tools, case, displacement, seconds, evaluation.parse_labels(options.label_values))
    write_volume(options.moved, evaluation.warp_image(tools, moving.array, displacement), like=fixed)
    if options.warp:
        warps.write_warp(options.warp, displacement, fixed.affine)
    if options.moved_labels:
        write_volume(options.moved_labels, evaluation.warp_labels(tools, moving_labels, displacement), like=fixed)
    print(evaluation.report([scores]))
    print(scores.folding)
    if peak_memory() is not None:
        print("{:.1f} GB of memory at most".format(peak_memory()))
    if options.figure:
        title = " to ".join(os.path.basename(path) for path in (options.moving, options.fixed))
        moved = evaluation.warp_image(tools, images[0], displacement)
        figures.draw(options.figure, *images, moved, displacement, affine, title)


def check(options):
    """Refuses what cannot end well, before any work."""
    for output, needed in [("moved_labels", "labels"), ("fixed_labels", "labels")]:
        if vars(options)[output] and not vars(options)[needed]:
            raise refusal("`--{}` goes with `--{}`".format(output.replace("_", "-"), needed), "it alone", "both")
    if options.figure and not installed("matplotlib"):
        raise refusal("`--figure` needs matplotlib", "a Python without it", "`pip install mrlayers[plots]`")
    outputs = {
        "--moved": (options.moved, VOLUMES),
        "--warp": (options.warp, WARPS),
        "--moved-labels": (options.moved_labels, VOLUMES),
        "--figure": (options.figure, PICTURES),
    }
    require_outputs(outputs, (options.moving, options.fixed, options.labels, options.fixed_labels, options.weights))
    evaluation.parse_labels(options.label_values)


def label_map(options, name, fixed):
    """The labels that the argument `name` names, on the grid of the fixed image."""
    path = vars(options)[name[2:].replace("-", "_")]
    return match_grid(read_labels(path), fixed, options.resample, True, (name, "--fixed")).array if path else None


def find(model, moving, fixed, options, begun):
    """The network's displacement, or what `--refine` makes of it by the objective of the network's own training."""
    pair = [evaluation.batch(image) for image in (moving, fixed)]
    if not options.refine:
        return model.predict_on_batch(pair)[1][0]
    similarity, weight = options.similarity, options.smoothness_weight
    if similarity is None:
        similarity = begun.get("similarity", "mse")
        weight = begun.get("smoothness_weight") if weight is None else weight
    refined = refine(model, *pair, iterations=options.refine, similarity=similarity_loss(similarity), smoothness_weight=weight)
    print("refined in {} steps: loss {:.5g} -> {:.5g}".format(options.refine, refined.losses[0], min(refined.losses)))
    return refined.displacement[0]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--moving", required=True, help="image to move: NIfTI, MGZ, .npz with `vol` or `vol_data`, or .npy")
    add("--fixed", required=True, help="image to move it onto")
    add("--weights", required=True, help="best.npz or last.npz of a run, or an .h5 of the authors")
    add("--moved", required=True, help="moved image to write, with any of these endings")
    add("--warp", help="displacement field to write: .nii or .nii.gz as ITK has it (millimetres, LPS), or .npz in voxels")
    add("--labels", help="label map of the moving image")
    add("--moved-labels", help="moved label map to write: the nearest voxel, integers stay what they are")
    add("--fixed-labels", help="label map of the fixed image, to print Dice")
    add("--label-values", help="labels that count for Dice: published (30 of FreeSurfer), or as in 2,3,4 (default: all but 0)")
    add("--figure", help="figure to write: the images, their differences, the deformed grid (" + " ".join(PICTURES) + ")")
    add("--refine", type=int, default=0, metavar="N", help="improve the result by N steps of descent on this very pair")
    add("--similarity", choices=SIMILARITIES, help="to refine by (default: that of the run; ncc for an .h5)")
    add("--lambda", "--smoothness-weight", dest="smoothness_weight", type=float, help="to refine by (default: that of the run)")
    add("--resample", action="store_true", help="bring what lies on another grid to that of --fixed, instead of refusing it")
    add("--intensity-level", type=float, help="where the brightest intensities go (default: as in the run; 0.45 for an .h5)")
    add("--variant", choices=tuple(VARIANTS), help="of the network (default: that of the run, or that the .h5 fits)")
    add("--diffeomorphic", action="store_true", help="whether it is the diffeomorphic network (default: likewise)")
    return parser


if __name__ == "__main__":
    main()
