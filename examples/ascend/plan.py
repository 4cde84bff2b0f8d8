"""Shows, before a machine is rented, how an NPU would divide a training step of a network with the host, for each Fourier engine.

Simulated on the graph by the published rules of the TF Adapter, never measured on an NPU. Needs TensorFlow 1.15 and seconds.

    python examples/ascend/plan.py
    python examples/ascend/plan.py --model crnn --frames 8 --size 128 128 --batch-size 4
"""

import argparse

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer
from zoo.cascade import crnn_mri, deep_cascade, dynamic_cascade
from zoo.npu import check_host_pinning, simulate_partition, training_step
from zoo.runs import errors_in_words

ENGINES = {
    "fft": "complex transforms, pinned to the host",
    "matmul": "real matrix products on the NPU",
    "split": "the same, safe from half precision",
}
ROW = "{:<8} {:>14} {:>13} {:>12} {:>12} {:>16}   {}"


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        plan(options)


def plan(options):
    if backend.RUNTIME != "tensorflow1":
        raise refusal("Ascend NPUs are served through TensorFlow 1.15", backend.RUNTIME, "Python 3.7 with tensorflow==1.15.0")
    for name in ("cascades", "convolutions", "filters", "frames", "batch_size"):
        require_integer("--" + name.replace("_", "-"), getattr(options, name), 1)
    print("A training step of {} {}, masks of lines; simulated, not measured:".format(options.model, described(options)))
    print(ROW.format("engine", "NPU segments", "round trips", "NPU nodes", "host nodes", "MB that cross", ""))
    for engine, words in ENGINES.items():
        keras.backend.clear_session()
        model = network(options, engine)
        model.compile(keras.optimizers.Adam(), loss="mse")
        step = training_step(model)
        graph = model.outputs[0].graph
        check_host_pinning(graph)
        found = simulate_partition(graph, step, batch_size=options.batch_size)
        megabytes = "{:.1f}".format(found.bytes / 1e6)
        print(ROW.format(engine, found.segments, found.round_trips, found.npu, found.host, megabytes, words))


def network(options, engine):
    height, width = options.size
    sizes = options.cascades, options.convolutions, options.filters
    if options.model == "cascade":
        return deep_cascade((height, width), (height, 1, 1), *sizes, engine=engine)
    make = crnn_mri if options.model == "crnn" else dynamic_cascade
    distances = {"distances": (0, 1, 2)} if options.model == "sharing" else {}
    return make((options.frames, height, width), (options.frames, height, 1, 1), *sizes, engine=engine, **distances)


def described(options):
    frames = "" if options.model == "cascade" else "{} frames ".format(options.frames)
    return "D{0.convolutions}-C{0.cascades}, {0.filters} filters, {1}{2[0]}x{2[1]}, batch {0.batch_size}".format(
        options, frames, options.size
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    choices = ("cascade", "dynamic", "sharing", "crnn")
    add("--model", choices=choices, default="cascade", help="which network (default: %(default)s)")
    add("--size", type=int, nargs=2, default=[256, 256], metavar=("HEIGHT", "WIDTH"), help="of the images (default: 256 256)")
    add("--frames", type=int, default=4, help="of a series (default: %(default)s)")
    add("--cascades", type=int, default=5, help="blocks in a row, or iterations (default: %(default)s)")
    add("--convolutions", type=int, default=5, help="convolutions in a block (default: %(default)s)")
    add("--filters", type=int, default=64, help="channels in a block (default: %(default)s)")
    add("--batch-size", type=int, default=1, help="images or series in a step (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
