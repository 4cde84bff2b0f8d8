"""Training: exact resume, checkpoints, logs, refusals, and weights by name."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from mrlayers import backend
from mrlayers.backend import keras
from runtime import RUNTIME
from zoo import events, training
from zoo.files import make_folder, written_whole

RUN = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path[:0] = [sys.argv[1]]
from test_training import run
run(sys.argv[2], int(sys.argv[3]), resume=sys.argv[4] == "resume")
"""


class Batches:
    """Random numbers that depend on nothing but epoch and batch."""

    def __init__(self, bad_epoch=None, bad_input=False):
        self.bad_epoch = bad_epoch
        self.bad_input = bad_input

    def __len__(self):
        return 3

    def epoch(self, index):
        for batch in range(3):
            random = np.random.RandomState([index, batch])
            x, target = random.standard_normal((2, 4, 8, 8, 2)).astype("float32")
            if index == self.bad_epoch:
                (x if self.bad_input else target)[0, 0, 0, 0] = np.nan
            yield {"image": x}, target


def make_model():
    backend.set_seed(3)
    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(image)
    x = keras.layers.BatchNormalization(name="normal")(x)
    model = keras.Model([image], keras.layers.Conv2D(2, 3, padding="same", name="last")(x))
    model.compile(keras.optimizers.Adam(1e-2), loss="mse", **backend.COMPILE_OPTIONS)
    return model


def run(output, epochs, **options):
    options = dict(dict(validation=Batches(), verbose=0, callbacks=[training.exponential_decay(1e-2)]), **options)
    return training.fit(make_model(), Batches(), epochs, str(output), **options)


def arrays_of(path):
    with np.load(str(path)) as archive:
        return {name: archive[name] for name in archive.files}


def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path):
    """In processes of their own with one thread, as a user would stop and resume."""
    here = os.path.dirname(os.path.abspath(__file__))
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), TF_CPP_MIN_LOG_LEVEL="3")
    for output, epochs, how in [("whole", 4, "new"), ("parts", 2, "new"), ("parts", 4, "resume")]:
        command = [sys.executable, "-c", RUN, here, str(tmp_path / output), str(epochs), how]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
        )
        assert done.returncode == 0, done.stdout[-2000:]
    for name in ("last.npz", "best.npz", "checkpoints/epoch-0004.npz"):
        whole, parts = arrays_of(tmp_path / "whole" / name), arrays_of(tmp_path / "parts" / name)
        assert sorted(whole) == sorted(parts)
        assert all(np.array_equal(whole[key], parts[key]) for key in whole)
    assert (tmp_path / "whole" / "history.csv").read_text() == (tmp_path / "parts" / "history.csv").read_text()


def test_resume_forgets_epochs_after_the_checkpoint(tmp_path):
    """Stopped in epoch 4 with a checkpoint at 2: epoch 3 is done again and stands in the history once."""
    with pytest.raises(FloatingPointError):
        training.fit(make_model(), Batches(bad_epoch=3), 5, str(tmp_path), checkpoint_every=2, verbose=0)
    assert sorted(os.listdir(str(tmp_path / "checkpoints"))) == ["epoch-0002.npz"]
    if RUNTIME == "tensorflow1":
        keras.backend.clear_session()
    training.fit(make_model(), Batches(), 5, str(tmp_path), checkpoint_every=2, resume=True, verbose=0)
    with open(str(tmp_path / "history.csv")) as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2", "3", "4"]
    assert sorted(os.listdir(str(tmp_path / "checkpoints"))) == ["epoch-0002.npz", "epoch-0004.npz", "epoch-0005.npz"]


def test_keeps_so_many_checkpoints_and_the_best_weights(tmp_path):
    history = run(tmp_path, 5, keep=2)
    assert sorted(os.listdir(str(tmp_path / "checkpoints"))) == ["epoch-0004.npz", "epoch-0005.npz"]
    assert float(arrays_of(tmp_path / "checkpoints" / "epoch-0005.npz")["best"]) == pytest.approx(
        min(history.history["val_loss"])
    )
    assert not [name for _, _, names in os.walk(str(tmp_path)) for name in names if name.startswith(".partial")]


def test_not_a_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(
        FloatingPointError,
        match="The loss became nan in epoch 3, batch 1. The last good checkpoint is .*epoch-0002.npz. Try a smaller",
    ):
        training.fit(make_model(), Batches(bad_epoch=2), 5, str(tmp_path), keep=1, verbose=0)
    check_finite(tmp_path)


def check_finite(tmp_path):
    assert os.listdir(str(tmp_path / "checkpoints")) == ["epoch-0002.npz"]
    for name in ("last.npz", "best.npz", "checkpoints/epoch-0002.npz"):
        assert all(np.isfinite(array).all() for array in arrays_of(tmp_path / name).values())


def test_weights_that_are_not_numbers_are_never_written(tmp_path):
    """Whether the loss shows it or not: oneDNN's ReLU makes 0 of NaN."""
    with pytest.raises(FloatingPointError, match="in epoch 3.*epoch-0002.npz"):
        training.fit(make_model(), Batches(bad_epoch=2, bad_input=True), 5, str(tmp_path), keep=1, verbose=0)
    check_finite(tmp_path)


def test_logs(tmp_path):
    run(tmp_path, 2, pictures=lambda: {"picture": np.zeros((4, 6), "uint8")})
    with open(str(tmp_path / "history.csv")) as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"] and float(rows[1]["val_loss"]) > 0
    if not events.available():
        pytest.skip("TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (path,) = [name for name in os.listdir(str(tmp_path)) if name.startswith("events")]
    found = {(event.step, value.tag) for event in EventFileLoader(str(tmp_path / path)).Load() for value in event.summary.value}
    assert {(1, "loss"), (2, "val_loss"), (1, "picture"), (2, "picture")} <= found


def test_refusals_of_fit(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`.*file` must be a folder. Received: the name of a file"):
        run(tmp_path / "file", 1)
    with pytest.raises(ValueError, match="`.*below` must be a folder"):
        run(tmp_path / "file" / "below", 1)
    with pytest.raises(ValueError, match="`output` must hold a checkpoint to resume from"):
        run(tmp_path / "new", 1, resume=True)
    run(tmp_path / "early", 1)
    (tmp_path / "early" / "checkpoints" / "epoch-0001.npz").unlink()
    with pytest.raises(ValueError, match="`output` must not hold another run.*last.npz"):
        run(tmp_path / "early", 1)
    run(tmp_path / "run", 1)
    with pytest.raises(ValueError, match="`output` must not hold another run.*epoch-0001.npz"):
        run(tmp_path / "run", 2)
    with pytest.raises(ValueError, match="`epochs` must be more than the 1 that"):
        run(tmp_path / "run", 1, resume=True)
    with pytest.raises(ValueError, match="`learning_rate` must be a positive number. Received: 0. Try 1e-3"):
        training.exponential_decay(0)
    with pytest.raises(ValueError, match="`rate` must be above 0 and at most 1. Received: 1.5. Try 0.95"):
        training.exponential_decay(1e-3, 1.5)
    for argument in ("epochs", "keep", "checkpoint_every"):
        with pytest.raises(ValueError, match="`{}` must be a whole number of at least 1. Received: 0".format(argument)):
            run(tmp_path / "other", **dict({"epochs": 1}, **{argument: 0}))


def test_schedules_resume_too(tmp_path):
    def model():
        made = make_model()
        schedule = keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5)
        made.compile(keras.optimizers.Adam(schedule), loss="mse", **backend.COMPILE_OPTIONS)
        return made

    training.fit(model(), Batches(), 1, str(tmp_path), verbose=0)
    training.fit(model(), Batches(), 2, str(tmp_path), verbose=0, resume=True)


def test_ten_thousandth_epoch_is_the_newest(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for epoch in (9999, 10000):
        (tmp_path / "checkpoints" / "epoch-{}.npz".format(epoch)).write_text("")
    assert training._newest_checkpoint(str(tmp_path)).endswith("epoch-10000.npz")


def test_weights_of_models_inside_models(tmp_path):
    def model():
        image = keras.Input((8, 8, 2))
        inside = keras.Input((8, 8, 2))
        x = keras.layers.Conv2D(2, 3, padding="same", name="first")(inside)
        inner = keras.Model(inside, keras.layers.Conv2D(2, 3, padding="same", name="second")(x), name="inner")
        return keras.Model(image, inner(image))

    made, again, path = model(), model(), str(tmp_path / "weights")
    training.save_weights(made, path)
    assert os.listdir(str(tmp_path)) == ["weights"]
    training.load_weights(again, path)
    assert sorted(arrays_of(path)) == ["inner/first/bias", "inner/first/kernel", "inner/second/bias", "inner/second/kernel"]
    assert all(np.array_equal(new, old) for new, old in zip(again.get_weights(), made.get_weights()))


def test_weights_are_named_in_errors(tmp_path):
    model, path = make_model(), str(tmp_path / "weights.npz")
    training.save_weights(model, path)
    arrays = arrays_of(path)
    assert sorted(arrays)[:2] == ["first/bias", "first/kernel"]
    changed = dict(arrays, extra=np.zeros(1))
    del changed["last/bias"]
    changed["first/kernel"] = np.zeros((3, 3, 2, 5))
    np.savez(path, **changed)
    before = model.get_weights()
    expected = (
        "missing: last/bias; left over: extra; of another shape: first/kernel \\(3, 3, 2, 5\\) instead of \\(3, 3, 2, 4\\)"
    )
    with pytest.raises(ValueError, match=expected):
        training.load_weights(model, path)
    assert all(np.array_equal(new, old) for new, old in zip(model.get_weights(), before))
    with pytest.raises(ValueError, match="no such file"):
        training.load_weights(model, str(tmp_path / "absent.npz"))
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(ValueError, match="cannot be read"):
        training.load_weights(model, path)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = str(tmp_path / "made" / "file.txt")
    with written_whole(path) as temporary, open(temporary, "w") as file:
        file.write("first")
    with pytest.raises(KeyboardInterrupt):
        with written_whole(path) as temporary, open(temporary, "w") as file:
            file.write("half")
            raise KeyboardInterrupt
    assert os.listdir(str(tmp_path / "made")) == ["file.txt"]
    assert open(path).read() == "first"
    make_folder(str(tmp_path / "made"))
