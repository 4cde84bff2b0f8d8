"""What the training scripts share for Ascend NPUs: their flags, the session around a run, ranks, and the published result lines.

Without flags and without `npu_bridge` a script trains as if nothing of this were here, on every runtime.
"""

import collections
import os
import sys
import time

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal, require_integer
from zoo import training
from zoo.npu import bridge, compiling, launching, ranks, scaling, sessions
from zoo.runs import default_folder

PRECISION_MODES = ("allow_mix_precision", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype")
# They say how a run is computed, not what it is: it may be resumed with others. Only a dynamic loss scale is in its checkpoints.
FLAGS = ("precision_mode", "npu_loss_scale", "device_id", "ranks", "rank_table")
SHOWN = 8

Trained = collections.namedtuple("Trained", "images_per_second loss")


def add_arguments(parser, loss_scale=True):
    """Adds the flags of NPUs to a parser that has `--output` and `--resume`; `loss_scale=False` where it has `--loss-scale` too."""
    add = parser.add_argument_group("Ascend NPUs (TensorFlow 1.15 with npu_bridge; on the CPU without)").add_argument
    add("--precision-mode", choices=PRECISION_MODES, help="of the NPU (default: that of the chip)")
    add("--device-id", type=int, help="number of the NPU (default: ASCEND_DEVICE_ID, or 0)")
    add("--ranks", type=int, help="start so many processes, each on an NPU of this machine (default: 1)")
    add("--rank-table", help="with --ranks: the JSON file of HCCL that names the NPUs, see zoo.npu.write_rank_table")
    parser.set_defaults(npu_loss_scale=None)
    if loss_scale:
        text = "a number of at least 1, or dynamic (default: none)"
        add("--loss-scale", dest="npu_loss_scale", type=_number_or_text, metavar="LOSS_SCALE", help=text)


def asked(options):
    """Whether a script trains in a session of NPUs: a flag says so, or `npu_bridge` is installed."""
    return bool(_given(options)) or bridge.is_available()


def run(train, options, folder):
    """Calls `train(options)` as the flags ask, and prints the published result lines when they ask for NPUs.

    With `--ranks` above 1 it starts this script once for each rank instead. `options.output` is set to `folder`, or the next free
    name, where it is missing, and to `rank-1` and so on in it for other ranks than 0.

    Args:
        train: function of the options that returns what `fit` does, the name of a metric, and its mean over held-out data.
        options: of a parser with `add_arguments`.
        folder: name of the output where `--output` does not give one.

    Raises:
        ValueError: flags that do not go together, or that cannot be followed here.
    """
    begin = time.perf_counter()
    named = options.output
    options.output = named or default_folder(folder, options.resume)
    if not asked(options):
        train(options)
        return
    _require(options)
    if launched(options):
        return
    if options.device_id is not None:
        os.environ["ASCEND_DEVICE_ID"] = str(options.device_id)
    rank = ranks.rank()
    if rank.size > 1 and not named:
        raise refusal("`--output` must be given to ranks, which would not all find the same free name", "none", "--output run")
    if rank.index:
        options.output = os.path.join(options.output, "rank-%d" % rank.index)
    with sessions.session(**({"precision_mode": options.precision_mode} if options.precision_mode else {})):
        trained, metric, accuracy = train(options)
    print("Final Performance images/sec : %.2f" % trained.images_per_second)
    print("Final Train Loss : %.6g" % trained.loss)
    print("Final Accuracy %s : %.6g" % (metric, accuracy))
    print("E2E Training Duration sec : %.1f" % (time.perf_counter() - begin))


def launched(options):
    """With `--ranks` above 1, starts this script once for each rank and waits; whether it did. The ranks themselves know by `RANK_ID`."""
    if options.ranks in (None, 1) or "RANK_ID" in os.environ:
        return False
    print("%d ranks train; what they print is in %s" % (options.ranks, os.path.join(options.output, "rank-0.log and so on")))
    sys.stdout.flush()
    command = [sys.executable] + sys.argv + ["--output", options.output]
    job = os.environ.get("JOB_ID") or "mrlayers"
    try:
        logs = launching.launch(command, options.ranks, options.output, options.rank_table, job)
    except RuntimeError as error:
        sys.exit("%s: %s" % (os.path.basename(sys.argv[0]), error))
    with open(logs[0], errors="replace") as file:
        print("The last lines of rank 0:\n" + "".join(collections.deque(file, SHOWN)).rstrip())
    return True


def compile(options, model, optimizer, loss, loss_scale=None, **more):
    """`npu.compile` where the flags ask for NPUs, else `model.compile`.

    Args:
        options: of a parser with `add_arguments`.
        model: as of `npu.compile`.
        optimizer: as of `npu.compile`.
        loss: as of `npu.compile`.
        loss_scale: for NPUs; `None` is what `--loss-scale` says.
        **more: of `model.compile`.
    """
    if asked(options):
        scale = options.npu_loss_scale if loss_scale is None else loss_scale
        compiling.compile(model, optimizer, loss, loss_scale=scale, **more)
    else:
        model.compile(optimizer, loss=loss, **dict(backend.COMPILE_OPTIONS, **more))


def fit(options, model, batches, epochs, output, validation=None, callbacks=(), **more):
    """`training.fit`, where the flags ask for NPUs with batches of this rank, of one size, and measured.

    Args:
        options: of a parser with `add_arguments`.
        model: as of `training.fit`.
        batches: as of `training.fit`.
        epochs: as of `training.fit`.
        output: as of `training.fit`.
        validation: as of `training.fit`.
        callbacks: as of `training.fit`.
        **more: of `training.fit`.

    Returns:
        `Trained(images_per_second, loss)`: images of all ranks, not a number if there was one step only; training loss of the
        last epoch. `None` where nothing asks for NPUs.
    """
    if not asked(options):
        training.fit(model, batches, epochs, output, validation=validation, callbacks=callbacks, **more)
        return None
    speed = Speed()
    whole = None if validation is None else compiling.whole_batches(validation)
    callbacks = list(callbacks) + compiling.callbacks() + [speed]
    history = training.fit(model, ranks.shard(batches), epochs, output, validation=whole, callbacks=callbacks, **more)
    return Trained(speed.images_per_second() * ranks.rank().size, history.history["loss"][-1])


class Speed(keras.callbacks.Callback):
    """Measures training, data included: without the first step, which compiles, and without validation and checkpoints."""

    def __init__(self):
        super().__init__()
        self.images = 0
        self.seconds = 0.0
        self._since = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._since is not None:
            self._since = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self._since is not None:
            self.images += logs["size"]
            self.seconds += now - self._since
        self._since = now

    def images_per_second(self):
        """Not a number before the second step."""
        return self.images / self.seconds if self.images else float("nan")


def _given(options):
    """The flags that the command line has, as they are written there."""
    given = [name for name in FLAGS if vars(options)[name] is not None]
    return ["--" + name.replace("npu_", "").replace("_", "-") for name in given]


def _require(options):
    """What can be refused before any data are read or made."""
    bridge.tensorflow(", ".join(_given(options)))
    scaling.require_loss_scale(options.npu_loss_scale)
    several = options.ranks is not None and options.ranks > 1
    if options.ranks is not None:
        require_integer("--ranks", options.ranks, 1)
    if several != (options.rank_table is not None):
        received = "--ranks %s" % options.ranks if several else "--rank-table alone"
        raise refusal("`--ranks` above 1 and `--rank-table` must be given together", received, "both")
    if several and options.device_id is not None:
        raise refusal("`--device-id` must be left to `--rank-table` with more ranks than one", "both", "one of them")
    if several and not bridge.is_available():
        expected = "`--ranks` must be 1 without `npu_bridge`, which averages the gradients of ranks"
        raise refusal(expected, "--ranks %d" % options.ranks, "to install it, or one rank")
    if options.ranks is not None and "RANK_ID" in os.environ and ranks.rank().size != options.ranks:
        received = "--ranks %d, with RANK_ID and RANK_SIZE=%d" % (options.ranks, ranks.rank().size)
        raise refusal("`--ranks` must be `RANK_SIZE` in a process that is a rank already", received, "to unset RANK_ID")


def _number_or_text(text):
    try:
        return float(text)
    except ValueError:
        return text
