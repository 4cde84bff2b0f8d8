"""A training step of CRNN-MRI and data sharing beside the published ones: times, as ratios of one run, and peak memory.

CRNN-MRI: forward, MSE, backward and Adam on one series of few and of many frames, beside a transcription that calls each
convolution for each frame and each direction, as the authors do; and how the time grows with the frames. Each side has processes
of its own: one for the time, and one, whose C library gives back what is freed, for the memory. Data sharing, with its gradient:
beside one convolution over time whose weights are ones, as published, and beside one for each distance. All sides have the same
weights, and are checked first to give the same. Three minutes on two CPU cores, on JAX more, for the transcription takes long to
compile.

    KERAS_BACKEND=torch python benchmarks/dynamic.py
    python benchmarks/dynamic.py --full      # the published network: 64 filters, 5 iterations
"""

import argparse
import os
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import published_dynamic  # noqa: E402
from timing import Apart, compare, ready  # noqa: E402

from mrlayers import DataSharing  # noqa: E402
from mrlayers.backend import COMPILE_OPTIONS, RUNTIME, keras, ops  # noqa: E402
from zoo import optimizers  # noqa: E402
from zoo.cascade import crnn_mri, load_published  # noqa: E402

DISTANCES = (0, 1, 2, 3, 4)
SHARING, RECURRENCE = "{:<52}{:>12}{:>18}{:>14}", "{:<52}{:>10}{:>10}{:>14}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--frames", type=int, nargs=2, default=[8, 30], help="of CRNN-MRI, and the second of sharing (default: 8 30)"
    )
    parser.add_argument("--size", type=int, nargs=2, default=[256, 128], help="of images, of both parts (default: 256 128)")
    parser.add_argument("--filters", type=int, default=16, help="of CRNN-MRI (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=2, help="of CRNN-MRI (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="64 filters and 5 iterations")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each comparison (default: %(default)s)")
    parser.add_argument("--memory", type=float, default=20, help="GB that one process may hold (default: %(default)s)")
    options = parser.parse_args()
    if options.full:
        options.filters, options.iterations = 64, 5
    recurrence(options)  # first: on Linux a process begins with the peak of the one that starts it
    sharing(options.frames[1], options.size[0], options.seconds)


def sharing(frames, size, seconds):
    print("Data sharing on {}, forward and gradient: times faster (above 1 is better), best of each".format(RUNTIME))
    print(SHARING.format("", "published", "one per distance", "milliseconds"), flush=True)
    random = np.random.RandomState(0)
    shape = (1, frames, size, size)
    upstream = random.standard_normal(shape + (2 * len(DISTANCES),)).astype("float32")
    for name, mask_shape in [("lines", (1, frames, size, 1, 1)), ("2-D mask", shape + (1,))]:
        mask = (random.uniform(size=mask_shape) < 0.25).astype("float32")
        kspace = mask * random.standard_normal(shape + (2,)).astype("float32")
        full = np.broadcast_to(mask, kspace.shape)
        arrays = [published_dynamic.arranged(array.copy()) for array in (kspace, full, upstream)]
        layer = DataSharing(DISTANCES)
        own = evaluated(lambda *tensors: layer(list(tensors)), [kspace, mask])
        references = []
        for together in (True, False):
            theirs = published_dynamic.data_sharing(DISTANCES, together)
            found = published_dynamic.arranged(evaluated(theirs, arrays[:2]), back=True)
            require_same(own, found, 1e-5)
            references.append(ready(theirs, arrays, True, upstream=2))
        ours = ready(lambda kspace, mask, upstream: layer([kspace, mask]), [kspace, mask, upstream], True, upstream=2)
        time, others = compare(ours, references, seconds)
        ratios = ["{:.2f}".format(other / time) for other in others]
        title = "{} frames {}x{}, distances to {}, {}".format(frames, size, size, max(DISTANCES), name)
        print(SHARING.format(title, *ratios + ["{:.1f}".format(1e3 * time)]), flush=True)
        keras.backend.clear_session()


def evaluated(function, arrays):
    if RUNTIME == "tensorflow1":
        return keras.backend.eval(function(*[keras.backend.constant(array) for array in arrays]))
    return ops.convert_to_numpy(function(*[ops.convert_to_tensor(array) for array in arrays]))


def recurrence(options):
    title = "A training step of CRNN-MRI on {}: times faster, times less memory than published".format(RUNTIME)
    print(title + ", {} filters, {} iterations".format(options.filters, options.iterations))
    print(RECURRENCE.format("", "faster", "memory", "milliseconds", "GB"), flush=True)
    size, times = options.size[1], []
    for frames in options.frames:
        arguments = frames, size, options.filters, options.iterations
        ours, published = [Apart(make, *arguments, memory=options.memory) for make in (Ours, Published)]
        require_same(ours.call("outputs"), published.call("outputs"), 1e-4)
        theirs, (own,) = compare(lambda: published.call("train"), [lambda: ours.call("train")], options.seconds)
        peak, published_peak = [held(make, arguments, options.memory) for make in (Ours, Published)]
        ratios = ["{:.2f}".format(theirs / own), "{:.2f}".format(published_peak / peak)]
        row = ratios + ["{:.0f}".format(1e3 * own), "{:.2f}".format(peak)]
        print(RECURRENCE.format("{} frames {}x{}".format(frames, size, size), *row), flush=True)
        times.append((own, theirs))
        for side in (ours, published):
            side.end()
    few, many = options.frames
    growth = [second / first / (many / few) for first, second in zip(*times)]
    line = "From {} to {} frames, {:.2f} times as many, the time of a frame grows {:.2f}-fold, of the published {:.2f}-fold."
    print(line.format(few, many, many / few, *growth))


def held(make, arguments, memory):
    """GB that two training steps hold at most, what the C library keeps of freed memory left out: that is a matter of luck."""
    side = Apart(make, *arguments, environment={"MALLOC_MMAP_THRESHOLD_": "65536"}, memory=memory)
    for _ in range(2):
        side.call("train")
    peak = side.peak()
    side.end()
    return peak


def require_same(ours, published, tolerance):
    difference = np.abs(ours - published).max() / np.abs(published).max()
    if not difference < tolerance:
        sys.exit("Both must give the same. Received: outputs that differ by {:.1e} of the largest.".format(difference))


class Ours:
    """The network of the zoo, as `examples/train_dynamic.py` trains it."""

    def __init__(self, frames, size, filters, iterations):
        *inputs, target = random_series(frames, size)
        self.inputs, self.target = [array[np.newaxis] for array in inputs], target[np.newaxis]
        self.model = crnn_mri((frames, size, size), (frames, size, 1, 1), iterations, filters=filters)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights.npz")
            np.savez(path, **random_tensors(filters))
            load_published(self.model, path)
        optimizer = optimizers.adam(published_dynamic.RATE, epsilon=published_dynamic.EPSILON)
        self.model.compile(optimizer, loss="mse", **COMPILE_OPTIONS)

    def outputs(self):
        return np.asarray(self.model.predict_on_batch(self.inputs))[0]

    def train(self):
        return float(self.model.train_on_batch(self.inputs, self.target))


class Published(published_dynamic.Crnn):
    """The transcription, on the same series and with the same weights."""

    def __init__(self, frames, size, filters, iterations):
        super().__init__(random_tensors(filters), iterations, *random_series(frames, size))

    def outputs(self):
        return np.asarray(super().outputs())


def random_series(frames, size):
    """Zero-filled series, k-space, masks of lines, and the whole series, without a batch."""
    random = np.random.RandomState(0)
    truth = random.standard_normal((frames, size, size, 2)).astype("float32")
    mask = (random.uniform(size=(frames, size, 1, 1)) < 0.25).astype("float32")
    kspace = np.fft.fft2(truth[..., 0] + 1j * truth[..., 1], norm="ortho") * mask[..., 0]
    image = np.fft.ifft2(kspace, norm="ortho")
    pairs = [np.stack([z.real, z.imag], axis=-1).astype("float32") for z in (image, kspace)]
    return pairs + [mask, truth]


def random_tensors(filters):
    """Weights by the authors' names, small enough that no state grows from frame to frame."""
    random = np.random.RandomState(1)
    convolutions = {"bcrnn.CRNN_model." + name: (filters, filters) for name in ("h2h", "ih2ih")}
    convolutions["bcrnn.CRNN_model.i2h"] = (filters, 2)
    convolutions.update({"conv%d_%s" % (number, kind): (filters, filters) for number in (1, 2, 3) for kind in "xh"})
    convolutions["conv4_x"] = (2, filters)
    tensors = {}
    for name, (width, given) in sorted(convolutions.items()):
        tensors[name + ".weight"] = (random.standard_normal((width, given, 3, 3)) / np.sqrt(27 * given)).astype("float32")
        tensors[name + ".bias"] = (0.1 * random.standard_normal(width)).astype("float32")
    return tensors


if __name__ == "__main__":
    main()
