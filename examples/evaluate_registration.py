"""Scores a trained registration network: Dice for each label of each pair, folding, similarity, time; a table, a CSV, figures.

Takes seconds on two CPU cores without `--data`: it then makes brains in 2-D that no training run has seen.

    python examples/evaluate_registration.py --weights outputs/voxelmorph/best.npz
    python examples/evaluate_registration.py --weights cvpr2018_vm1_cc.h5 --data "test/*/norm.nii.gz" --labels "test/*/aseg.nii.gz" \\
        --atlas atlas.nii.gz --atlas-labels atlas_seg.nii.gz --label-values published

Subjects are registered to the atlas, or without one each to the next. The label map of the moving image is warped to the nearest
voxel. As the papers state it, the mean and the standard deviation of Dice are over all labels of all pairs, without the background.
"""

import argparse
import functools

from mrlayers.checks import refusal
from zoo.runs import errors_in_words, require_folder
from zoo.volumes import read_volume, scale_intensity
from zoo.voxelmorph import cases, evaluation
from zoo.voxelmorph.network import VARIANTS
from zoo.voxelmorph.trained import trained_network

OF_FILES = ("labels", "atlas", "atlas_labels")


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        evaluate(options)


def evaluate(options):
    require_folder("--output", options.output)
    labels = evaluation.parse_labels(options.label_values)
    if options.data:
        images, label_maps = cases.find_pairs(options.data, options.labels)
        others = [path for path in [options.atlas_labels] + (label_maps or []) if path]
        cases.check_files(images, others, options.atlas, options.resample)
        shape = read_volume(options.atlas or images[0]).array.shape
    else:
        for name in OF_FILES:
            if vars(options)[name]:
                raise refusal("`--{}` goes with `--data`".format(name.replace("_", "-")), "it alone", "`--data`")
        shape = (options.image_size,) * 2
    model, begun = trained_network(shape, options.weights, options.variant, options.diffeomorphic)
    level = begun.get("intensity_level", 1.0) if options.intensity_level is None else options.intensity_level
    if options.data:
        scale = functools.partial(scale_intensity, level=level)
        pairs = cases.file_cases(images, label_maps, options.atlas, options.atlas_labels, options.resample, scale)
    else:
        pairs = cases.brain_cases(8, shape, seed=2**31)
    scores, shown = evaluation.evaluate(model, pairs, labels, options.empty, log=print)
    print(evaluation.report(scores))
    print(evaluation.write_results(options.output, scores, shown, "scores", options.empty))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run, or an .h5 of the authors")
    add("--data", help="volumes: a folder, a pattern in quotes, or a list in a .txt (default: brains in 2-D)")
    add("--labels", help="their label maps, likewise, paired by name (default: no Dice)")
    add("--atlas", help="volume to register all of them to (default: each to the next)")
    add("--atlas-labels", help="label map of the atlas")
    add("--resample", action="store_true", help="bring volumes on other grids to that of the atlas, instead of refusing them")
    add("--label-values", help="labels that count: published (30 of FreeSurfer), or numbers as in 2,3,4 (default: all but 0)")
    add(
        "--empty",
        choices=tuple(evaluation.EMPTY),
        default="nan",
        help="what a label counts that neither map has: nothing (nan), 0 as in the authors' evaluation, or 1 (default: %(default)s)",
    )
    add("--intensity-level", type=float, help="where the brightest intensities go (default: as in the run; 0.45 for an .h5)")
    add("--variant", choices=tuple(VARIANTS), help="of the network (default: that of the run, or that the .h5 fits)")
    add("--diffeomorphic", action="store_true", help="whether it is the diffeomorphic network (default: likewise)")
    add("--image-size", type=int, default=96, help="side of the brains (default: %(default)s)")
    add("--output", default="outputs/registration", help="folder for scores.csv and figures (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
