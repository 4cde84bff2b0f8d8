"""Trains a U-Net to segment images, and shows how well it does on images it has not seen.

Without arguments it makes its own pictures of cells: two to three minutes on two CPU cores with the TensorFlow backend.

    python examples/train_unet.py
    python examples/train_unet.py --data isbi2012 --fold 0
    python examples/train_unet.py --data "scans/*.nii.gz" --labels "masks/*.nii.gz" --ndim 3 --size 64
    python examples/train_unet.py --data isbi2012 --recipe mindspore --fold 1
    python examples/train_unet.py --resume --output outputs/unet --steps 4000

In the output folder: best.npz and last.npz (weights), checkpoints/, history.csv, TensorBoard events; and of the held-out images
test.csv and test.png. Held out are those of --fold, those of --test-data, or the last fifth.
"""

import argparse
import functools
import os
import sys

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo import training
from zoo.npu import script
from zoo.optimizers import adam
from zoo.runs import (
    errors_in_words,
    peak_memory,
    read_arguments,
    refuse_other_arguments,
    require_folder,
    write_arguments,
)
from zoo.unet import evaluation, figures
from zoo.unet.borders import border_weights
from zoo.unet.cells import random_cells
from zoo.unet.data import SegmentationBatches
from zoo.unet.folds import split_fold
from zoo.unet.objective import segmentation_loss
from zoo.unet.reading import load_examples, make_examples, resize
from zoo.unet.recipes import LOSSES, NETWORKS, RECIPES, augmentation, complete
from zoo.unet.segmenter import Segmenter, build, margin

NOT_OF_THE_RUN = ("output", "resume", "epochs", "steps", "checkpoint_every", "tile") + script.FLAGS
OF_FILES = ("labels", "test_data", "test_labels", "fold")
DEMO = {"steps": 600, "filters": 16, "depth": 3, "size": 128}
CELLS = (192, 192)


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        script.run(train, options, "outputs/unet")


def train(options):
    if not options.data:
        for name in OF_FILES:
            if vars(options)[name] is not None:
                raise refusal("`--{}` goes with `--data`".format(name.replace("_", "-")), "it alone", "`--data`")
        if options.recipe == "mrlayers":
            for name, value in DEMO.items():
                if vars(options)[name] is None:
                    setattr(options, name, value)
    output = options.output
    require_folder("--output", output)
    if options.resume and options.steps_per_epoch is None:
        options.steps_per_epoch = read_arguments(os.path.join(output, "last.npz")).get("steps_per_epoch")
    train_part, validation_part, test_part = (read if options.data else make)(options)
    settings = complete(vars(options))
    for name, value in {"filters": 32 if settings["network"] == "unet" else 64, "depth": 4}.items():
        settings[name] = value if settings[name] is None else settings[name]
    settings.update(num_classes=train_part.num_classes, channels=train_part.images[0].shape[-1])
    if settings["steps_per_epoch"] is None:
        settings["steps_per_epoch"] = min(100, settings["steps"])
    train_batches, validation_batches = batches(train_part, validation_part, settings)
    epochs = number_of_epochs(settings, len(train_batches))
    print(
        "{} images to train, {} to validate, {} to test; patches of {}".format(
            len(train_part.images),
            len(validation_part.images) if validation_part else 0,
            len(test_part.images),
            "x".join(map(str, train_batches.size)),
        )
    )

    loss = segmentation_loss(settings["loss"], weighted=options.border_weight is not None)
    on_npu = script.asked(options)
    scale = loss_scale(settings["loss_scale"], on_npu or options.precision != "float32")
    backend.set_precision(options.precision)
    optimizer = adam(
        settings["learning_rate"], settings["weight_decay"], options.decay, options.accumulate, None if on_npu else scale
    )
    chosen = {name: value for name, value in settings.items() if name not in NOT_OF_THE_RUN}
    path = os.path.join(output, "arguments.json")
    if options.resume:
        refuse_other_arguments(chosen, path)

    backend.set_seed(options.seed)
    model = build(train_batches.input_shape[:-1], settings)
    print("{:,} parameters on {}".format(model.count_params(), backend.RUNTIME))
    if options.weights:
        training.load_weights(model, options.weights)
    script.compile(options, model, optimizer, loss, scale)
    inputs, targets = next((validation_batches or train_batches).epoch(0))

    def pictures():
        logits = np.asarray(model.predict_on_batch(inputs[:1]))[0]
        probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities /= probabilities.sum(axis=-1, keepdims=True)
        border = (slice(margin(settings), -margin(settings) or None),) * settings["ndim"]
        labels = targets[0, ..., : train_part.num_classes].argmax(axis=-1)
        return {"image, truth, prediction": figures.picture((inputs[0][border] + 1) / 2, labels, probabilities)}

    trained = script.fit(
        options,
        model,
        train_batches,
        epochs,
        output,
        validation=validation_batches,
        pictures=pictures,
        resume=options.resume,
        checkpoint_every=options.checkpoint_every,
        callbacks=[
            training.exponential_decay(settings["learning_rate"], settings["learning_rate_decay"]),
            keras.callbacks.LambdaCallback(on_train_begin=lambda logs: write_arguments(chosen, path)),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    weights = "best.npz" if validation_batches else "last.npz"
    print("Held-out images, {}:".format(weights))
    segmenter = Segmenter(os.path.join(output, weights))
    scores, shown = evaluation.evaluate(segmenter, test_part, options.tile, log=print)
    print(evaluation.report(scores))
    print(evaluation.write_results(output, scores, test_part.images[0], test_part.labels[0], shown, name="test"))
    memory = peak_memory()
    if memory:
        print("{:.1f} GB of memory at most".format(memory))
    metric = "Dice, mean of classes"
    return trained, metric, np.nanmean(dict(evaluation.rows(scores))[metric])


def make(options):
    """Cells to train with, to validate and to test."""
    if options.ndim == 3:
        raise refusal("`--ndim 3` goes with `--data`", "it alone", "`--data`")
    return [make_examples(*random_cells(count, CELLS, 3 * options.seed + index)) for index, count in enumerate((40, 4, 8))]


def read(options):
    """The same from files. With a fold nothing is chosen by validation: all its training images train, and the rest tests."""
    examples = load_examples(options.data, options.labels, options.num_classes, options.ndim)
    count = len(examples.images)
    if options.fold is not None:
        if options.test_data:
            raise refusal("`--test-data` must not be given with `--fold`", "both", "one of the two")
        training_indices, test_indices = split_fold(count, options.fold, options.folds, 0, options.fold_rule)
        return examples.select(training_indices), None, examples.select(test_indices)
    if options.test_data:
        test = load_examples(options.test_data, options.test_labels, examples.num_classes, options.ndim)
        last = count
    else:
        last = count - max(1, count // 5)
        test = examples.select(range(last, count))
    validation = min(4, max(1, count // 20))
    if last - validation < 1:
        raise refusal(
            "`--data` must hold an image or more to train, to validate, and to test unless there is `--test-data`",
            "{} in all".format(count),
            "more images",
        )
    return examples.select(range(last - validation)), examples.select(range(last - validation, last)), test


def batches(train_part, validation_part, settings):
    """To train, and to validate if there is something to validate with."""
    if settings["resize"]:
        shape = (settings["resize"],) * settings["ndim"]
        train_part, validation_part = [part and resize(part, shape) for part in (train_part, validation_part)]
    smallest = np.min([labels.shape for labels in train_part.labels], axis=0)
    size = settings["resize"] if settings["size"] is None else settings["size"]
    if size is None:
        most = {2: 256, 3: 64}[settings["ndim"]]
        size = tuple(int(min(most, length)) for length in smallest)
        if margin(settings):
            size = tuple(length - (length - 4) % 16 for length in size)
    weights = None
    if settings["border_weight"] is not None:
        weights = functools.partial(border_weights, w0=settings["border_weight"])
    make_batches = functools.partial(
        SegmentationBatches,
        size=size,
        margin=margin(settings),
        padding=settings["surroundings"],
        seed=settings["seed"],
        weights=weights,
    )
    change = augmentation(settings) if settings["augment"] else None
    train_batches = make_batches(train_part, settings["batch_size"], augmentation=change, steps=settings["steps_per_epoch"])
    return train_batches, validation_part and make_batches(validation_part, settings["batch_size"], shuffle=False)


def number_of_epochs(settings, steps_per_epoch):
    """`--epochs`, or as many as make `--steps`."""
    if settings["epochs"] is not None:
        return settings["epochs"]
    if settings["steps"] % steps_per_epoch:
        nearest = (settings["steps"] // steps_per_epoch + 1) * steps_per_epoch
        expected = "`--steps` must be a multiple of `--steps-per-epoch`, {}".format(steps_per_epoch)
        raise refusal(expected, settings["steps"], "--steps {}".format(nearest))
    return settings["steps"] // steps_per_epoch


def loss_scale(text, reduced):
    """What `--loss-scale` says; where precision is not reduced there is nothing to save from vanishing."""
    if text in (None, "none") or not reduced:
        return None
    if text == "dynamic":
        return text
    try:
        return float(text)
    except ValueError:
        raise refusal("`--loss-scale` must be a number, dynamic or none", text, "--loss-scale 1024") from None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", help="ISBI's folder, an .npz, or images: a folder, a pattern in quotes, a list in a .txt (default: cells)")
    add("--labels", help="their masks, likewise, paired by name; 0 and 255, or 0 to classes - 1")
    add("--ndim", type=int, choices=(2, 3), default=2, help="2: slices and pages are images; 3: volumes (default: %(default)s)")
    add("--num-classes", type=int, help="(default: what the masks hold)")
    add("--test-data", help="images to test with (default: those of --fold, or the last fifth of --data)")
    add("--test-labels", help="their masks")
    add("--fold", type=int, help="hold this part of the images out, 0 to folds - 1 (default: none)")
    add("--folds", type=int, default=5, help="number of parts (default: %(default)s)")
    add(
        "--fold-rule",
        choices=("partition", "nvidia"),
        default="partition",
        help="nvidia: parts that overlap, as published there",
    )
    add("--recipe", choices=tuple(RECIPES), default="mrlayers", help="mindspore, nvidia: as published (default: %(default)s)")
    add("--network", choices=NETWORKS, help="(default: unet; that of the recipe)")
    add("--filters", type=int, help="channels at full size (default: 32, published 64, cells 16)")
    add("--depth", type=int, help="how often unet halves sizes (default: 4, cells 3)")
    add("--up", choices=("transpose2", "transpose3", "nearest"), default="transpose2", help="how unet doubles sizes")
    add("--normalization", choices=("batch", "instance", "group"), help="of unet (default: none)")
    add("--dropout", type=float, default=0.0, help="of the lowest level of unet (default: %(default)s)")
    add("--loss", choices=LOSSES, help="(default: dice-cross-entropy; that of the recipe)")
    add("--border-weight", type=float, help="the paper's weight of narrow gaps between cells, 10 there (default: none)")
    add(
        "--size",
        type=int,
        help="side of the patches the network answers for (default: 256 or the image, 64 for volumes, cells 128)",
    )
    add("--resize", type=int, help="bring images to this size first, 388 as published (default: no; that of the recipe)")
    add(
        "--surroundings", choices=("mirror", "zero"), help="beyond the border, for valid convolutions (default: mirror; recipe)"
    )
    add("--no-augment", dest="augment", action="store_false", help="train with the images as they are")
    add("--steps", type=int, help="batches in all (default: 1000, mindspore 600, nvidia 6400, cells 600)")
    add("--epochs", type=int, help="instead of --steps")
    add("--steps-per-epoch", type=int, help="batches from one line of the history to the next (default: 100)")
    add("--batch-size", type=int, help="patches in a batch (default: 4, mindspore 16, nvidia 8)")
    add(
        "--accumulate",
        type=int,
        default=1,
        help="batches in a step of the optimizer, for small memories (default: %(default)s)",
    )
    add("--learning-rate", type=float, help="of Adam in the first epoch (default: 2e-3, published 1e-4)")
    add("--learning-rate-decay", type=float, help="factor from one epoch to the next (default: 0.8, published 1)")
    add("--weight-decay", type=float, help="(default: 0; mindspore 5e-4)")
    add(
        "--decay",
        choices=("l2", "decoupled"),
        default="l2",
        help="added to gradients as published, or AdamW's (default: %(default)s)",
    )
    add("--precision", choices=("float32", "mixed_float16", "mixed_bfloat16"), default="float32", help="(default: %(default)s)")
    add("--loss-scale", help="a number, dynamic or none, in half precision or on NPUs (default: none; mindspore 1024)")
    add("--checkpoint-every", type=int, default=5, help="epochs from one checkpoint to the next (default: %(default)s)")
    add("--output", help="folder for weights, logs and figures (default: outputs/unet, or the next free name)")
    add("--resume", action="store_true", help="continue the run in --output")
    add("--weights", help="start from these weights, an .npz of an earlier run")
    add("--tile", type=int, help="predict the held-out images in tiles of this side (default: whole where memory allows)")
    add("--seed", type=int, default=0, help="of weights, patches and cells; never of folds (default: %(default)s)")
    script.add_arguments(parser, loss_scale=False)
    return parser


if __name__ == "__main__":
    main()
