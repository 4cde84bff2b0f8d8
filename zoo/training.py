"""Training for every family: Keras `fit`, plus checkpoints, exact resume, logs, and weights that cross runtimes."""

import glob
import math
import os
import re

import numpy as np

from mrlayers import backend
from mrlayers.backend import keras
from zoo import events
from zoo.files import make_folder, read_arrays, written_whole


def fit(
    model,
    batches,
    epochs,
    output,
    validation=None,
    pictures=None,
    resume=False,
    checkpoint_every=1,
    keep=3,
    callbacks=(),
    verbose=1,
):
    """Keras `fit` on a compiled model, with everything a long run needs in the folder `output`.

    `output` then holds `best.npz` and `last.npz` (weights), `checkpoints/epoch-0001.npz` ... (weights, optimizer, epoch),
    `history.csv`, and TensorBoard's `events.*` with the losses, and with `pictures`. A run that was stopped and resumed
    equals one that was not, as long as `batches` and the learning rate depend on nothing but the epoch, and `callbacks` keep
    nothing in memory from one epoch to the next. With random layers such as dropout that holds on Keras 3 only.

    Args:
        model: a compiled `keras.Model`.
        batches: `len(batches)` is the number of batches in an epoch, `batches.epoch(index)` yields them as `(inputs, target)`.
        epochs: how many epochs in all, those before a resume included.
        output: folder, made if missing.
        validation: like `batches`, of which epoch 0 is used every time and kept in memory. `best.npz` follows its loss (without it, the training loss).
        pictures: `pictures()` returns a dict from names to `uint8` arrays `(height, width)` or `(height, width, 3)`, after every epoch.
        resume: continue from the newest checkpoint in `output`.
        checkpoint_every: epochs from one checkpoint to the next. The last epoch always has one.
        keep: how many checkpoints to keep.
        callbacks: more Keras callbacks.
        verbose: 1 shows a progress bar, 2 a line for each epoch, 0 nothing.

    Returns:
        The Keras `History` of the epochs that ran.

    Raises:
        ValueError: `output` is a file, holds another run (without `resume`) or nothing to resume.
        FloatingPointError: the loss or a weight is not a finite number. No weights or checkpoints are written after that.
    """
    for argument, value in [("epochs", epochs), ("checkpoint_every", checkpoint_every), ("keep", keep)]:
        if not isinstance(value, int) or value < 1:
            raise ValueError("`{}` must be a whole number of at least 1. Received: {!r}.".format(argument, value))
    newest = _newest_checkpoint(output)
    held = [name for name in ("history.csv", "last.npz") if os.path.exists(os.path.join(output, name))] + (
        [newest] if newest else []
    )
    if resume and newest is None:
        raise ValueError(
            "`output` must hold a checkpoint to resume from. Received: {}, which has none. Try it without resume.".format(
                output
            )
        )
    if held and not resume:
        raise ValueError(
            "`output` must not hold another run. Received: {}, with {}. Try to resume that run, or another folder.".format(
                output, os.path.basename(held[-1])
            )
        )
    make_folder(output)
    first_epoch, best = _restore(model, newest) if resume else (0, np.inf)
    if first_epoch >= epochs:
        raise ValueError(
            "`epochs` must be more than the {} that {} already has. Received: {}.".format(first_epoch, output, epochs)
        )

    history_path = os.path.join(output, "history.csv")
    _forget_epochs_from(first_epoch, history_path)
    monitor = "loss" if validation is None else "val_loss"
    logs = [
        _StopOnNotFinite(output),
        _Checkpoints(output, monitor, best, checkpoint_every, keep, epochs),
        keras.callbacks.CSVLogger(history_path, append=first_epoch > 0),
    ]
    if events.available():
        logs.append(_EventLog(output, pictures))
    return model.fit(
        _forever(batches, first_epoch),
        steps_per_epoch=len(batches),
        epochs=epochs,
        initial_epoch=first_epoch,
        validation_data=None if validation is None else _Fixed(validation),
        callbacks=logs + list(callbacks),
        shuffle=False,
        verbose=verbose,
    )


def exponential_decay(learning_rate, rate=0.95):
    """A callback that sets the learning rate of an epoch to `learning_rate * rate ** epoch`, whatever the number of epochs."""
    if not 0 < learning_rate < math.inf:
        raise ValueError("`learning_rate` must be a positive number. Received: {!r}. Try 1e-3.".format(learning_rate))
    if not 0 < rate <= 1:
        raise ValueError("`rate` must be above 0 and at most 1. Received: {!r}. Try 0.95.".format(rate))
    return keras.callbacks.LearningRateScheduler(lambda epoch, current=None: learning_rate * rate**epoch)


def save_weights(model, path):
    """Writes a model's weights as an `.npz` of arrays named `layer/weight`, which `load_weights` reads on every runtime."""
    arrays = _weights(model)
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def load_weights(model, path):
    """Reads an `.npz` of `save_weights` into a model with the same layer names.

    Raises:
        ValueError: an array is missing, left over or has another shape (each is named), or the file is no readable `.npz`.
    """
    _set_weights(model, read_arrays(path), path)


def _layers(model, scope=""):
    """`(scope, layer)` of every layer with weights of its own; models inside models give the scope."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            for inner in _layers(layer, scope + layer.name + "/"):
                yield inner
        elif layer.weights:
            yield scope, layer


def _named(model):
    """`(name, weight)` of every weight of a model."""
    named = [pair for scope, layer in _layers(model) for pair in zip(_names(scope, layer), layer.weights)]
    if not len(dict(named)) == len(named) == len(model.weights):
        raise ValueError(
            "`model` must have layers with names of their own and no weights outside of them. Received: {} names for {} "
            "weights. Try other layer names.".format(len(dict(named)), len(model.weights))
        )
    return named


def _weights(model):
    # All at once: on TensorFlow 1.15 every question is a run of the session.
    values = dict(zip(map(id, model.weights), model.get_weights()))
    return {name: values[id(weight)] for name, weight in _named(model)}


def _set_weights(model, arrays, path):
    named = _named(model)
    expected = {name: tuple(int(size) for size in weight.shape) for name, weight in named}
    missing = sorted(set(expected) - set(arrays))
    extra = sorted(set(arrays) - set(expected))
    wrong = [
        "{} {} instead of {}".format(name, arrays[name].shape, shape)
        for name, shape in sorted(expected.items())
        if name in arrays and arrays[name].shape != shape
    ]
    problems = [
        "{}: {}".format(what, ", ".join(names[:5]) + (" and {} more".format(len(names) - 5) if len(names) > 5 else ""))
        for what, names in [("missing", missing), ("left over", extra), ("of another shape", wrong)]
        if names
    ]
    if problems:
        raise ValueError(
            "`{}` must hold the weights of this model. Received: arrays {}. Try the arguments the model was trained with.".format(
                path, "; ".join(problems)
            )
        )
    names = {id(weight): name for name, weight in named}
    model.set_weights([arrays[names[id(weight)]] for weight in model.weights])


def _names(scope, layer):
    """`layer/weight` for every weight, the same on every runtime: TensorFlow 1.15 adds `:0`, and a counter to scopes used twice."""
    paths = [getattr(weight, "path", weight.name).split(":")[0] for weight in layer.weights]
    return [scope + layer.name + "/" + (path.split("/", 1)[1] if "/" in path else path) for path in paths]


def _checkpoints(output):
    """Paths of the checkpoints, oldest first."""
    paths = glob.glob(os.path.join(glob.escape(output), "checkpoints", "epoch-*.npz"))
    return sorted(paths, key=lambda path: int(re.findall(r"\d+", os.path.basename(path))[0]))


def _newest_checkpoint(output):
    return (_checkpoints(output) or [None])[-1]


def _restore(model, path):
    """Puts model and optimizer back into the state of a checkpoint; returns its epoch and the best loss so far."""
    arrays = read_arrays(path)
    weights = {name[len("weights/") :]: array for name, array in arrays.items() if name.startswith("weights/")}
    _set_weights(model, weights, path)
    state = [arrays[name] for name in sorted(arrays) if name.startswith("state/")]
    backend.set_training_state(model, state)
    return int(arrays["epoch"]), float(arrays["best"])


def _forever(batches, epoch):
    """Batch after batch, epoch after epoch."""
    while True:
        for batch in batches.epoch(epoch):
            yield batch
        epoch += 1


class _Fixed(keras.utils.Sequence):
    """The batches of epoch 0, kept: Keras starts each validation with the first of them."""

    def __init__(self, batches):
        super().__init__()
        self.batches = list(batches.epoch(0))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def _forget_epochs_from(first_epoch, path):
    """Drops the lines of epochs that a resumed run will do again."""
    if first_epoch and os.path.exists(path):
        with open(path) as file:
            lines = file.readlines()
        with written_whole(path) as temporary, open(temporary, "w") as file:
            file.writelines(lines[:1] + [line for line in lines[1:] if int(re.match(r"\d+", line).group()) < first_epoch])


class _StopOnNotFinite(keras.callbacks.Callback):
    def __init__(self, output):
        super().__init__()
        self.output = output
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise _not_finite("The loss became {} in epoch {}, batch {}.".format(loss, self.epoch + 1, batch + 1), self.output)


def _not_finite(what, output):
    newest = _newest_checkpoint(output)
    kept = "The last good checkpoint is {}.".format(newest) if newest else "There is no checkpoint yet."
    return FloatingPointError("{} {} Try a smaller learning rate, and look for extreme values in the data.".format(what, kept))


class _Checkpoints(keras.callbacks.Callback):
    def __init__(self, output, monitor, best, every, keep, epochs):
        super().__init__()
        self.output = output
        self.monitor = monitor
        self.best = best
        self.every = every
        self.keep = keep
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        weights = _weights(self.model)
        if not all(np.isfinite(array).all() for array in weights.values()):
            # Some kernels turn NaN into 0 (oneDNN's ReLU does), and the loss does not tell.
            raise _not_finite("Weights became infinite or not a number in epoch {}.".format(done), self.output)
        current = float((logs or {}).get(self.monitor, np.inf))
        if current < self.best:
            self.best = current
            save_weights(self.model, os.path.join(self.output, "best.npz"))
        save_weights(self.model, os.path.join(self.output, "last.npz"))
        if done % self.every == 0 or done == self.epochs:
            folder = os.path.join(self.output, "checkpoints")
            arrays = {"weights/" + name: array for name, array in weights.items()}
            arrays.update(
                {"state/{:05d}".format(index): array for index, array in enumerate(backend.training_state(self.model))}
            )
            with written_whole(os.path.join(folder, "epoch-{:04d}.npz".format(done))) as temporary, open(
                temporary, "wb"
            ) as file:
                np.savez(file, epoch=done, best=self.best, **arrays)
            for path in _checkpoints(self.output)[: -self.keep]:
                os.remove(path)


class _EventLog(keras.callbacks.Callback):
    def __init__(self, output, pictures):
        super().__init__()
        self.output = output
        self.pictures = pictures

    def on_train_begin(self, logs=None):
        self.writer = events.Writer(self.output)

    def on_epoch_end(self, epoch, logs=None):
        self.writer.write(epoch + 1, logs or {}, self.pictures() if self.pictures else {})

    def on_train_end(self, logs=None):
        self.writer.close()
