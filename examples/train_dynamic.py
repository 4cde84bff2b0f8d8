"""Trains a network to reconstruct undersampled series of a beating heart, and shows what it gained on hearts it has not seen.

Without data it makes its own phantoms: under four minutes on two CPU cores with the TensorFlow backend, for each `--model`.

    python examples/train_dynamic.py --model cascade
    python examples/train_dynamic.py --model sharing
    python examples/train_dynamic.py --model crnn
    python examples/train_dynamic.py --data cardiac.mat --key seq --axes hwt --patch-width 32 --acceleration 4

In the output folder: best.npz and last.npz (weights), checkpoints/, history.csv, TensorBoard events, test.csv, test.png, test.gif.
"""

import argparse
import functools
import os
import sys
import time


from mrlayers import backend, sampling
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer
from mrlayers.complexes import to_complex
from mrlayers.metrics import complex_psnr
from zoo import training
from zoo.cascade import data, evaluation, series_evaluation
from zoo.cascade.hearts import random_hearts
from zoo.cascade.motion import Motion
from zoo.cascade.series import cut_patches, load_series
from zoo.cascade.trained import MODELS, series_network
from zoo.files import existing
from zoo.npu import script
from zoo.runs import errors_in_words, refuse_other_arguments, require_folder, write_arguments

NOT_OF_THE_RUN = ("output", "resume", "epochs", "checkpoint_every") + script.FLAGS
# Sizes for each model, and the epochs that fit into four minutes.
DEMO = {
    "cascade": dict(cascades=3, convolutions=3, filters=16, epochs=40, learning_rate=2e-3),
    "sharing": dict(cascades=3, convolutions=3, filters=16, epochs=20, learning_rate=2e-3),
    "crnn": dict(cascades=3, convolutions=4, filters=16, epochs=16, learning_rate=4e-3),
    "static": dict(cascades=3, convolutions=3, filters=32, epochs=24, learning_rate=2e-3),
}


def main():
    parser = arguments()
    options = parser.parse_args()
    for name, value in DEMO[options.model].items():
        if vars(options)[name] is None:
            setattr(options, name, value)
    with errors_in_words(parser):
        script.run(train, options, "outputs/dynamic-" + options.model)


def train(options):
    output = options.output
    path = os.path.join(output, "arguments.json")
    chosen = {name: value for name, value in vars(options).items() if name not in NOT_OF_THE_RUN}
    require(options, output)
    if options.resume:
        refuse_other_arguments(chosen, path)
    train_series, validation_series, test_series = read(options)
    print(
        "{} series of {} frames of {}x{} to train, {} to validate, {} to test".format(
            len(train_series), *train_series.shape[1:], len(validation_series), len(test_series)
        )
    )
    mask = data.lines_of_frames(options.pattern, train_series.shape[1:], options.acceleration, options.center_lines)
    whole = data.lines_of_frames(options.pattern, test_series.shape[1:], options.acceleration, options.center_lines)
    print("each frame its own lines: {}".format(sampling.describe_mask(mask(seed=0))))
    rotation = (0 if options.patch_width else 15) if options.rotation is None else options.rotation
    augmentation = Motion(rotation=rotation, time=options.periodic, flips=False, order=1) if options.augment else None
    train_batches = data.UndersampledImages(
        train_series, mask, options.batch_size, options.seed, noise_level=options.noise_level, augmentation=augmentation
    )
    held_out = dict(batch_size=1, shuffle=False, noise_level=options.noise_level)
    validation_batches = data.UndersampledImages(validation_series, mask, seed=options.seed + 1, **held_out)
    test_batches = data.UndersampledImages(test_series, whole, seed=options.seed + 2, **held_out)

    backend.set_seed(options.seed)
    build = functools.partial(
        series_network, options.model, cascades=options.cascades, convolutions=options.convolutions, filters=options.filters
    )
    if options.model == "sharing" and not options.periodic:
        build = functools.partial(build, boundary="clipped")
    more = {"stochastic": options.stochastic} if options.stochastic else {}
    model = build(train_series.shape[1:], train_batches.mask_shape, **more)
    print("{}: {:,} parameters on {}".format(options.model, model.count_params(), backend.RUNTIME))
    script.compile(options, model, keras.optimizers.Adam(options.learning_rate), "mse", metrics=[complex_psnr])
    if options.weights:
        training.load_weights(model, options.weights)
    first = next(validation_batches.epoch(0))

    def pictures():
        shown = [to_complex(array)[0] for array in (first[1], first[0]["image"], model.predict_on_batch(first[0]))]
        profiles = [series[:, :, series_evaluation.moving_column(shown[0])].T for series in shown]
        return {
            "truth, zero-filled, reconstruction, 5 x error": evaluation.picture(*(series[0] for series in shown)),
            "one column over time": evaluation.picture(*profiles),
        }

    started = time.time()
    trained = script.fit(
        options,
        model,
        train_batches,
        options.epochs,
        output,
        validation=validation_batches,
        pictures=pictures,
        resume=options.resume,
        checkpoint_every=options.checkpoint_every,
        callbacks=[
            training.exponential_decay(options.learning_rate, options.learning_rate_decay),
            keras.callbacks.LambdaCallback(on_train_begin=lambda logs: write_arguments(chosen, path)),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    print("Trained for {:.0f} s".format(time.time() - started))
    if test_series.shape[1:] != train_series.shape[1:]:
        model = build(test_series.shape[1:], test_batches.mask_shape)
    training.load_weights(model, os.path.join(output, "best.npz"))
    results = evaluation.reconstruct(model, test_batches)
    print("Held-out series, best weights:\n" + series_evaluation.report(*results))
    title = "{}, first test series, acceleration {:g}".format(options.model, options.acceleration)
    print(series_evaluation.write_results(output, *results, name="test", title=title))
    truth, _, reconstruction = results
    return trained, "PSNR (complex-max)", evaluation.score(truth, reconstruction)["PSNR (complex-max)"].mean()


def require(options, output):
    """What can be refused before any data are read or made."""
    for name, lowest in [("seed", 0), ("patch_width", 1), ("frames", 1), ("image_size", 1), ("epochs", 1)]:
        if vars(options)[name] is not None:
            require_integer("--" + name.replace("_", "-"), vars(options)[name], lowest)
    if options.image_size and options.data:
        raise refusal("`--image-size` must be left to phantoms", "it with `--data`", "`--patch-width`")
    if options.stochastic and options.model == "crnn":
        raise refusal("`--stochastic` must be left to cascades", "it with `--model crnn`", "leaving it out")
    if options.weights:
        existing(options.weights)
    require_folder("--output", output)


def read(options):
    """Series to train with (patches of them with `--patch-width`), to validate and to test, complex `(n, time, height, width)`."""
    if options.data is None:
        size = 64 if options.image_size is None else options.image_size
        shape = (16 if options.frames is None else options.frames, size, size)
        made = functools.partial(random_hearts, shape=shape, respiration=not options.periodic)
        found = made(32, seed=3 * options.seed), made(2, seed=3 * options.seed + 1), made(8, seed=3 * options.seed + 2)
        return tuple(patches(series, options) for series in found[:2]) + found[2:]
    loaded = load_series(options.data, options.key, options.axes)[:, : options.frames]
    if options.test_data:
        test = load_series(options.test_data, options.key, options.axes)[:, : options.frames]
        if test.shape[1:3] != loaded.shape[1:3]:
            raise ValueError(
                "`--test-data` must hold series of {} frames and {} lines as `--data` does. Received: {} frames and {} lines. "
                "Try `--frames`.".format(*(loaded.shape[1:3] + test.shape[1:3]))
            )
    elif len(loaded) == 1 and options.patch_width:
        print("One series: a quarter of its columns is to test")
        columns = 3 * loaded.shape[-1] // 4
        loaded, test = loaded[..., :columns], loaded[..., columns:]
    else:
        held_out = max(1, len(loaded) // 5)
        loaded, test = loaded[:-held_out], loaded[-held_out:]
    if len(loaded) == 1 and options.patch_width:
        print("One series to train and to validate with: a sixth of its columns is to validate")
        columns = 5 * loaded.shape[-1] // 6
        return patches(loaded[..., :columns], options), patches(loaded[..., columns:], options), test
    if len(loaded) < 2:
        raise ValueError(
            "`--data` must hold a series to train with and one to validate, and one to test unless there is `--test-data`. "
            "Received: {} for the first two. Try more series, or `--patch-width` for strips of one.".format(len(loaded))
        )
    validation = max(1, len(loaded) // 20)
    return patches(loaded[:-validation], options), patches(loaded[-validation:], options), test


def patches(series, options):
    """Every series cut into strips that overlap by half, the last one flush with its end."""
    if options.patch_width is None:
        return series
    last = max(0, series.shape[-1] - options.patch_width)
    return cut_patches(series, options.patch_width, sorted(set(range(0, last, max(1, options.patch_width // 2))) | {last}))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=MODELS, default="sharing", help="which network (default: %(default)s)")
    add("--data", help="series to train with: .npz, .npy, .mat, HDF5 or 4-D NIfTI (default: phantoms)")
    add("--test-data", help="series to test with (default: the last fifth of --data)")
    add("--key", help="name of the array in a file that names them (default: the only one of three or more axes)")
    add(
        "--axes",
        help="a letter for each axis of the array: n series, t time, h height (phase encoding), w width, c (real, imaginary)",
    )
    add("--patch-width", type=int, help="train with strips of full height and this width (default: whole frames)")
    add("--frames", type=int, help="frames of a phantom (16), or use only the first frames of the series")
    add("--image-size", type=int, help="side of the phantoms (default: 64)")
    add(
        "--not-periodic",
        dest="periodic",
        action="store_false",
        help="series are more or less than one heart beat: no time is rolled or reversed, sharing ends with them; phantoms breathe",
    )
    add("--acceleration", type=float, default=6.0, help="lines in a frame over lines measured (default: %(default)s)")
    add(
        "--pattern",
        choices=data.PATTERNS,
        default="random",
        help="of the lines: drawn for each frame, or a lattice that moves up",
    )
    add(
        "--center-lines",
        type=int,
        default=4,
        help="lines around zero frequency that are always measured (default: %(default)s)",
    )
    add(
        "--noise-level",
        type=float,
        default=0.0,
        help="of k-space, as a fraction of the peak of an image (default: %(default)s)",
    )
    add("--no-augmentation", dest="augment", action="store_false", help="train with the series as they are")
    add("--rotation", type=float, help="augmentation: largest angle in degrees (default: 15, with --patch-width 0)")
    add("--cascades", type=int, help="blocks in a row, or iterations (demo: 3; the papers: 10, crnn 5)")
    add("--convolutions", type=int, help="convolutions in a block (demo: 3, crnn 4; the papers: 5)")
    add("--filters", type=int, help="channels in a block (demo: 16, static 32; the papers: 64)")
    add(
        "--stochastic",
        type=float,
        default=0.0,
        help="probability to leave out the last cascade in training (default: %(default)s)",
    )
    add("--epochs", type=int, help="passes over the series (demo: what fits into four minutes)")
    add("--batch-size", type=int, default=1, help="series in a step (default: %(default)s)")
    add("--learning-rate", type=float, help="of Adam in the first epoch (default: 2e-3, crnn 4e-3)")
    add("--learning-rate-decay", type=float, default=0.95, help="factor from one epoch to the next (default: %(default)s)")
    add("--checkpoint-every", type=int, default=5, help="epochs from one checkpoint to the next (default: %(default)s)")
    add("--output", help="folder for weights, logs, figure and film (default: outputs/dynamic-MODEL, or the next free name)")
    add("--resume", action="store_true", help="continue the run in --output")
    add("--weights", help="start from these weights, an .npz of an earlier run")
    add("--seed", type=int, default=0, help="of weights, masks and phantoms (default: %(default)s)")
    script.add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
