"""One training step of `zoo.voxelmorph` (vm2, batch of one) beside the published network: time and peak memory.

    python benchmarks/voxelmorph.py                # 80x96x112: two minutes on two CPU cores
    python benchmarks/voxelmorph.py --size full    # 160x192x224, within 16 GB

TensorFlow only, either generation. Each of the two runs in a process of its own, with equal weights, volumes, losses (MSE and
smoothness) and optimizer, and reports the best time of a step and the most memory that it ever held; one that needs more than
`--memory` is stopped. The reference is the published network restated: Keras layers of TensorFlow, and its transformer of eight
gathers for one sample of the batch after the other.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np

SIZES = {"small": (32, 48, 32), "half": (80, 96, 112), "full": (160, 192, 224)}
LAMBDA = 0.01
GIGABYTE = 1024**3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="half")
    parser.add_argument("--steps", type=int, default=3, help="timed steps, after one to warm up (default: %(default)s)")
    parser.add_argument("--memory", type=float, default=16, help="GB that one process may hold (default: %(default)s)")
    parser.add_argument("--only", choices=["ours", "published"], help="print the figures of one as JSON, in this process")
    options = parser.parse_args()
    from mrlayers import backend

    if backend.RUNTIME not in ("tensorflow1", "tensorflow"):
        print("This benchmark is for TensorFlow, in which its reference is written: try KERAS_BACKEND=tensorflow.")
        return
    if options.only:
        print(json.dumps(measure(options.only, SIZES[options.size], options.steps)))
        return
    found = {}
    for which in ("published", "ours"):
        result = in_a_process_of_its_own(which, options)
        print("{:<10} {}".format(which, result if isinstance(result, str) else LINE.format(**result)), flush=True)
        if not isinstance(result, str):
            found[which] = result
    if len(found) == 2:
        ratios = [found["published"][name] / found["ours"][name] for name in ("seconds", "cpu", "peak")]
        print("ours is {:.2f} times faster (CPU time {:.2f}) and takes {:.2f} times less memory".format(*ratios))


LINE = "{runtime}: {seconds:.2f} s a step ({cpu:.2f} s of CPU time), {peak:.2f} GB at most, losses {losses}"


def in_a_process_of_its_own(which, options):
    """The figures of one, or a sentence that says why there are none."""
    command = [sys.executable, __file__, "--only", which, "--size", options.size, "--steps", str(options.steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    while process.poll() is None:
        if resident(process.pid) > options.memory * GIGABYTE:
            process.kill()
            process.communicate()
            return "needs more than {:g} GB and was stopped".format(options.memory)
        time.sleep(0.05)
    output = process.stdout.read().strip().splitlines()
    return "ended with code {}".format(process.returncode) if process.returncode else json.loads(output[-1])


def resident(pid):
    """Bytes of memory that a process holds now."""
    try:
        with open("/proc/{}/statm".format(pid)) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IOError, IndexError):
        return 0  # it has just ended


def measure(which, volume_shape, steps):
    """Best time of a step, and the most memory held since the process began."""
    from mrlayers import backend

    training = {"ours": ours, "published": published}[which](volume_shape)
    random = np.random.RandomState(0)
    training.set_weights([0.02 * random.standard_normal(weight.shape) for weight in training.get_weights()])
    inputs = [random.uniform(size=(1,) + volume_shape + (1,)).astype("float32") for _ in range(2)]
    targets = [inputs[1], np.zeros((1,) + volume_shape + (3,), "float32")]
    losses, seconds, cpu = [], [], []
    for _ in range(steps + 1):
        training.reset_metrics()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        losses.append(round(float(training.train_on_batch(inputs, targets)[0]), 6))
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return dict(runtime=backend.RUNTIME, seconds=min(seconds[1:]), cpu=min(cpu[1:]), peak=peak, losses=losses)


def ours(volume_shape):
    """What `examples/train_voxelmorph.py` trains."""
    from zoo.voxelmorph import compile_registration, voxelmorph

    return compile_registration(voxelmorph(volume_shape), "mse", LAMBDA)


def published(volume_shape):
    """The published network, in TensorFlow's own Keras layers, with the published losses."""
    import tensorflow as tf

    from mrlayers import backend

    layers = tf.keras.layers

    def block(x, filters, strides=1):
        x = layers.Conv3D(filters, 3, strides=strides, padding="same", kernel_initializer="he_normal")(x)
        return layers.LeakyReLU(0.2)(x)

    moving, fixed = [tf.keras.Input(volume_shape + (1,)) for _ in range(2)]
    pair = layers.Concatenate()([moving, fixed])
    first = block(pair, 16, strides=2)
    second = block(first, 32, strides=2)
    third = block(second, 32, strides=2)
    x = block(block(third, 32, strides=2), 32)
    for skipped in (third, second, first):
        x = block(layers.Concatenate()([layers.UpSampling3D()(x), skipped]), 32)
    x = layers.Concatenate()([layers.UpSampling3D()(block(x, 32)), pair])
    flow = layers.Conv3D(3, 3, padding="same", name="flow")(block(block(x, 16), 16))
    moved = _transformer(tf)([moving, flow])
    model = tf.keras.Model([moving, fixed], [moved, flow])

    def similarity(target, image):
        return tf.reduce_mean(tf.square(image - target))

    def smoothness(_, field):
        differences = [
            field[:, 1:] - field[:, :-1],
            field[:, :, 1:] - field[:, :, :-1],
            field[:, :, :, 1:] - field[:, :, :, :-1],
        ]
        return sum(tf.reduce_mean(tf.square(difference)) for difference in differences) / 3.0

    model.compile(
        tf.keras.optimizers.Adam(1e-4), loss=[similarity, smoothness], loss_weights=[1.0, LAMBDA], **backend.COMPILE_OPTIONS
    )
    return model


def _transformer(tf):
    """Linear interpolation as published: one sample after the other, locations and corners clipped, eight gathers."""

    def warp(pair):
        volume, field = pair
        sizes = [int(size) for size in volume.shape[:3]]
        mesh = tf.meshgrid(*[tf.range(size) for size in sizes], indexing="ij")
        corners, weights = [], []
        for axis, size in enumerate(sizes):
            location = tf.clip_by_value(tf.cast(mesh[axis], tf.float32) + field[..., axis], 0.0, size - 1.0)
            lower = tf.floor(location)
            upper = tf.clip_by_value(lower + 1.0, 0.0, size - 1.0)
            to_upper = upper - location
            corners.append([tf.cast(lower, tf.int32), tf.cast(upper, tf.int32)])
            weights.append([to_upper, 1.0 - to_upper])
        flat, total = tf.reshape(volume, [-1, int(volume.shape[3])]), 0.0
        for i, j, k in np.ndindex(2, 2, 2):
            index = (corners[0][i] * sizes[1] + corners[1][j]) * sizes[2] + corners[2][k]
            weight = weights[0][i] * weights[1][j] * weights[2][k]
            total += weight[..., tf.newaxis] * tf.gather(flat, index)
        return total

    class Transformer(tf.keras.layers.Layer):
        def call(self, inputs):
            return tf.map_fn(warp, inputs, dtype=tf.float32)

        def compute_output_shape(self, input_shape):
            return input_shape[0]

    return Transformer(name="moved")


if __name__ == "__main__":
    main()
