"""A training step and an inference step of `zoo.unet` beside others: times, as ratios of one run, and peak memory.

The references are the same network written in plain Keras layers (`tf.keras` on TensorFlow 1.15), with equal weights, loss and
optimizer, its outputs held against ours first; and on PyTorch MONAI's `BasicUNet` in a plain PyTorch loop, if it is installed, beside
ours on each backend that is. BasicUNet is taken without normalization and with ReLU, as ours is, and once with the instance
normalization that it has by default, as ours then has; the channels of its last level are chosen so that parameters are equal to
0.2 %. Every side runs in a process of its own, all take turns. Last comes the loader: augmented batches beside training steps.

    KERAS_BACKEND=torch python benchmarks/unet.py                  # two minutes on two CPU cores; with MONAI three more
    python benchmarks/unet.py --size full                          # twice the filters
    python benchmarks/unet.py --published                          # one step of the published networks at 572x572, within 20 GB
"""

import argparse
import importlib.util
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from timing import Apart, compare  # noqa: E402

from mrlayers import backend, losses  # noqa: E402
from mrlayers.backend import RUNTIME, keras  # noqa: E402
from zoo import optimizers, unet  # noqa: E402
from zoo.unet.augmentation import Augmentation  # noqa: E402
from zoo.unet.cells import random_cells  # noqa: E402
from zoo.unet.data import SegmentationBatches  # noqa: E402
from zoo.unet.reading import Examples  # noqa: E402

CLASSES, DEPTH, RATE = 2, 4, 1e-4  # BasicUNet has that depth only
SHAPES = {"2-D": (4, 256, 256, 1), "3-D": (1, 64, 64, 64, 1)}
FILTERS = {"small": {"2-D": 16, "3-D": 8}, "full": {"2-D": 32, "3-D": 16}}
STEPS = {"predict": "inference step", "train": "training step"}
LINE = "{:<58}{:>10}{:>10}{:>14}{:>8}"
LOADED = 24  # batches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(FILTERS), default="small", help="of the networks (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each line (default: %(default)s)")
    parser.add_argument("--published", action="store_true", help="instead: one training step of each published network")
    parser.add_argument("--memory", type=float, default=20, help="GB that one process may hold (default: %(default)s)")
    options = parser.parse_args()
    if options.published:
        for name in ("unet_mindspore", "unet_medical"):
            published(name, options.memory)
        return
    print("U-Net on {}: times faster, times less memory (above 1 is better), best of each".format(RUNTIME))
    print(LINE.format("against plain Keras", "faster", "memory", "milliseconds", "GB"), flush=True)
    for name, shape in SHAPES.items():
        against_plain(name, shape, FILTERS[options.size][name], options)
    if RUNTIME == "torch" and importlib.util.find_spec("monai"):
        print(LINE.format("against MONAI's BasicUNet", "faster", "memory", "milliseconds", "GB"), flush=True)
        for normalization in (None, "instance"):
            for name, shape in SHAPES.items():
                against_monai(name, shape, FILTERS[options.size][name], normalization, options)
    elif RUNTIME == "torch":
        print("MONAI is not installed and left out: `pip install monai` to compare with its BasicUNet.")
    loader(FILTERS[options.size]["2-D"], options.memory)


def against_plain(name, shape, filters, options):
    ours, plain = [Apart(Network, which, shape, filters, None, memory=options.memory) for which in ("ours", "plain")]
    plain.call("set_weights", ours.call("weights"))
    outputs = [side.call("outputs") for side in (ours, plain)]
    difference = np.abs(outputs[0] - outputs[1]).max()
    if difference > 1e-4 * np.abs(outputs[1]).max():
        sys.exit("The two networks are not the same: their outputs differ by {}".format(difference))
    title = "{}, {} filters, ".format(description(name, shape), filters)
    turns({"": ours}, plain, title, options.seconds)


def against_monai(name, shape, filters, normalization, options):
    runtimes = [each for each in ("torch", "tensorflow", "jax") if importlib.util.find_spec(each)]
    sides = {
        " on " + each: Apart(Network, "ours", shape, filters, normalization, runtime=each, memory=options.memory)
        for each in runtimes
    }
    monai = Apart(Monai, shape, filters, normalization, memory=options.memory)
    counts = [side.call("parameters") / 1e6 for side in (sides[" on torch"], monai)]
    title = "{}, {} normalization: {:.3f} million parameters, theirs {:.3f}"
    print(title.format(description(name, shape), normalization or "no", *counts), flush=True)
    turns(sides, monai, "    ", options.seconds)


def turns(sides, reference, title, seconds):
    """Lines for inference, then training: whoever trains first would have the memory of both."""
    for step, words in STEPS.items():
        functions = [lambda side=side: side.call(step) for side in sides.values()]
        theirs, times = compare(lambda: reference.call(step), functions, seconds)
        for (name, side), own in zip(sides.items(), times):
            peak = side.peak()
            figures = [theirs / own, reference.peak() / peak, 1e3 * own, peak]
            print(LINE.format(title + words + name, *map("{:.2f} {:.2f} {:.0f} {:.2f}".split()[0].format, figures[:2]), *["{:.0f}".format(figures[2]), "{:.2f}".format(figures[3])]), flush=True)
    for side in list(sides.values()) + [reference]:
        side.end()


def loader(filters, memory):
    """Augmented patches of 256x256 from images of 512x512, one thread."""
    ours = Apart(Loaded, filters, memory=memory)
    batch, step, fed = ours.call("seconds")
    ours.end()
    print("loader, one thread: {:.0f} ms a batch of 4x256x256, {:.2f} of a training step of {:.0f} ms; a step that it feeds "
          "takes {:.2f} times as long".format(1e3 * batch, batch / step, 1e3 * step, fed / step), flush=True)


def published(name, memory):
    side = Apart(Published, name, memory=memory)
    try:
        seconds, loss = side.call("step")
    except RuntimeError as error:
        print("{} on {}: {}".format(name, RUNTIME, error), flush=True)
        return
    line = "{} on {}, batch of one: a training step takes {:.1f} s (the first, with all that is compiled), {:.1f} GB, loss {:.4f}"
    print(line.format(name, RUNTIME, seconds, side.peak(), loss), flush=True)
    side.end()


def description(name, shape):
    return "{} {}".format(name, "x".join(str(size) for size in shape[:-1]))


class Network:
    """Ours or the plain one, ready to train."""

    def __init__(self, which, shape, filters, normalization):
        keras.utils.set_random_seed(0) if RUNTIME != "tensorflow1" else backend.set_seed(0)
        make = {"ours": ours, "plain": plain}[which]
        self.model = make(shape[1:], filters, normalization)
        self.images, self.targets = batch(shape)

    def parameters(self):
        return self.model.count_params()

    def weights(self):
        return self.model.get_weights()

    def set_weights(self, weights):
        self.model.set_weights(weights)

    def outputs(self):
        return np.asarray(self.model.predict_on_batch(self.images))

    def predict(self):
        self.model.predict_on_batch(self.images)

    def train(self):
        self.model.train_on_batch(self.images, self.targets)


def ours(input_shape, filters, normalization):
    """What `examples/train_unet.py --loss cross-entropy` trains."""
    model = unet.unet(input_shape, CLASSES, filters=filters, depth=DEPTH, normalization=normalization)
    model.compile(optimizers.adam(RATE), losses.CrossEntropy(from_logits=True), **backend.COMPILE_OPTIONS)
    return model
