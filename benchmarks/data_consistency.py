"""How much faster data consistency is than the published formulation and than SciPy's bare FFT pair, as ratios of one run.

Then the share of data consistency in a training step of D5-C5. About three minutes on two CPU cores; `make bench` does all runtimes.

    KERAS_BACKEND=torch python benchmarks/data_consistency.py
"""

import argparse
import os
import sys

import numpy as np
import scipy.fft

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from published import published  # noqa: E402
from timing import compare, ready  # noqa: E402

from mrlayers import IFFT, DataConsistency, sampling  # noqa: E402
from mrlayers.backend import COMPILE_OPTIONS, RUNTIME, keras  # noqa: E402
from zoo.cascade import deep_cascade  # noqa: E402

LINE = "{:<48}{:>10}{:>16}{:>14}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 320], help="sides of the images (default: 256 320)")
    parser.add_argument("--batch", type=int, default=16, help="images at once (default: %(default)s)")
    parser.add_argument("--no-share", action="store_true", help="leave out the share in a D5-C5 training step")
    options = parser.parse_args()
    print("Data consistency on {}: times faster than the named reference (above 1 is faster), best of each".format(RUNTIME))
    print(LINE.format("", "published", "SciPy FFT pair", "milliseconds"))
    for size in options.sizes:
        ratios(options.batch, size)
    if not options.no_share:
        share()


def ratios(batch, size):
    image, reference, lines, plane = operands(batch, size)
    complex_image = image[..., 0] + 1j * image[..., 1]
    columns = np.ascontiguousarray(lines.transpose(0, 2, 1, 3))
    engines = ["matmul", "fft"] if RUNTIME == "tensorflow1" else ["fft"]
    for gradient in (False, True):
        for name, mask in [("lines (height)", lines), ("lines (width)", columns), ("2-D mask", plane)]:
            full = np.broadcast_to(mask, plane.shape).copy()
            theirs = ready(published, [image, reference, full], gradient)
            ours = [ready(layer(engine), [image, reference, mask], gradient) for engine in engines]
            against, (pair, *times) = compare(theirs, [lambda: scipy_pair(complex_image)] + ours)
            for engine, seconds in zip(engines, times):
                print(
                    LINE.format(
                        "{0}x{1}x{1}, {2}, {3}{4}".format(batch, size, name, engine, " + gradient" if gradient else ""),
                        "{:.1f}".format(against / seconds),
                        "" if gradient else "{:.2f}".format(pair / seconds),
                        "{:.1f}".format(1e3 * seconds),
                    ),
                    flush=True,
                )
            keras.backend.clear_session()


def scipy_pair(z):
    return scipy.fft.ifft2(scipy.fft.fft2(z, workers=2), workers=2)


def layer(engine):
    return lambda image, reference, mask: DataConsistency(reference="image", engine=engine)([image, reference, mask])


def operands(batch, size):
    random = np.random.RandomState(0)
    image, reference = random.standard_normal((2, batch, size, size, 2)).astype("float32")
    lines = sampling.cartesian_mask((batch, size, size), 4, seed=0)
    plane = (random.uniform(size=(batch, size, size, 1)) < 0.25).astype("float32")
    return image, reference, lines, plane


def share(size=256):
    """Data consistency's part of one training step of D5-C5 on one image: five layers and the one transform of k-space."""
    image, reference, lines, plane = operands(1, size)
    for name, mask in [("lines (height)", lines), ("2-D mask", plane)]:
        model = deep_cascade((size, size), mask.shape[1:])
        model.compile(keras.optimizers.Adam(1e-4), loss="mse", **COMPILE_OPTIONS)
        step = compare(lambda: model.train_on_batch([image, reference, mask], reference), [], seconds=8)[0]
        each = compare(ready(layer("auto"), [image, reference, mask], True), [], seconds=2)[0]
        once = compare(ready(lambda kspace: IFFT()(kspace), [image], False), [], seconds=1)[0]
        print(
            "share of a D5-C5 training step, 1x{}x{}, {}: {:.1f} %".format(size, size, name, 100 * (5 * each + once) / step),
            flush=True,
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
