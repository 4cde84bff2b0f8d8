"""Trains VoxelMorph to register images, and shows how well it does on pairs it has not seen.

Without arguments it makes its own brains in 2-D, whose true displacements are known: about a minute on two CPU cores with the
TensorFlow backend.

    python examples/train_voxelmorph.py
    python examples/train_voxelmorph.py --data "oasis/*/norm.nii.gz" --atlas atlas.nii.gz --similarity ncc
    python examples/train_voxelmorph.py --data train.txt --labels labels.txt --label-weight 0.01 --diffeomorphic
    python examples/train_voxelmorph.py --resume --output outputs/voxelmorph --epochs 100

Subjects are registered to the atlas, or without one to each other. In the output folder: best.npz and last.npz (weights),
checkpoints/, history.csv, TensorBoard events; and of the held-out pairs test.csv, test.png and test_flow.png.
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
from zoo.runs import errors_in_words, refuse_other_arguments, require_folder, write_arguments
from zoo.volumes import scale_intensity
from zoo.voxelmorph import cases, compile_registration, evaluation, field_shape, figures
from zoo.voxelmorph.brains import random_brains
from zoo.voxelmorph.data import RegistrationPairs
from zoo.voxelmorph.network import VARIANTS
from zoo.voxelmorph.trained import SIMILARITIES, load, network, similarity_loss

NOT_OF_THE_RUN = ("output", "resume", "epochs", "checkpoint_every") + script.FLAGS
OF_FILES = ("labels", "atlas", "atlas_labels", "test_data", "test_labels", "label_weight")
PUBLISHED = {"epochs": 50, "batch_size": 1, "learning_rate": 1e-4}
DEMO = {"epochs": 60, "batch_size": 4, "learning_rate": 1e-3}


def main():
    parser = arguments()
    options = parser.parse_args()
    with errors_in_words(parser):
        script.run(train, options, "outputs/voxelmorph")


def train(options):
    for name, value in (PUBLISHED if options.data else DEMO).items():
        if vars(options)[name] is None:
            setattr(options, name, value)
    output = options.output
    require_folder("--output", output)
    labels = evaluation.parse_labels(options.label_values)
    train_pairs, validation_pairs, test_cases = (read if options.data else make)(options, labels)
    print(
        "{} subjects of {} to train, {} to validate".format(
            len(train_pairs.images), "x".join(map(str, train_pairs.volume_shape)), len(validation_pairs.images)
        )
    )

    backend.set_seed(options.seed)
    model = network(train_pairs.volume_shape, options.variant, options.diffeomorphic, options.bidirectional)
    print("{:,} parameters on {}".format(model.count_params(), backend.RUNTIME))
    if options.weights:
        load(model, options.weights)
    trained = compile_registration(
        model,
        similarity_loss(options.similarity),
        options.smoothness_weight,
        options.image_sigma,
        options.prior_lambda,
        num_labels=len(train_pairs.label_values),
        label_weight=options.label_weight,
        optimizer=keras.optimizers.Adam(options.learning_rate),
        compile=functools.partial(script.compile, options),
    )
    for pairs in (train_pairs, validation_pairs):
        pairs.field_shape, pairs.field_channels = field_shape(trained)[:-1], field_shape(trained)[-1]
    first = next(validation_pairs.epoch(0))[0]
    moving, fixed = [first[name][:1] for name in ("moving", "fixed")]

    def pictures():
        moved = model.predict_on_batch([moving, fixed])[0]
        panels = [image[0, ..., 0] for image in (moving, fixed, moved)]
        return {"moving, fixed, moved, moving - fixed, moved - fixed": figures.picture(*panels)}

    chosen = {name: value for name, value in vars(options).items() if name not in NOT_OF_THE_RUN}
    path = os.path.join(output, "arguments.json")
    if options.resume:
        refuse_other_arguments(chosen, path)
    measured = script.fit(
        options,
        trained,
        train_pairs,
        options.epochs,
        output,
        validation=validation_pairs,
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
    print("Held-out pairs, best weights:")
    scores, shown = evaluation.evaluate(model, test_cases, labels, log=print)
    print(evaluation.report(scores))
    print(evaluation.write_results(output, scores, shown, name="test"))
    metric, _, _, found = evaluation.table(scores)[0]  # Dice, where there are labels
    return measured, metric, np.nanmean(found)


def make(options, labels):
    """Brains to train with and to validate, and cases to test with the true displacement."""
    for name in OF_FILES:
        if vars(options)[name] is not None:
            raise refusal("`--{}` goes with `--data`".format(name.replace("_", "-")), "it alone", "`--data`")
    shape, seed = (options.image_size,) * 2, 3 * options.seed
    pairs = functools.partial(RegistrationPairs, batch_size=options.batch_size, bidirectional=options.bidirectional)
    train_pairs = pairs(random_brains(64, shape, seed)[0], seed=options.seed, steps=options.steps_per_epoch, cache=64)
    validation_pairs = pairs(random_brains(8, shape, seed + 1)[0], seed=options.seed, shuffle=False)
    return train_pairs, validation_pairs, cases.brain_cases(8, shape, seed + 2)


def read(options, labels):
    """The same from files: the last fifth of the subjects tests, unless there are others for it, and up to four before it validate."""
    images, label_maps = cases.find_pairs(options.data, options.labels)
    supervised = options.label_weight is not None
    if supervised and not (label_maps and (options.atlas_labels or not options.atlas)):
        raise refusal("`--label-weight` goes with `--labels`, and `--atlas-labels` if there is an atlas", "it alone", "both")
    needed = 1 if options.atlas else 2
    if options.test_data:
        test, test_labels = cases.find_pairs(options.test_data, options.test_labels)
    else:
        held_out = max(needed, len(images) // 5)
        test, test_labels = images[-held_out:], label_maps and label_maps[-held_out:]
        images, label_maps = images[:-held_out], label_maps and label_maps[:-held_out]
    validation = min(4, max(needed, len(images) // 20))
    if len(images) < validation + needed or len(test) < needed:
        raise refusal(
            "`--data` must hold {0} volumes or more to train, to validate, and to test unless there is `--test-data`".format(
                needed
            ),
            "{} for the first two and {} to test".format(len(images), len(test)),
            "more volumes, or `--atlas`",
        )
    others = [each for each in [options.atlas_labels] + (label_maps or []) + (test_labels or []) if each]
    cases.check_files(images + test, others, options.atlas, options.resample)
    scale = functools.partial(scale_intensity, level=options.intensity_level)

    def pairs(part, label_values, **settings):
        return RegistrationPairs(
            images[part],
            label_maps[part] if supervised else None,
            options.atlas,
            options.atlas_labels if supervised else None,
            label_values,
            bidirectional=options.bidirectional,
            batch_size=options.batch_size,
            seed=options.seed,
            resample=options.resample,
            scale=scale,
            **settings,
        )

    train_pairs = pairs(slice(-validation), labels, steps=options.steps_per_epoch)
    validation_pairs = pairs(slice(-validation, None), train_pairs.label_values or None, shuffle=False)
    test_cases = cases.file_cases(test, test_labels, options.atlas, options.atlas_labels, options.resample, scale)
    return train_pairs, validation_pairs, test_cases


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", help="volumes to train with: a folder, a pattern in quotes, or a list in a .txt (default: brains in 2-D)")
    add("--labels", help="their label maps, likewise, paired by name: to score with, and to train with by --label-weight")
    add("--atlas", help="volume to register all subjects to (default: subjects to each other)")
    add("--atlas-labels", help="label map of the atlas")
    add("--test-data", help="volumes to test with (default: the last fifth of --data)")
    add("--test-labels", help="their label maps")
    add("--resample", action="store_true", help="bring volumes on other grids to that of the atlas, instead of refusing them")
    add(
        "--intensity-level", type=float, default=1.0, help="where the brightest intensities go, 0.45 in the authors' images (1)"
    )
    add("--label-values", help="labels that count: published (30 of FreeSurfer), or numbers as in 2,3,4 (default: all but 0)")
    add("--variant", choices=tuple(VARIANTS), help="numbers of filters (default: vm2)")
    add("--diffeomorphic", action="store_true", help="the probabilistic diffeomorphic network instead")
    add("--bidirectional", action="store_true", help="train with the fixed image warped onto the moving one too")
    add("--similarity", choices=SIMILARITIES, default="mse", help="of moved and fixed image (default: %(default)s)")
    add("--lambda", "--smoothness-weight", dest="smoothness_weight", type=float, help="(default: 0.01 for mse, 1 for ncc)")
    add("--image-sigma", type=float, help="noise of the images, divides the mse (default: 0.02 if diffeomorphic, else 1)")
    add("--prior-lambda", type=float, help="smoothness of diffeomorphic velocities (default: 10)")
    add("--label-weight", type=float, help="weight of the Dice loss of --labels, 0.01 in the paper (default: train without)")
    add("--epochs", type=int, help="(default: 50; brains: 60)")
    add("--steps-per-epoch", type=int, help="batches in an epoch, 100 in the paper (default: once through the subjects)")
    add("--batch-size", type=int, help="pairs in a step (default: 1; brains: 4)")
    add("--learning-rate", type=float, help="of Adam in the first epoch (default: 1e-4; brains: 1e-3)")
    add("--learning-rate-decay", type=float, default=1.0, help="factor from one epoch to the next (default: %(default)s)")
    add("--image-size", type=int, default=96, help="side of the brains (default: %(default)s)")
    add("--checkpoint-every", type=int, default=5, help="epochs from one checkpoint to the next (default: %(default)s)")
    add("--output", help="folder for weights, logs and figures (default: outputs/voxelmorph, or the next free name)")
    add("--resume", action="store_true", help="continue the run in --output")
    add("--weights", help="start from these weights: an .npz of an earlier run, or an .h5 of the authors")
    add("--seed", type=int, default=0, help="of weights, pairs and brains (default: %(default)s)")
    script.add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
