"""Trains a deep cascade to reconstruct undersampled MR images, and shows what it gained on images it has not seen.

Without arguments it makes its own phantoms: about two minutes on two CPU cores with the TensorFlow backend.

    python examples/train_cascade.py
    python examples/train_cascade.py --data train.hdf5 --test-data test.hdf5 --acceleration 3 --epochs 50
    python examples/train_cascade.py --resume --output outputs/cascade --epochs 80

In the output folder: best.npz and last.npz (weights), checkpoints/, history.csv, TensorBoard events, test.csv, test.png.
"""

import argparse
import functools
import os
import sys

from mrlayers import backend, sampling
from mrlayers.backend import keras
from mrlayers.complexes import to_complex
from mrlayers.metrics import complex_psnr
from zoo import training
from zoo.cascade import data, deep_cascade, evaluation, phantoms
from zoo.images import crop, load_images
from zoo.npu import script
from zoo.runs import errors_in_words, refuse_other_arguments, write_arguments

NOT_OF_THE_RUN = ("output", "resume", "epochs", "checkpoint_every") + script.FLAGS


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        script.run(train, options, "outputs/cascade")


def train(options):
    output = options.output
    train_images, validation_images, test_images = read(options)
    print(
        "{} images of {}x{} to train, {} to validate, {} to test".format(
            len(train_images), *train_images.shape[1:], len(validation_images), len(test_images)
        )
    )
    mask = data.lines_of_images(train_images.shape[1:], options.acceleration, options.center_lines, options.mask)
    print(sampling.describe_mask(mask(seed=0)))
    batches = functools.partial(data.UndersampledImages, mask_function=mask, batch_size=options.batch_size)
    train_batches = batches(train_images, seed=options.seed)
    validation_batches = batches(validation_images, seed=options.seed + 1, shuffle=False)
    test_batches = batches(test_images, seed=options.seed + 2, shuffle=False)

    backend.set_seed(options.seed)
    model = deep_cascade(
        train_images.shape[1:],
        train_batches.mask_shape,
        num_cascades=options.cascades,
        num_convolutions=options.convolutions,
        filters=options.filters,
    )
    print("{:,} parameters on {}".format(model.count_params(), backend.RUNTIME))
    script.compile(options, model, keras.optimizers.Adam(options.learning_rate), "mse", metrics=[complex_psnr])
    if options.weights:
        training.load_weights(model, options.weights)
    first = next(validation_batches.epoch(0))

    def pictures():
        shown = to_complex(model.predict_on_batch(first[0]))
        return {
            "truth, zero-filled, reconstruction, 5 x error": evaluation.picture(
                to_complex(first[1])[0], to_complex(first[0]["image"])[0], shown[0]
            )
        }

    chosen = {name: value for name, value in vars(options).items() if name not in NOT_OF_THE_RUN}
    path = os.path.join(output, "arguments.json")
    if options.resume:
        refuse_other_arguments(chosen, path)
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
    training.load_weights(model, os.path.join(output, "best.npz"))
    results = evaluation.reconstruct(model, test_batches)
    print("Held-out images, best weights:\n" + evaluation.report(*results))
    title = "first test image\nacceleration {:.3g}".format(sampling.describe_mask(mask(seed=0)).acceleration)
    print(evaluation.write_results(output, *results, name="test", title=title))
    truth, _, reconstruction = results
    return trained, "PSNR (complex-max)", evaluation.score(truth, reconstruction)["PSNR (complex-max)"].mean()


def read(options):
    """Training, validation and test images, complex `(n, height, width)`."""
    if options.data is None:
        size = options.image_size or 128
        made = functools.partial(phantoms.random_phantoms, shape=(size, size))
        return made(64, seed=3 * options.seed), made(4, seed=3 * options.seed + 1), made(16, seed=3 * options.seed + 2)
    loaded = crop(load_images(options.data), options.image_size)
    if options.test_data:
        test = crop(load_images(options.test_data), options.image_size)
        if test.shape[1:] != loaded.shape[1:]:
            raise ValueError(
                "`--test-data` must hold images of {}x{} as `--data` does. Received: {}x{}. Try `--image-size`.".format(
                    *(loaded.shape[1:] + test.shape[1:])
                )
            )
    else:
        held_out = max(1, len(loaded) // 5)
        loaded, test = loaded[:-held_out], loaded[-held_out:]
    if len(loaded) < 2:
        raise ValueError(
            "`--data` must hold an image to train with and one to validate, and one to test unless there is `--test-data`. "
            "Received: {} for the first two. Try more images.".format(len(loaded))
        )
    validation = max(1, len(loaded) // 20)
    return loaded[:-validation], loaded[-validation:], test


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--data",
        help="images to train with: HDF5 with `label`, .npz, .npy, NIfTI, or a folder of PNG, BMP or TIFF (default: phantoms)",
    )
    add("--test-data", help="images to test with (default: the last fifth of --data)")
    add("--acceleration", type=float, default=4.0, help="lines in an image over lines measured (default: %(default)s)")
    add("--mask", help="HDF5 with `mask`: use this one mask for all images as ModelZoo does (default: a new one for each)")
    add(
        "--center-lines",
        type=int,
        default=8,
        help="lines around zero frequency that are always measured (default: %(default)s)",
    )
    add("--cascades", type=int, default=3, help="blocks in a row (default: %(default)s; the paper: 5)")
    add("--convolutions", type=int, default=3, help="convolutions in a block (default: %(default)s; the paper: 5)")
    add("--filters", type=int, default=32, help="channels in a block (default: %(default)s; the paper: 64)")
    add("--epochs", type=int, default=40, help="passes over the images (default: %(default)s)")
    add("--batch-size", type=int, default=4, help="images in a step (default: %(default)s)")
    add("--learning-rate", type=float, default=2e-3, help="of Adam in the first epoch (default: %(default)s)")
    add("--learning-rate-decay", type=float, default=0.95, help="factor from one epoch to the next (default: %(default)s)")
    add("--image-size", type=int, help="side of the phantoms (128), or crop the images to it")
    add("--checkpoint-every", type=int, default=5, help="epochs from one checkpoint to the next (default: %(default)s)")
    add("--output", help="folder for weights, logs and figure (default: outputs/cascade, or the next free name)")
    add("--resume", action="store_true", help="continue the run in --output")
    add("--weights", help="start from these weights, an .npz of an earlier run")
    add("--seed", type=int, default=0, help="of weights, masks and phantoms (default: %(default)s)")
    script.add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
