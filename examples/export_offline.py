"""Takes a trained network out of Keras, for Ascend chips and others: frozen graph, conversion command, raw files, precision report.

Each takes seconds on two CPU cores. The same weights, those of a run or of the authors, serve every size and every runtime.

    python examples/export_offline.py freeze --weights outputs/cascade/best.npz --size 256 256 --output cascade.pb
    python examples/export_offline.py inspect cascade.pb
    python examples/export_offline.py atc cascade.pb --soc-version Ascend310
    python examples/export_offline.py to-bin --data test.hdf5 --acceleration 4 --output test_bin
    python examples/export_offline.py compare cascade.pb --bins test_bin --device results --csv precision.csv

`freeze` needs TensorFlow 1.15; `inspect`, `atc`, `from-bin` and `compare` any TensorFlow; `savedmodel` Keras on TensorFlow; `onnx` Keras 3 on
PyTorch. No Ascend chip has been at hand: graphs are checked on the graph and on CPUs, and the command has not been run.
"""

import argparse
import os

import numpy as np

from mrlayers.checks import refusal, require_integer
from mrlayers.complexes import to_pairs
from zoo import export, training
from zoo.cascade import data, deep_cascade, load_published, phantoms
from zoo.cascade.trained import trained_series_network
from zoo.export.binary import from_bin, to_bin
from zoo.export.converter import PRECISION_MODES
from zoo.export.precision import KINDS
from zoo.files import existing, read_arrays, written_whole
from zoo.images import crop, load_images
from zoo.runs import errors_in_words, read_arguments, require_folder, require_outputs
from zoo.unet import segmenter
from zoo.voxelmorph.trained import KERAS_FILES, trained_network

FAMILIES = ("cascade", "series", "voxelmorph", "unet")
CASCADE = {"cascades": 5, "convolutions": 5, "filters": 64}


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        options.action(options)


def freeze(options):
    require_outputs({"--output": (options.output, (".pb",))}, (options.weights,))
    export.freeze(network(options), options.output, options.batch_size, options.inputs, options.outputs)
    print(export.describe(export.inspect(options.output)))
    print("%s written: %d bytes" % (options.output, os.path.getsize(options.output)))


def savedmodel(options):
    require_folder("--output", os.path.dirname(os.path.abspath(options.output)))
    export.savedmodel(network(options), options.output, options.batch_size, options.inputs, options.outputs)
    print("%s written" % options.output)


def onnx(options):
    require_outputs({"--output": (options.output, (".onnx",))}, (options.weights,))
    export.onnx(network(options), options.output, options.batch_size, options.inputs, options.outputs)
    print("%s written: %d bytes" % (options.output, os.path.getsize(options.output)))


def inspect(options):
    print(export.describe(export.inspect(options.frozen)))


def atc(options):
    if options.keep_dtype:
        require_outputs({"--keep-dtype": (options.keep_dtype, (".cfg", ".txt"))}, (options.frozen,))
    names = options.frozen, options.soc_version, options.output, options.precision_mode, options.keep_dtype
    print(export.atc_command(*names))
    if options.keep_dtype:
        with written_whole(options.keep_dtype) as temporary, open(temporary, "w") as file:
            file.write("OpType::MatMul\n")


def write_bins(options):
    require_folder("--output", options.output)
    if options.arrays and options.data:
        raise refusal("`--arrays` stands for itself", "`--data` as well", "one of the two")
    arrays = read_arrays(options.arrays) if options.arrays else undersampled(options)
    cases = to_bin(arrays, options.output)
    for name, array in sorted(arrays.items()):
        print("%s: %d files of %d bytes, float32 %s" % (name, len(cases), array[0].size * 4, array.shape[1:]))


def undersampled(options):
    """What a cascade is tested with: `feature`, `mask` and `label` of images."""
    if options.data is None:
        images = phantoms.random_phantoms(4, (options.image_size or 128,) * 2, seed=2**31)
    else:
        images = crop(load_images(options.data), options.image_size)
    mask = data.lines_of_images(images.shape[1:], options.acceleration, options.center_lines, options.mask)
    masks = np.stack([mask(seed=[options.seed, index]) for index in range(len(images))])
    feature, _ = data.undersample(images, masks)
    full = masks if options.lines else np.broadcast_to(masks, feature.shape[:-1] + (1,))
    return {"feature": feature, "mask": full, "label": to_pairs(images)}


def read_bins(options):
    require_outputs({"--output": (options.output, (".npz",))})
    outputs = export.inspect(options.frozen).outputs
    arrays = {}
    for position, (name, shape, _) in enumerate(outputs):
        endings = ("_output_%d.bin" % position, "_%d.bin" % position)
        arrays[name] = from_bin(options.device, shape, None, endings)
    with written_whole(options.output) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    print("%s written: %s" % (options.output, ", ".join("%s %s" % (name, array.shape) for name, array in arrays.items())))


def compare(options):
    require_outputs({"--csv": (options.csv, (".csv",))})
    cases = export.compare(options.frozen, options.bins, options.device, options.kind, options.label_values)
    print(export.report(cases))
    if options.csv:
        export.write_csv(options.csv, cases)
        print("%s written" % options.csv)


def network(options):
    """The network that the weights are of, for images of `--size`."""
    for size in options.size:
        require_integer("--size", size, 1)
    path, size, family = existing(options.weights), tuple(options.size), options.family or family_of(options.weights)
    axes = {"cascade": (2,), "series": (3,), "voxelmorph": (1, 2, 3), "unet": (2, 3)}[family]
    if len(size) not in axes:
        expected = "`--size` must be %s numbers for this network (%s)" % (" or ".join(map(str, axes)), family)
        raise refusal(expected, "%d" % len(size), "height and width, with frames or depth in front")
    mask_shape = size[:-1] + (1, 1) if options.lines else None
    if family == "series":
        return trained_series_network(path, size, mask_shape)
    if family == "voxelmorph":
        return trained_network(size, path, options.variant, options.diffeomorphic)[0]
    if family == "unet":
        model = segmenter.build(size, segmenter.Segmenter(path).settings)
        training.load_weights(model, path)
        return model
    sizes = dict(CASCADE, **{name: value for name, value in read_arguments(path).items() if name in CASCADE})
    sizes.update((name, vars(options)[name]) for name in CASCADE if vars(options)[name] is not None)
    model = deep_cascade(size, mask_shape, sizes["cascades"], sizes["convolutions"], sizes["filters"])
    (load_published if "arr_0" in read_arrays(path) else training.load_weights)(model, path)
    return model


def family_of(weights):
    """Which family a file of weights is of, by the run that it lies in or by its ending."""
    begun = read_arguments(weights)
    for name, family in (("model", "series"), ("network", "unet"), ("diffeomorphic", "voxelmorph")):
        if name in begun:
            return family
    if weights.lower().endswith(KERAS_FILES):
        return "voxelmorph"
    return "series" if weights.lower().endswith((".pth", ".pt")) else "cascade"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="subcommand", metavar="action")
    actions.required = True

    def action(name, function, about):
        added = actions.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        added.set_defaults(action=function)
        return added.add_argument

    for name, function, about, output in (
        ("freeze", freeze, "write a frozen graph without a complex number, for `atc` (TensorFlow 1.15)", "file, .pb"),
        ("savedmodel", savedmodel, "write a SavedModel (Keras on TensorFlow)", "folder, which must not exist"),
        ("onnx", onnx, "write ONNX, data consistency inside (Keras 3 on PyTorch)", "file, .onnx"),
    ):
        add = action(name, function, about)
        add("--weights", required=True, help="best.npz or last.npz of a run, or a file of the authors")
        add(
            "--size",
            type=int,
            nargs="+",
            required=True,
            metavar="N",
            help="of the images: height width, frames height width ...",
        )
        add("--output", required=True, help=output)
        add("--family", choices=FAMILIES, help="of networks (default: that of the run, or that the file's name tells)")
        add("--batch-size", type=int, default=1, help="images at once, always (default: %(default)s)")
        add(
            "--inputs",
            nargs="+",
            metavar="NAME",
            help="other names; three for a cascade keep the k-space as an input of its own",
        )
        add("--outputs", nargs="+", metavar="NAME", help="other names, of the first so many outputs")
        add("--lines", action="store_true", help="masks of lines, (height, 1, 1), which cost less (default: of points)")
        add("--variant", help="of VoxelMorph (default: that of the run)")
        add("--diffeomorphic", action="store_true", help="whether it is the diffeomorphic VoxelMorph (default: as in the run)")
        for what in CASCADE:
            add("--" + what, type=int, help="of the cascade (default: those of the run, else %d)" % CASCADE[what])

    add = action("inspect", inspect, "list inputs, outputs and operators of a frozen graph")
    add("frozen", help="frozen graph, .pb")

    add = action("atc", atc, "print the command that converts a frozen graph for a chip")
    add("frozen", help="frozen graph, .pb")
    add("--soc-version", required=True, help="the chip: Ascend310, Ascend310P3, Ascend910A ...")
    add("--output", help="name of the .om without its ending (default: that of the graph)")
    add("--precision-mode", choices=PRECISION_MODES, default=PRECISION_MODES[0], help="(default: %(default)s)")
    add("--keep-dtype", metavar="FILE", help="write this .cfg, by which the converter keeps the Fourier transforms in float32")

    add = action("to-bin", write_bins, "write inputs and truth as raw files, a folder for each")
    add("--output", required=True, help="folder for feature/, mask/, label/")
    add("--arrays", help=".npz whose arrays (n, ...) have the names of the inputs and of the truth: image and label, ...")
    add("--data", help="images for a cascade, as evaluate_cascade.py takes them (default: phantoms)")
    add("--acceleration", type=float, default=4.0, help="lines in an image over lines measured (default: %(default)s)")
    add(
        "--center-lines",
        type=int,
        default=8,
        help="lines around zero frequency that are always measured (default: %(default)s)",
    )
    add("--mask", help="HDF5 with `mask`: use this one mask for all images (default: a new one for each)")
    add("--lines", action="store_true", help="masks of lines, for a graph that was frozen so")
    add("--image-size", type=int, help="side of the phantoms (128), or crop the images to it")
    add("--seed", type=int, default=0, help="of the masks (default: %(default)s)")

    add = action("from-bin", read_bins, "read a device's results into one .npz, an array for each output")
    add("frozen", help="frozen graph that the device ran, which tells names and shapes")
    add("--device", required=True, help="folder of results, case_output_0.bin ...")
    add("--output", required=True, help="file, .npz")

    add = action("compare", compare, "print the precision report: frozen graph here and device against the truth")
    add("frozen", help="frozen graph, .pb")
    add("--bins", required=True, help="folder of `to-bin`, with the truth")
    add("--device", help="folder of results, case_output_0.bin ... (default: only the frozen graph)")
    add("--kind", choices=tuple(KINDS), help="of truth (default: what the names of the inputs say)")
    add("--label-values", type=int, nargs="+", help="labels that count for Dice (default: all but 0)")
    add("--csv", help="file to write, a line for each case")
    return parser


if __name__ == "__main__":
    main()
