"""Compiles a `tf.keras` model for an NPU, and refuses what would only fail, or run elsewhere without a word, on the device."""

import warnings

from mrlayers import backend
from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.npu import bridge, ranks, scaling, sessions
from zoo.npu.pinning import check_host_pinning, pinned


def compile(model, optimizer, loss=None, metrics=None, loss_weights=None, loss_scale=None, **options):
    """`model.compile` inside of `npu.session`, with all that training on an NPU needs; on the CPU where no `npu_bridge` is.

    It scales the loss, averages gradients over `RANK_SIZE` processes, builds the graphs of `fit`, `evaluate` and `predict`,
    checks with `check_host_pinning` that no complex number reaches the NPU, and lets the session follow: mixed compiling is
    switched on exactly when operations are pinned to the host. Checked on the graph, never on hardware.

    Args:
        model: a functional `keras.Model` with known sizes; its batch may be unknown, but see `callbacks`.
        optimizer: a Keras optimizer or its name, `zoo.optimizers.adam`, or one of `tf.train`. Callbacks set the learning rate
            of those of Keras only, and only their state is in checkpoints.
        loss: as of `model.compile`.
        metrics: as of `model.compile`.
        loss_weights: as of `model.compile`.
        loss_scale: `None`, a number of at least 1, or `"dynamic"`: 2**32 at first, halved with two overflows in a row, doubled
            after 1000 steps without. Left out on the CPU, where float32 needs none.
        **options: more of `model.compile`.

    Raises:
        ValueError: no open session, a model of another graph or of unknown sizes, an optimizer or a loss scale that do not fit,
            ranks without `npu_bridge`, batch normalization in a form that mixed compiling does not have, or what
            `check_host_pinning` and `session_config` refuse.
    """
    tf = bridge.tensorflow("npu.compile")
    scaling.require_loss_scale(loss_scale)
    _require_model(model, sessions.current("npu.compile").session.graph)
    num_ranks = ranks.rank().size
    optimizer = _require_optimizer(tf, optimizer)
    if bridge.is_available():
        optimizer = scaling.wrapped(optimizer, loss_scale, num_ranks)
    elif num_ranks > 1:
        expected = "`RANK_SIZE` must be 1 without `npu_bridge`, which averages the gradients of ranks"
        raise refusal(expected, num_ranks, "to install it, or RANK_SIZE=1")
    elif loss_scale is not None:
        warnings.warn("`loss_scale` is left out: without `npu_bridge` the model trains in float32.", stacklevel=2)
    model.compile(optimizer, loss, metrics=metrics, loss_weights=loss_weights, **options)
    model._make_train_function()
    model._make_test_function()
    model._make_predict_function()
    graph = model.outputs[0].graph
    _let_keras_initialize(tf)
    check_host_pinning(graph)
    _refuse_batch_normalization(graph)
    sessions.follow_graph()
    tf.compat.v1.keras.backend.get_session()  # initializes all variables: the broadcast to other ranks passes over the others


def callbacks():
    """Callbacks for `fit` on an NPU: batches of one size, and with `RANK_SIZE` above 1 the same first weights on every rank.

    Raises:
        ValueError: not on TensorFlow 1.15, or a rank that `ranks.rank` refuses. Later, in `fit`, a batch of another size.
    """
    bridge.tensorflow("npu.callbacks")
    chosen = [_OneBatchSize()]
    if ranks.rank().size > 1 and bridge.is_available():
        broadcast = bridge.find("NPUBroadcastGlobalVariablesCallback")
        if broadcast is None:
            warnings.warn("This `npu_bridge` has no broadcast: begin with the same seed or the same weights on every rank.")
        else:
            chosen.append(broadcast(0))
    return chosen


class WholeBatches:
    """A view on `batches` without a last one that is smaller; see `whole_batches`."""

    def __init__(self, batches):
        self.batches = batches
        self._count = None

    def __len__(self):
        if self._count is None:
            self._count = sum(1 for _ in self.epoch(0))
        return self._count

    def epoch(self, index):
        """The batches of epoch `index` that have the size of its first one."""
        first = None
        for position, batch in enumerate(self.batches.epoch(index)):
            first = first or _size(batch)
            if _size(batch) == first:
                yield batch
            elif position < len(self.batches) - 1 or _size(batch) > first:
                expected = "`batches` must be of one size, but for a smaller last one"
                received = "%d images in batch %d of %d, %d before" % (_size(batch), position + 1, len(self.batches), first)
                raise refusal(expected, received, "another batch size")


def whole_batches(batches):
    """A view on `batches` that leaves out a smaller last one, for which the NPU would compile everything again.

    Those that shuffle to train leave it out themselves; this is for validation and tests. Its length is known when epoch 0 has
    been drawn once.

    Args:
        batches: `len(batches)` is the number of batches in an epoch, `batches.epoch(index)` yields them as `(inputs, targets)`.
    """
    return WholeBatches(batches)


class _OneBatchSize(keras.callbacks.Callback):
    """Refuses a batch before the NPU compiles everything again for its size."""

    def __init__(self):
        super().__init__()
        self._sizes = {}

    def on_train_batch_begin(self, batch, logs=None):
        self._require("training", batch, logs)

    def on_test_batch_begin(self, batch, logs=None):
        self._require("validation", batch, logs)

    def _require(self, what, batch, logs):
        size = (logs or {}).get("size")
        first = self._sizes.setdefault(what, size)
        if size != first:
            expected = "Batches must be of one size, for which the NPU has compiled the model"
            received = "%s images in batch %d of %s, %s before" % (size, batch + 1, what, first)
            raise refusal(expected, received, "`npu.whole_batches(batches)`, or `drop_remainder=True`")


def _size(batch):
    inputs = batch[0]
    while isinstance(inputs, (dict, list, tuple)):
        inputs = list(inputs.values())[0] if isinstance(inputs, dict) else inputs[0]
    return len(inputs)


def _require_model(model, graph):
    if not getattr(model, "inputs", None):
        raise refusal("`model` must be functional", type(model).__name__, "keras.Model(inputs, outputs)")
    if model.outputs[0].graph is not graph:
        expected = "`model` must be built in the graph of the open session"
        raise refusal(expected, "another graph", "npu.clear_session(), which keeps the options, instead of that of Keras")
    for tensor in model.inputs:
        shape = backend.static_shape(tensor)
        if None in shape[1:]:
            expected = "`model` must have known sizes, for which the NPU compiles it"
            raise refusal(expected, "input `%s` %s" % (tensor.op.name, shape), "keras.Input with all sizes but the batch")


def _require_optimizer(tf, optimizer):
    if isinstance(optimizer, tf.compat.v1.train.Optimizer):
        return optimizer
    try:
        optimizer = keras.optimizers.get(optimizer)
    except ValueError as error:
        raise refusal("`optimizer` must be one of Keras or tf.train", repr(optimizer), "'adam'") from error
    return optimizer


def _let_keras_initialize(tf):
    """Keras initializes the variables that it knows: none of a loss scale, and none of a wrapped `tf.train` optimizer."""
    from tensorflow.python.keras.backend import track_variable

    for variable in tf.compat.v1.global_variables():
        track_variable(variable)


def _refuse_batch_normalization(graph):
    if not pinned(graph):
        return
    for operation in graph.get_operations():
        if operation.type == "FusedBatchNormV3":
            expected = "Batch normalization must be in the form that mixed compiling has"
            received = "FusedBatchNormV3 of `%s`, beside pinned operations" % operation.name
            raise refusal(expected, received, "to build the model inside of `npu.session`")
