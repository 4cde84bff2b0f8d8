"""How much faster local normalised cross-correlation is than with dense window sums, as published: ratios of one run.

Both compute the loss of one pair and its gradient to the moving image. `--full` adds the time and the peak memory of `NCC` at
160x192x224. About two minutes on two CPU cores, six on JAX, whose dense convolution takes two of them for one call.

    KERAS_BACKEND=torch python benchmarks/ncc.py
"""

import argparse
import os
import resource
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from timing import compare, ready  # noqa: E402

from mrlayers.backend import RUNTIME, keras, ops  # noqa: E402
from mrlayers.losses import NCC  # noqa: E402

LINE = "{:<40}{:>10}{:>16}"
TOO_SLOW_TO_REPEAT = 20.0  # seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[96, 112, 96], help="size of the volume (default: 96 112 96)")
    parser.add_argument("--window", type=int, default=9, help="size of the window (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="add time and peak memory at 160x192x224")
    options = parser.parse_args()
    if options.full:
        full(options.window)
    print("NCC on {}: times faster than dense window sums (above 1 is faster), best of each".format(RUNTIME))
    print(LINE.format("", "dense", "milliseconds"))
    arrays = pair(options.shape)
    for gradient in (False, True):
        dense = ready(lambda *tensors: dense_ncc(*tensors, window=options.window), arrays, gradient)
        losses = [NCC(options.window), NCC(options.window, border="zeros")]
        ours = [ready(lambda *tensors, loss=loss: of_pair(loss, *tensors), arrays, gradient) for loss in losses]
        against = seconds_of(dense)
        _, times = compare(ours[0], ours)
        for loss, seconds in zip(losses, times):
            print(
                LINE.format(
                    "{}, window {}, {}{}".format(
                        "x".join(str(size) for size in options.shape),
                        options.window,
                        loss.border,
                        " + gradient" if gradient else "",
                    ),
                    "{:.1f}".format(against / seconds),
                    "{:.1f}".format(1e3 * seconds),
                ),
                flush=True,
            )
        keras.backend.clear_session()


def full(window):
    """Peak memory is that of the process, less what it had before."""
    arrays = pair((160, 192, 224))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = ready(lambda *tensors: of_pair(NCC(window), *tensors), arrays, True)
    seconds, _ = compare(step, [])
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0**2
    print("160x192x224 + gradient: {:.2f} s, {:.1f} GiB above the two images".format(seconds, memory), flush=True)
    keras.backend.clear_session()


def pair(shape):
    """The moving image, what is pulled back to it, and the fixed image."""
    random = np.random.RandomState(0)
    moving, fixed = random.uniform(size=(2, 1) + tuple(shape) + (1,)).astype("float32")
    return moving, np.ones((1, 1, 1, 1), "float32"), fixed


def of_pair(loss, moving, _, fixed):
    return ops.reshape(loss.call(fixed, moving), (1, 1, 1, 1))


def dense_ncc(moving, _, fixed, window):
    """The loss as VoxelMorph computes it: five convolutions with a full kernel of ones, zeros outside."""
    sums = [window_sum(x, window) for x in (fixed, moving, fixed * fixed, moving * moving, fixed * moving)]
    size = float(window**3)
    cross = sums[4] - sums[0] * sums[1] / size
    variances = (sums[2] - sums[0] * sums[0] / size) * (sums[3] - sums[1] * sums[1] / size)
    return ops.reshape(-ops.mean(cross * cross / (variances + 1e-5)), (1, 1, 1, 1))


def window_sum(x, window):
    kernel = np.ones((window,) * 3 + (1, 1), "float32")
    if RUNTIME == "tensorflow1":
        return keras.backend.conv3d(x, keras.backend.constant(kernel), padding="same")
    return ops.conv(x, ops.convert_to_tensor(kernel), padding="same")


def seconds_of(function):
    """As `compare`, but only once where one call takes long."""
    begin = time.perf_counter()
    function()
    first = time.perf_counter() - begin
    return first if first > TOO_SLOW_TO_REPEAT else compare(function, [])[0]


if __name__ == "__main__":
    main()
