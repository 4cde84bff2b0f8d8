"""How much faster the warp and scaling and squaring are than what else there is, as ratios of one run, on smooth displacements.

Beside ours: torch's `grid_sample` (aligned corners, border) as a warp by a displacement in voxels, and the bare call on a grid made
beforehand; `scipy.ndimage.map_coordinates`; Keras's `ops.image.map_coordinates`; on TensorFlow 1.15 neurite 0.2. Two minutes
at the default size on two CPU cores; `make bench` does all runtimes.

    KERAS_BACKEND=torch python benchmarks/warp.py --size 160 192 224
"""

import argparse
import os
import sys

import numpy as np
import scipy.ndimage

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import samplers  # noqa: E402
from timing import compare, ready  # noqa: E402

from mrlayers import SpatialTransformer, VecInt  # noqa: E402
from mrlayers.backend import RUNTIME, keras  # noqa: E402

GRADIENTS = {"forward": (), "and gradient to the displacement": (1,), "and gradients to both": (0, 1)}
LINE = "{:<58}" + "{:>13}" * (len(samplers.NAMES) + 1)
STEPS = 7


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[96, 112, 96], help="of the volume (default: 96 112 96)")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each line (default: %(default)s)")
    options = parser.parse_args()
    print("The warp on {}: times faster than the named reference (above 1 is faster), best of each".format(RUNTIME))
    print(LINE.format("", *samplers.NAMES + ["milliseconds"]))
    for channels in (1, 3):
        for name, to in GRADIENTS.items():
            arrays = operands(options.size, channels)
            title = "{}x{}x{}, {} channel{}, {}".format(*options.size + [channels, "s" if channels > 1 else "", name])
            measure(title, warp, samplers.warps(arrays, to), arrays, to, 2, options.seconds)
    for name, to in [("forward", ()), ("and gradient", (0,))]:
        _, velocity, _ = operands(options.size, 1)
        arrays = [velocity, np.random.RandomState(1).standard_normal(velocity.shape).astype("float32")]
        title = "{}x{}x{}, VecInt of {} steps, {}".format(*options.size + [STEPS, name])
        measure(title, integral, samplers.integrals(arrays, STEPS, to), arrays, to, 1, options.seconds)


def measure(title, ours, references, arrays, to, upstream, seconds):
    function = ready(ours(), arrays, bool(to), to, upstream)
    time, others = compare(function, list(references.values()), seconds)
    ratios = dict(zip(references, ["{:.2f}".format(other / time) for other in others]))
    print(LINE.format(title, *[ratios.get(name, "") for name in samplers.NAMES] + ["{:.1f}".format(1e3 * time)]), flush=True)
    keras.backend.clear_session()


def warp():
    layer = SpatialTransformer()
    return lambda moving, displacement, upstream: layer([moving, displacement])


def integral():
    layer = VecInt(STEPS)
    return lambda velocity, upstream: layer(velocity)


def operands(size, channels):
    """A volume, a displacement of up to some voxels that is as smooth as a registration's, and an upstream gradient."""
    random = np.random.RandomState(0)
    moving, upstream = random.standard_normal((2, 1) + tuple(size) + (channels,)).astype("float32")
    coarse = 2 * random.standard_normal([-(-length // 16) + 1 for length in size] + [3])
    fine = [scipy.ndimage.zoom(coarse[..., axis], 16, order=1)[tuple(map(slice, size))] for axis in range(3)]
    return moving, np.stack(fine, axis=-1)[None].astype("float32"), upstream


if __name__ == "__main__":
    main()
