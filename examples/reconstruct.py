"""Reconstructs measured, undersampled k-space of series with trained weights, and writes images in the unit of the k-space.

    python examples/reconstruct.py --weights outputs/dynamic-sharing/best.npz --kspace kspace.npy --mask mask.npy --axes thw \
        --output series.npz --film series.gif
    python examples/reconstruct.py --weights crnn_mri_d5_c5.pth --kspace scan.mat --key kspace --axes hwt --mask scan.mat \
        --mask-key mask --mask-axes ht --centered --output series.nii.gz

The weights of one run fit series of any size. NIfTI gets magnitudes, .npz and .npy complex numbers `(series, time, height, width)`.
"""

import argparse
import time

from mrlayers import sampling
from zoo.cascade.measurements import OUTPUTS, load_measurement, reconstruct, write_series
from zoo.cascade.series_evaluation import write_film
from zoo.cascade.trained import settings_of, trained_series_network
from zoo.runs import errors_in_words, require_outputs


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        run(options)


def run(options):
    inputs = (options.weights, options.kspace, options.mask)
    require_outputs({"--output": (options.output, OUTPUTS), "--film": (options.film, (".gif",))}, inputs)
    if not 0 < options.peak < float("inf"):
        raise ValueError("`--peak` must be above 0 and finite. Received: {}. Try 1.".format(options.peak))
    settings = settings_of(options.weights)
    kspace, mask = load_measurement(
        options.kspace, options.mask, options.key, options.mask_key, options.axes, options.mask_axes, options.centered
    )
    print("{} series of {} frames of {}x{}; {}".format(*kspace.shape, sampling.describe_mask(mask, centered=False)))
    model = trained_series_network(options.weights, kspace.shape[1:], mask.shape[1:])
    begun = time.time()
    zero_filled, series = reconstruct(model, kspace, mask, options.peak)
    print("{}: {:.1f} s".format(settings["model"], time.time() - begun))
    write_series(options.output, series)
    if options.film:
        write_film(options.film, None, zero_filled[0], series[0])
    print("{} written".format(" and ".join(name for name in (options.output, options.film) if name)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--weights", required=True, help="best.npz or last.npz of a run, or the authors' crnn_mri_d5_c5.pth or d5_c5.npz")
    add("--kspace", required=True, help="measured k-space: .npz, .npy, .mat, HDF5 or NIfTI")
    add("--mask", required=True, help="zeros and ones, 1 where k-space was measured, in a file of the same kinds")
    add("--key", help="name of the k-space in a file that names arrays (default: the only one of three or more axes)")
    add("--mask-key", help="name of the mask in a file that names arrays (default: likewise)")
    add(
        "--axes",
        help="a letter for each axis of the k-space: n series, t time, h height (phase encoding), w width, c (real, imaginary)",
    )
    add("--mask-axes", help="a letter for each axis of the mask: t, h, w (default: thw, th or h)")
    add("--centered", action="store_true", help="zero frequency is in the middle, as scanners store it (default: at index 0)")
    add(
        "--peak",
        type=float,
        default=1.0,
        help="largest magnitude that the network is to see (default: %(default)s, that of training; the authors' CRNN-MRI: 4)",
    )
    add("--output", required=True, help="file for the series, " + " ".join(OUTPUTS))
    add("--film", help="GIF of the first series: zero-filled and reconstructed")
    return parser


if __name__ == "__main__":
    main()
