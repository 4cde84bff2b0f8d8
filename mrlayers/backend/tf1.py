"""TensorFlow 1.15.0 with the names of Keras 3. Dies with TensorFlow 1.15."""

import random
import types

import numpy as np

from mrlayers.backend import slabs


def _import_tensorflow():
    """TensorFlow 1.15, or one sentence that says what to install."""
    fix = 'Try `pip install "tensorflow==1.15.0" "protobuf<3.21" "numpy<1.20" "h5py<3"`.'
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError("mrlayers needs TensorFlow 1.15.0 on Python 3.7 ({}). {}".format(error, fix))
    except TypeError as error:
        raise ImportError("TensorFlow 1.15.0 needs protobuf below 3.21 ({}). {}".format(str(error).splitlines()[0], fix))
    if not tensorflow.__version__.startswith("1.15."):
        raise ImportError(
            "mrlayers needs TensorFlow 1.15.0 on Python 3.7. Received: TensorFlow {}. {}".format(tensorflow.__version__, fix)
        )
    if tuple(int(part) for part in np.__version__.split(".")[:2]) >= (1, 20):
        raise ImportError("TensorFlow 1.15.0 needs NumPy below 1.20. Received: NumPy {}. {}".format(np.__version__, fix))
    return tensorflow


tf = _import_tensorflow()

from tensorflow.python.autograph.core import config as autograph  # noqa: E402  (TensorFlow is checked first)
from tensorflow.python.keras.engine import base_layer_utils  # noqa: E402

from mrlayers.backend import tensorflow_kernels, tensorflow_warping, tf1_layers, tf1_marks, tf1_optimizers, tf1_ops as ops  # noqa: E402

RUNTIME = "tensorflow1"
FASTEST_FOURIER_ENGINE = "matmul"
SAVED_MODEL_SUFFIX = ".h5"
COMPILE_OPTIONS = {}

# No layer here has control flow for AutoGraph to rewrite, and rewriting takes a second and 60 MB before a network is built.
autograph.CONVERSION_RULES = tuple(autograph.DoNotConvert(name) for name in ("mrlayers", "zoo")) + autograph.CONVERSION_RULES


def _register_keras_serializable(package="Custom", name=None):
    def register(target):
        tf.keras.utils.get_custom_objects()[name or target.__name__] = target
        return target

    return register


class _Keras(types.ModuleType):
    """`tf.keras`, and the few places where Keras 3 moved a name."""

    layers = tf1_layers
    ops = ops
    saving = types.SimpleNamespace(
        register_keras_serializable=_register_keras_serializable, load_model=tf.keras.models.load_model
    )
    Layer = tf.keras.layers.Layer
    Loss = tf.keras.losses.Loss

    def __getattr__(self, name):
        return getattr(tf.keras, name)


keras = _Keras("keras")
_register_keras_serializable()(tf1_optimizers.ExtendedAdam)


def adam(learning_rate, weight_decay, decay, accumulate, loss_scale, beta_1, beta_2, epsilon):
    """See `zoo.optimizers.adam`."""
    return tf1_optimizers.ExtendedAdam(
        learning_rate,
        weight_decay,
        decay == "decoupled",
        accumulate,
        loss_scale,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )


def set_precision(name):
    """The dtypes of the layers that are made from now on. Few kernels of TensorFlow 1.15 know bfloat16."""
    if name not in ("float32", "mixed_float16"):
        raise ValueError(
            "`name` must be 'float32' or 'mixed_float16' with TensorFlow 1.15. Received: {!r}. Try 'mixed_float16', or "
            "Keras 3.".format(name)
        )
    mixed_precision = tf.keras.mixed_precision.experimental
    if name == "float32":
        mixed_precision.set_policy(None)
        base_layer_utils.disable_v2_dtype_behavior()
    else:
        base_layer_utils.enable_v2_dtype_behavior()  # without which TensorFlow 1.15 takes no such policy
        mixed_precision.set_policy(mixed_precision.Policy(name, loss_scale=None))


def fourier(x, axes, inverse):
    """See `tensorflow_kernels.transform`. Its gradient is the opposite transform, so that every complex node stays on the host."""

    @tf.custom_gradient
    def transform(x):
        with tf1_marks.on_host(x) as (x,):
            y = tensorflow_kernels.transform(x, axes, inverse, _inexact(x, axes))
        return y, lambda upstream: fourier(upstream, axes, not inverse)

    return transform(x)


def fourier_projection(x, mask, axes):
    """See `tensorflow_kernels.projection`. One group of nodes on the host, and one for its gradient."""

    def project(x, mask):
        with tf1_marks.on_host(x, mask) as (x, mask):
            return tensorflow_kernels.projection(x, mask, axes, _inexact(x, axes))

    return tensorflow_kernels.self_adjoint(project)(x, mask)


def matrix_product(rows, matrix, transposed=False):
    """The product with a constant, protected from half precision in either direction."""
    factor = constant(matrix)

    @tf.custom_gradient
    def product(rows):
        with tf1_marks.keep_precision():
            y = tf.matmul(rows, factor, transpose_b=transposed)
        return y, lambda upstream: matrix_product(upstream, matrix, not transposed)

    return product(rows)


def _inexact(x, axes):
    """True unless every transformed length is known and a power of two."""
    lengths = [static_shape(x)[axis] for axis in axes]
    return any(length is None or length & (length - 1) for length in lengths)


def without_copies(layer):
    return layer


def mask_of_pairs(mask):
    """With two numbers where it differs from column to column: to broadcast one takes ten times as long as the product."""
    return mask if static_shape(mask)[-2] == 1 else tf.concat([mask, mask], axis=-1)


split_pairs = slabs.split_pairs


def in_slabs(*steps):
    """All rows at once: slabs would have to be put together again, which costs what they save."""
    return slabs.in_turn(*slabs.joined(steps, lambda tensors: tf.concat(tensors, axis=-1)))


@tf.autograph.experimental.do_not_convert  # which gets nested comprehensions wrong
def sample(volume, where, first):
    """See `tensorflow_warping.sample`. The gradients share what the forward pass has gathered."""

    @tf.custom_gradient
    def differentiable(volume, where):
        cells = tensorflow_warping.Cells(volume, where, first)
        return cells.values(), lambda upstream: (cells.gradient_volume(upstream), cells.gradient_where(upstream))

    return differentiable(volume, where)


def constant(array):
    """A NumPy array as a tensor, one per graph: ten layers with the same matrix share it, in memory and in a frozen file."""
    with tf.init_scope():  # outside of any `while_loop` or `cond` that is being built, so that all may use it
        known = tf.compat.v1.get_default_graph().__dict__.setdefault("_mrlayers_constants", {})
        if id(array) not in known:
            known[id(array)] = (tf.constant(array), array)  # the array is kept, or its id could come again
        return known[id(array)][0]


def dtype_name(x):
    """Such as `"float32"`."""
    return x.dtype.base_dtype.name


def static_shape(x):
    """The shape of a tensor, or a shape, as a tuple of `int`, `None` where it is only known when the graph runs."""
    return tuple(tf.TensorShape(getattr(x, "shape", x)).as_list())


def in_train_phase(training, if_training, otherwise):
    """`training` reaches `call` as `None` in `fit`: Keras then asks the learning phase when the graph runs."""
    return tf.keras.backend.in_train_phase(if_training, otherwise, training=training)


def set_seed(seed):
    """Seeds Python, NumPy and the default graph."""
    random.seed(seed)
    np.random.seed(seed)
    tf.compat.v1.set_random_seed(seed)


def training_state(model):
    """Arrays of the optimizer: step, moments, learning rate. The random generators of TensorFlow 1.15 cannot be read."""
    return model.optimizer.get_weights() + [np.asarray(tf.keras.backend.get_value(rate)) for rate in _learning_rate(model)]


def set_training_state(model, arrays):
    """Puts the arrays of `training_state` back."""
    model._make_train_function()  # the optimizer has no variables before
    expected = [array.shape for array in training_state(model)]
    if expected != [array.shape for array in arrays]:
        raise ValueError(
            "`arrays` must come from the same model and optimizer. Received: {} arrays for {} variables.".format(
                len(arrays), len(expected)
            )
        )
    rates = _learning_rate(model)
    model.optimizer.set_weights(arrays[: len(arrays) - len(rates)])
    for rate in rates:
        tf.keras.backend.set_value(rate, arrays[-1])


def _learning_rate(model):
    """The variable in a list; an empty one for a schedule, which follows the optimizer's step."""
    rate = model.optimizer.lr
    return [] if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule) else [rate]
