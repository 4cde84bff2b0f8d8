"""The session that Keras trains in, with the options of the NPU from before the first weight to after the last step."""

import contextlib
import types
import warnings

from mrlayers.backend import keras
from mrlayers.checks import refusal
from zoo.npu import bridge, ranks
from zoo.npu.options import session_config

_OPEN = []  # what the one open session is made of: options, config, session


@contextlib.contextmanager
def session(**options):
    """Everything inside of this block runs on the NPU, with the options of `session_config`; without `npu_bridge` on the CPU.

    The session is set before any weight exists, because a weight lives in the session that it was initialized in. Models are
    built here in forms that the NPU knows (see `supported_batch_normalization`). With `RANK_SIZE` above 1 the ranks find each
    other first. When the block ends, the session is closed and the Keras graph cleared: what is needed later is saved inside.

    Args:
        **options: as of `session_config`.

    Raises:
        ValueError: a session is open, weights have values already, or what `session_config` and `ranks.rank` refuse.

    Example:
        >>> with npu.session(precision_mode="allow_mix_precision"):
        ...     model = deep_cascade((256, 256), (256, 1, 1))
        ...     npu.compile(model, keras.optimizers.Adam(1e-3), "mse", loss_scale="dynamic")
        ...     training.fit(model, npu.shard(batches), 50, "outputs/cascade", callbacks=npu.callbacks())
    """
    tf = bridge.tensorflow("npu.session")
    _refuse_late(tf)
    rank = ranks.rank()
    if bridge.is_available():
        bridge.load()
    else:
        warnings.warn(
            "`npu_bridge` is not installed: TensorFlow runs on the CPU, and ignores the options of the NPU.", stacklevel=3
        )
    config = session_config(**options)
    with _resources(tf, config, rank), supported_batch_normalization():
        _OPEN.append(types.SimpleNamespace(options=options, config=None, session=None))
        try:
            _set(tf, config)
            yield
        finally:
            _OPEN.pop().session.close()
            keras.backend.clear_session()


def clear_session():
    """`keras.backend.clear_session()` that keeps the options of `session`, which the one of Keras loses without a word."""
    tf = bridge.tensorflow("npu.clear_session")
    opened = current("npu.clear_session")
    opened.session.close()
    keras.backend.clear_session()
    _set(tf, session_config(**opened.options))


def current(caller):
    """What the open session is made of, or one sentence that says that `caller` needs one."""
    if not _OPEN:
        expected = "`%s` must be called inside of `with npu.session(...)`" % caller
        raise refusal(expected, "no open session", "it around building, compiling and training the model")
    return _OPEN[-1]


def follow_graph():
    """Makes the session again if the graph has got, or lost, what decides its options; weights keep their values.

    An option of a session cannot change, and whether the graph needs mixed compiling shows when the training step is in it.
    """
    tf = bridge.tensorflow("npu.compile")
    opened = current("npu.compile")
    config = session_config(**opened.options)
    if config == opened.config:
        return
    variables = _initialized(tf)
    values = opened.session.run(variables)
    opened.session.close()
    _set(tf, config)
    keras.backend.batch_set_value(list(zip(variables, values)))


@contextlib.contextmanager
def supported_batch_normalization():
    """Batch normalization that is built in this block uses the fused operation of May 2019, `FusedBatchNorm`.

    TensorFlow 1.15 would use `FusedBatchNormV3`, whose additional output NPUs do not have in mixed compiling. The same kernel
    computes both; `fused=False` would be the slower way. `session` does this for all that is built in it.
    """
    tf = bridge.tensorflow("npu.supported_batch_normalization")
    with tf.compat.forward_compatibility_horizon(2019, 5, 1):
        yield


def _set(tf, config):
    opened = _OPEN[-1]
    opened.config = config
    opened.session = tf.compat.v1.Session(config=config)
    tf.compat.v1.keras.backend.set_session(opened.session)


def _initialized(tf):
    """The variables of the default graph that have a value in the session of Keras."""
    return [variable for variable in tf.compat.v1.global_variables() if getattr(variable, "_keras_initialized", False)]


def _refuse_late(tf):
    if _OPEN:
        raise refusal("`npu.session` must not be inside of another", "an open session", "`npu.clear_session()` for a new model")
    variables = _initialized(tf)
    if variables:
        expected = (
            "`npu.session` must be opened before any weight has a value, as values stay in the session that they began in"
        )
        received = "a Keras graph with %d initialized variables, `%s` first" % (len(variables), variables[0].name)
        raise refusal(expected, received, "it around building the model, or `keras.backend.clear_session()` before")


@contextlib.contextmanager
def _resources(tf, config, rank):
    """Ranks find each other before anything else is done. Adapters of early 2021 do it in the first step."""
    initialize = bridge.find("init_resource") if bridge.is_available() and rank.size > 1 else None
    if initialize is None:
        yield
        return
    with tf.Graph().as_default():  # one of its own, which no `clear_session` takes away before the shutdown
        session, shutdown = initialize(config)
    try:
        yield
    finally:
        bridge.find("shutdown_resource")(session, shutdown)
        bridge.find("close_session")(session)
