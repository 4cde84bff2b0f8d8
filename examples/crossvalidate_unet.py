"""Trains and scores a U-Net on every fold of a set of images, and says the mean and the spread over folds.

    python examples/crossvalidate_unet.py --data isbi2012 --filters 16 --steps 600
    python examples/crossvalidate_unet.py --data isbi2012 --folds 0,3 --recipe nvidia --output outputs/nvidia
    python examples/crossvalidate_unet.py --data isbi2012 --output outputs/unet-folds          # again: goes on where it was stopped

Everything but --folds, --fold-count and --output goes to train_unet.py, which runs once for each fold, in a folder of its own.
A fold that has its test.csv is not run again; one that was stopped goes on from its last checkpoint. No image is scored by a
network that has seen it, and nothing is chosen by these scores. folds.csv has the mean of each fold.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys

import numpy as np

from mrlayers.checks import refusal
from zoo.files import written_whole
from zoo.runs import errors_in_words, require_folder
from zoo.unet import evaluation

HERE = pathlib.Path(__file__).resolve().parent
OF_THIS_SCRIPT = ("--fold", "--resume", "--test-data", "--test-labels")


def main():
    parser = arguments()
    options, others = parser.parse_known_args()
    with errors_in_words(parser):
        crossvalidate(options, others)


def crossvalidate(options, others):
    for name in others:
        if name.split("=")[0] in OF_THIS_SCRIPT:
            raise refusal("`{}` must not be given".format(name.split("=")[0]), "it", "`--folds`, which resumes by itself")
    folds = parse_folds(options.folds, options.fold_count)
    require_folder("--output", options.output)
    for fold in folds:
        folder = os.path.join(options.output, "fold{}".format(fold))
        if os.path.exists(os.path.join(folder, "test.csv")):
            print("Fold {}: {} is there".format(fold, os.path.join(folder, "test.csv")))
            continue
        print("Fold {}".format(fold), flush=True)
        command = [sys.executable, str(HERE / "train_unet.py"), "--data", options.data, "--fold", str(fold)]
        command += ["--folds", str(options.fold_count), "--output", folder] + others
        if os.path.isdir(os.path.join(folder, "checkpoints")):
            command.append("--resume")
        status = subprocess.call(command)
        if status:
            sys.exit(status)
    means = summary(options.output, folds)
    print(report(means, folds))
    write_csv(os.path.join(options.output, "folds.csv"), means, folds)
    print("{} written".format(os.path.join(options.output, "folds.csv")))


def parse_folds(text, count):
    """`"all"`, or numbers as in `"0,3"`."""
    if text == "all":
        return list(range(count))
    numbers = text.split(",")
    if not all(number.isdigit() and int(number) < count for number in numbers) or len(set(numbers)) < len(numbers):
        raise refusal("`--folds` must be all, or different numbers from 0 to {}".format(count - 1), text, "--folds 0,1")
    return [int(number) for number in numbers]


def summary(output, folds):
    """`{title: mean over the images of each fold}`."""
    means = {}
    for fold in folds:
        scores = evaluation.read_csv(os.path.join(output, "fold{}".format(fold), "test.csv"))
        for title, values in evaluation.rows(scores):
            means.setdefault(title, []).append(float(np.nanmean(values)))
    return means


def report(means, folds):
    lines = ["{:<28}{:>20}   {}".format("", "mean +- deviation", "folds " + ", ".join(map(str, folds)))]
    for title, values in means.items():
        cell = "{:.4f} +- {:.2g}".format(np.mean(values), np.std(values))
        lines.append("{:<28}{:>20}   {}".format(title, cell, " ".join("%.4f" % value for value in values)))
    return "\n".join(lines)


def write_csv(path, means, folds):
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["metric"] + ["fold %d" % fold for fold in folds] + ["mean", "standard deviation over folds"])
        for title, values in means.items():
            writer.writerow([title] + ["%.6g" % value for value in values + [np.mean(values), np.std(values)]])


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--data", required=True, help="ISBI's folder, an .npz, or images, as for train_unet.py")
    add("--folds", default="all", help="which: all, or numbers as in 0,3 (default: %(default)s)")
    add("--fold-count", type=int, default=5, help="how many there are (default: %(default)s)")
    add("--output", default="outputs/unet-folds", help="a folder for fold0, fold1 ... and folds.csv (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
