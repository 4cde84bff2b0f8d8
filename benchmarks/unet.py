"""A training step and an inference step of `zoo.unet` beside others: times, as ratios of one run, and peak memory.

The references are the same network in plain Keras layers (`tf.keras` on TensorFlow 1.15), with the same weights, loss and optimizer
and, checked first, the same outputs: both in one process for the times, each in one of its own for the memory. And on PyTorch
MONAI's `BasicUNet` in a plain PyTorch loop, if it is installed, beside ours on every backend that is, each side in a process of
its own. BasicUNet is taken with ReLU and without normalization, as ours is, and then with instance normalization, its default, as
ours then is. Its parameters are as many, to 0.3 %, but its operations 6 % more in 2-D and 13 % in 3-D, for its last upsampling
keeps all channels. Last comes the loader: the time of an augmented batch beside that of a training step.

    KERAS_BACKEND=torch python benchmarks/unet.py    # two minutes on two CPU cores, with MONAI four
    python benchmarks/unet.py --size full            # twice the filters
    python benchmarks/unet.py --published            # one step of both published networks at 572x572, within 20 GB
"""

import argparse
import importlib.util
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from timing import Apart, compare, turns  # noqa: E402

from mrlayers import backend, losses  # noqa: E402
from mrlayers.backend import RUNTIME  # noqa: E402
from zoo import optimizers, unet  # noqa: E402
from zoo.unet.augmentation import Augmentation  # noqa: E402
from zoo.unet.cells import random_cells  # noqa: E402
from zoo.unet.data import SegmentationBatches  # noqa: E402
from zoo.unet.reading import Examples  # noqa: E402

CLASSES, DEPTH, RATE, EPSILON = 2, 4, 1e-4, 1e-8  # BasicUNet has that depth only
SHAPES = {"2-D": (4, 256, 256, 1), "3-D": (1, 64, 64, 64, 1)}
FILTERS = {"small": {"2-D": 16, "3-D": 8}, "full": {"2-D": 32, "3-D": 16}}
SIDES = ("ours", "plain")
STEPS = {"predict": "inference", "train": "training"}
PUBLISHED = ("unet_mindspore", "unet_medical")
LINE = "{:<52}{:>10}{:>10}{:>14}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(FILTERS), default="small", help="of the networks (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each comparison (default: %(default)s)")
    parser.add_argument("--published", action="store_true", help="instead, one training step of each published network")
    parser.add_argument("--memory", type=float, default=20, help="GB that one process may hold (default: %(default)s)")
    options = parser.parse_args()
    if options.published:
        for name in PUBLISHED:
            published(name, options.memory)
        return
    print("A step of the U-Net on {}: times faster, times less memory (above 1 is better)".format(RUNTIME))
    heading("than plain Keras layers")
    for name, filters in FILTERS[options.size].items():
        against_plain(name, filters, options)
    if RUNTIME == "torch" and importlib.util.find_spec("monai"):
        heading("than MONAI's BasicUNet on torch")
        for normalization in (None, "instance"):
            for name, filters in FILTERS[options.size].items():
                against_monai(name, filters, normalization, options)
    elif RUNTIME == "torch":
        print("MONAI is not installed, so its BasicUNet is left out: `pip install monai`.")
    loader(FILTERS[options.size]["2-D"], options.memory)


def against_plain(name, filters, options):
    together = Apart(Together, name, filters, memory=options.memory)
    apart = [Apart(Network, which, name, filters, memory=options.memory) for which in SIDES]
    for step, words in STEPS.items():  # inference first: the memory of a process only grows
        own, ratio = together.call("times", step, options.seconds)
        for side in apart:
            side.call(step)
        ours, plain = [side.peak() for side in apart]
        row("{}, {} filters, {}".format(described(name), filters, words), ratio, plain / ours, own, ours)
    for side in [together] + apart:
        side.end()


def against_monai(name, filters, normalization, options):
    monai = Apart(Monai, name, filters, normalization, memory=options.memory)
    sides, counts = {}, {}
    for runtime in ("torch", "tensorflow", "jax"):
        if importlib.util.find_spec(runtime):
            side = Apart(
                Network, "ours", name, filters, normalization, environment={"KERAS_BACKEND": runtime}, memory=options.memory
            )
            sides["{}, {} filters on {}".format(name, filters, runtime)] = side
            counts[side.call("parameters")] = runtime
    (count,) = counts
    title = "{}, {} normalization, {:,} parameters here, {:,} there:"
    print(title.format(described(name), normalization or "no", count, monai.call("parameters")))
    take_turns(sides, monai, options.seconds)


def take_turns(sides, reference, seconds):
    for step, words in STEPS.items():
        functions = [lambda side=side: side.call(step) for side in sides.values()]
        theirs, times = compare(lambda: reference.call(step), functions, seconds)
        for (title, side), own in zip(sides.items(), times):
            peak = side.peak()
            row("{}, {}".format(title, words), theirs / own, reference.peak() / peak, own, peak)
    for side in list(sides.values()) + [reference]:
        side.end()


def heading(title):
    print(LINE.format(title, "faster", "memory", "milliseconds", "GB"), flush=True)


def row(title, faster, less, seconds, peak):
    figures = ["{:.2f}".format(faster), "{:.2f}".format(less), "{:.0f}".format(1e3 * seconds), "{:.2f}".format(peak)]
    print(LINE.format(title, *figures), flush=True)


def loader(filters, memory):
    side = Apart(Loaded, filters, memory=memory)
    batch, step, fed = [1e3 * seconds for seconds in side.call("seconds")]
    side.end()
    line = (
        "An augmented batch of {} takes one thread {:.0f} ms, {:.2f} of a training step of {:.0f} ms; with the loader beside it"
    )
    print((line + " a step takes {:.0f} ms.").format(described("2-D"), batch, batch / step, step, fed), flush=True)


def published(name, memory):
    side = Apart(Published, name, memory=memory)
    try:
        seconds, loss = side.call("step")
    except RuntimeError as error:
        print("{} on {}: {}".format(name, RUNTIME, error), flush=True)
        return
    line = "{} on {}, batch of one: the first training step takes {:.1f} s and {:.2f} GB, loss {:.4f}"
    print(line.format(name, RUNTIME, seconds, side.peak(), loss), flush=True)
    side.end()


def described(name):
    return "{} {}".format(name, "x".join(str(size) for size in SHAPES[name][:-1]))


def random_batch(shape, sizes):
    """Images of a shape, and one-hot targets of these sizes."""
    random = np.random.RandomState(0)
    images = random.uniform(-1, 1, shape).astype("float32")
    return images, np.eye(CLASSES, dtype="float32")[random.randint(CLASSES, size=shape[:1] + sizes)]


class Network:
    """Ours or the plain one, with the loss and the optimizer of either."""

    def __init__(self, which, name, filters, normalization=None):
        backend.set_seed(0)
        shape = SHAPES[name]
        self.model = ours(shape[1:], filters, normalization) if which == "ours" else plain(shape[1:], filters)
        self.images, self.targets = random_batch(shape, shape[1:-1])

    def parameters(self):
        return int(self.model.count_params())

    def predict(self):
        self.model.predict_on_batch(self.images)

    def train(self):
        self.model.train_on_batch(self.images, self.targets)


class Together:
    """Ours and the plain one in one process: in two, a network may differ by a tenth from itself, for luck with its memory."""

    def __init__(self, name, filters):
        ours, plain = self.sides = [Network(which, name, filters) for which in SIDES]
        plain.model.set_weights(ours.model.get_weights())
        outputs = [np.asarray(side.model.predict_on_batch(side.images)) for side in self.sides]
        difference = np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[1]).max()
        if difference > 1e-4:
            reason = "The two networks must give the same. Received: outputs that differ by {:.1e} of the largest."
            sys.exit(reason.format(difference))

    def times(self, step, seconds):
        """The best of ours, and how many times longer the plain one takes: the middle of all turns."""
        ours, plain = turns([getattr(side, step) for side in self.sides], seconds).T
        return ours.min(), np.median(plain / ours)


def ours(input_shape, filters, normalization=None):
    """What `examples/train_unet.py --loss cross-entropy` trains."""
    model = unet.unet(input_shape, CLASSES, filters=filters, depth=DEPTH, normalization=normalization)
    return compiled(model)


def compiled(model):
    model.compile(optimizers.adam(RATE, epsilon=EPSILON), losses.CrossEntropy(from_logits=True), **backend.COMPILE_OPTIONS)
    return model


def plain(input_shape, filters):
    """The same in the layers, the loss and the optimizer of Keras itself."""
    keras = importlib.import_module("tensorflow").keras if RUNTIME == "tensorflow1" else importlib.import_module("keras")
    layers, ndim = keras.layers, len(input_shape) - 1
    convolution = getattr(layers, "Conv{}D".format(ndim))
    transposed = getattr(layers, "Conv{}DTranspose".format(ndim))
    pooling = getattr(layers, "MaxPooling{}D".format(ndim))

    def block(x, filters):
        for _ in range(2):
            x = convolution(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        return x

    image = keras.Input(input_shape)
    x = block(image, filters)
    skips = []
    for level in range(1, DEPTH + 1):
        skips.append(x)
        x = block(pooling(2)(x), filters * 2**level)
    for level in reversed(range(DEPTH)):
        x = transposed(filters * 2**level, 2, strides=2, activation="relu", kernel_initializer="he_normal")(x)
        x = block(layers.Concatenate()([x, skips.pop()]), filters * 2**level)
    model = keras.Model(image, convolution(CLASSES, 1)(x))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE, epsilon=EPSILON), loss, **backend.COMPILE_OPTIONS)
    return model


class Monai:
    """BasicUNet, trained as PyTorch's tutorials train."""

    def __init__(self, name, filters, normalization):
        import torch
        from monai.networks.nets import BasicUNet

        torch.manual_seed(0)
        self.torch = torch
        shape = SHAPES[name]
        images, targets = random_batch(shape, shape[1:-1])
        self.images, self.targets = [torch.from_numpy(np.moveaxis(array, -1, 1).copy()) for array in (images, targets)]
        self.network = BasicUNet(
            spatial_dims=len(shape) - 2,
            in_channels=shape[-1],
            out_channels=CLASSES,
            features=[filters * 2**level for level in range(DEPTH + 1)] + [filters],
            act=("relu", {"inplace": True}),
            norm=normalization and (normalization, {"affine": True}),
            bias=normalization is None,
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), RATE, eps=EPSILON)

    def parameters(self):
        return sum(weight.numel() for weight in self.network.parameters())

    def predict(self):
        self.network.eval()
        with self.torch.inference_mode():
            self.network(self.images).numpy()

    def train(self):
        self.network.train()
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.network(self.images), self.targets)
        loss.backward()
        self.optimizer.step()
        loss.item()


class Loaded:
    """Ours beside its loader."""

    batches = 16

    def __init__(self, filters):
        self.network = Network("ours", "2-D", filters)
        images, labels = random_cells(4, (512, 512))
        examples = Examples(list(images[..., np.newaxis]), list(labels), CLASSES, ["%d" % index for index in range(4)])
        batch_size, size = SHAPES["2-D"][:2]
        self.loader = SegmentationBatches(examples, batch_size, size, augmentation=Augmentation(), steps=self.batches)

    def seconds(self):
        """Of a batch by itself, of a step by itself, of a step with a batch from the loader."""
        self.network.train()
        for _ in self.loader.epoch(0):  # until none that was made ahead is left: each now takes its whole time
            pass
        batch = self.each(lambda index: sum(1 for _ in self.loader.epoch(1 + index)), 1) / self.batches
        step = self.each(lambda index: self.network.train(), 6)
        batches = self.loader.epoch(3)
        fed = self.each(lambda index: self.network.model.train_on_batch(*next(batches)), 6)
        return batch, step, fed

    def each(self, function, count):
        begin = time.perf_counter()
        for index in range(count):
            function(index)
        return (time.perf_counter() - begin) / count


class Published:
    """A network as published, 572x572 -> 388x388."""

    def __init__(self, name):
        backend.set_seed(0)
        self.model = compiled(getattr(unet, name)())

    def step(self):
        """Seconds and loss of one training step."""
        images, targets = random_batch((1,) + tuple(self.model.input_shape[1:]), tuple(self.model.output_shape[1:-1]))
        begin = time.perf_counter()
        loss = float(self.model.train_on_batch(images, targets))
        return time.perf_counter() - begin, loss


if __name__ == "__main__":
    main()
