"""Applies a saved warp to an image, to labels or to landmarks, or applies its inverse.

    python examples/warp.py --warp warp.nii.gz --image moving.nii.gz --output moved.nii.gz
    python examples/warp.py --warp warp.nii.gz --image moving_labels.nii.gz --labels --output moved_labels.nii.gz
    python examples/warp.py --warp warp.nii.gz --image fixed.nii.gz --inverse --output fixed_moved.nii.gz
    python examples/warp.py --warp warp.nii.gz --points fixed.csv --point-space ras --output moving.csv
    python examples/warp.py --warp warp.nii.gz --points moving.csv --point-space ras --inverse --output fixed.csv

A warp brings the moving image onto the fixed one. Landmarks go the other way, as with every tool that pulls images back: the
warp takes points of the fixed image to those of the moving one, and `--inverse` points of the moving image to the fixed one.
It reads what `register.py --warp` writes, and displacement fields of ITK and ANTs. A brain of 160x192x224 takes seconds on
two CPU cores, its inverse about one minute.
"""

import argparse

import numpy as np

from mrlayers import ComposeTransform, InvertDisplacement, PointTransformer, SpatialTransformer
from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.grids import match_grid
from zoo.runs import errors_in_words
from zoo.volumes import Volume, read_labels, read_volume, write_volume
from zoo.voxelmorph import points, warps


def main(arguments=None):
    parser = _parser()
    options = parser.parse_args(arguments)
    with errors_in_words(parser):
        move_image(options) if options.image else move_points(options)


def move_image(options):
    volume = (read_labels if options.labels else read_volume)(options.image)
    warp = warps.read_warp(options.warp)
    grid = Volume(warp.displacement[..., 0], warp.affine, volume.header)
    volume = match_grid(volume, grid, options.resample, options.labels, names=("--image", "--warp"))
    if options.labels:  # float32 holds the number of a label, but not every label
        values, numbers = np.unique(volume.array, return_inverse=True)
        numbers = numbers.reshape(volume.array.shape).astype(np.float32)
        moved = values[moved_image(numbers, "nearest", warp.displacement, options).astype(np.intp)]
    else:
        moved = moved_image(volume.array, "linear", warp.displacement, options)
    write_volume(options.output, moved, like=volume)
    print("%s: %s, %s" % (options.output, "x".join(map(str, moved.shape)), "labels" if options.labels else "image"))


def move_points(options):
    if options.point_space is None:
        raise refusal("`--point-space` must be one of %s" % ", ".join(points.SPACES), "nothing", "ras for millimetres of NIfTI")
    warp = warps.read_warp(options.warp)
    shape = warp.displacement.shape[:-1]
    landmarks = points.read_points(options.points, len(shape))
    voxels = points.points_to_voxels(landmarks.points, warp.affine, options.point_space)
    moved = transformed(PointTransformer(), voxels.astype(np.float32), warp.displacement, options)
    moved = points.voxels_to_points(moved.astype(np.float64), warp.affine, options.point_space)
    points.write_points(options.output, moved, like=landmarks)
    distance = np.sqrt(((moved - landmarks.points) ** 2).sum(axis=1)).mean()
    unit = "voxels" if options.point_space == "voxel" else "mm"
    print("%s: %d landmarks, moved by %.3g %s on average" % (options.output, len(moved), distance, unit))
    outside = np.count_nonzero(((voxels < 0) | (voxels > np.array(shape) - 1)).any(axis=1))
    if outside:
        print("%d of them lie outside the grid of the warp and moved as the voxel nearest to them" % outside)


def moved_image(array, interpolation, displacement, options):
    return transformed(SpatialTransformer(interpolation), array[..., np.newaxis], displacement, options)[..., 0]


def transformed(transformer, subject, displacement, options):
    """`transformer([subject, displacement])`, or with the inverse of the displacement, of arrays without a batch axis."""
    inputs = [keras.Input(array.shape) for array in (subject, displacement)]
    arrays = [subject[np.newaxis], displacement[np.newaxis]]
    if not options.inverse:
        return keras.Model(inputs, transformer(inputs)).predict_on_batch(arrays)[0]
    inverse = InvertDisplacement(options.iterations)(inputs[1])
    outputs = [transformer([inputs[0], inverse]), ComposeTransform()([inputs[1], inverse])]
    result, there_and_back = keras.Model(inputs, outputs).predict_on_batch(arrays)
    error = np.sqrt((there_and_back**2).sum(axis=-1))
    print("there and back: off by %.2g voxels on average, by %.2g at most" % (error.mean(), error.max()))
    return result[0]


def _parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--warp", required=True, help=".nii, .nii.gz (ITK, ANTs, register.py) or .npz")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--image", help="NIfTI, MGZ, .npz or .npy on the grid of the warp")
    subject.add_argument("--points", help="CSV with the columns x, y and z, others are kept")
    add("--output", required=True, help="file to write, of the same kind")
    add("--labels", action="store_true", help="the image holds labels: the nearest voxel, integers stay what they are")
    add("--resample", action="store_true", help="bring an image that lies on another grid to that of the warp first")
    add("--inverse", action="store_true", help="from the fixed to the moving image (landmarks: from moving to fixed)")
    add("--iterations", type=int, default=20, help="of the inverse, more for a field with steep slopes (default: %(default)s)")
    add("--point-space", choices=points.SPACES, help="voxel indices from 0, or millimetres: ras as NIfTI, lps as ITK and ANTs")
    return parser


if __name__ == "__main__":
    main()
