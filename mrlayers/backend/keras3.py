"""Keras 3 on TensorFlow, JAX or PyTorch."""

import importlib.util
import os

_INSTALL = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def _import_keras():
    """Keras, or one sentence that says what to install."""
    installed = [name for name in _INSTALL if importlib.util.find_spec(name)]
    if importlib.util.find_spec("keras") is None:
        raise ImportError(
            "mrlayers needs Keras 3.8 or later and one backend. Received: no Keras. Try `pip install mrlayers[tensorflow]`."
        )
    if not installed:
        raise ImportError(
            "mrlayers needs a Keras backend: TensorFlow, JAX or PyTorch. Received: none of them. "
            "Try `pip install mrlayers[tensorflow]` (or `[jax]`, `[torch]`)."
        )
    try:
        import keras
    except (ImportError, ValueError) as error:
        wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ImportError(
            "mrlayers could not import Keras with its backend {!r} ({}). Installed backends: {}. "
            "Try `export KERAS_BACKEND={}`, or `pip install mrlayers[{}]`.".format(
                wanted, error, ", ".join(installed), installed[0], _INSTALL.get(wanted, "tensorflow")
            )
        ) from error
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 8):
        raise ImportError(
            "mrlayers needs Keras 3.8 or later on this Python. Received: Keras {}. Try `pip install --upgrade keras`.".format(
                keras.__version__
            )
        )
    if keras.backend.backend() not in _INSTALL:
        raise ImportError(
            "mrlayers runs on the Keras backends tensorflow, jax and torch. Received: KERAS_BACKEND={}. "
            "Try `export KERAS_BACKEND={}`.".format(keras.backend.backend(), installed[0])
        )
    return keras


keras = _import_keras()
ops = keras.ops

RUNTIME = keras.backend.backend()
FASTEST_FOURIER_ENGINE = "fft"
SAVED_MODEL_SUFFIX = ".keras"
COMPILE_OPTIONS = {}

if RUNTIME == "jax":
    from mrlayers.backend.jax_kernels import fourier, fourier_projection
    from mrlayers.backend.jax_warping import sample
elif RUNTIME == "torch":
    from mrlayers.backend.torch_kernels import fourier, fourier_projection
    from mrlayers.backend.torch_warping import sample
else:
    import tensorflow as tf

    from mrlayers.backend import tensorflow_kernels, tensorflow_warping

    if not tf.config.list_physical_devices("GPU"):
        # Keras would compile the whole step with XLA, whose convolutions are 1.4 to 9 times slower than oneDNN's on CPUs.
        COMPILE_OPTIONS = {"jit_compile": False}

    # A compiled region of its own: XLA fuses the packing around the transforms (2 to 3 times faster on CPUs), while the
    # convolutions around it stay with oneDNN, which is faster than XLA there.
    _COMPILED_PROJECTION = {
        axes: tensorflow_kernels.self_adjoint(
            tf.function(
                lambda x, mask, axes=axes: tensorflow_kernels.projection(x, mask, axes), jit_compile=True, autograph=False
            )
        )
        for axes in [(-3,), (-2,), (-3, -2)]
    }

    def fourier(x, axes, inverse):
        """See `tensorflow_kernels.transform`."""
        return tensorflow_kernels.transform(x, axes, inverse)

    def fourier_projection(x, mask, axes):
        """See `tensorflow_kernels.projection`."""
        return _COMPILED_PROJECTION[axes](x, mask)

    _sample, _gradient_volume, _gradient_where = [
        tf.function(function, jit_compile=True, autograph=False)
        for function in (
            tensorflow_warping.sample,
            tensorflow_warping.gradient_volume,
            tensorflow_warping.gradient_where,
        )
    ]

    def sample(volume, where, first):
        """See `tensorflow_warping.sample`. Three regions, so that a gradient nobody asks for is not computed."""

        @tf.custom_gradient
        def differentiable(volume, where):
            def pull_back(upstream):
                return _gradient_volume(volume, where, first, upstream), _gradient_where(volume, where, first, upstream)

            return _sample(volume, where, first), pull_back

        return differentiable(volume, where)


def constant(array):
    """A NumPy array as a tensor of the same type."""
    return ops.convert_to_tensor(array, dtype=str(array.dtype))


def dtype_name(x):
    """Such as `"float32"`."""
    return keras.backend.standardize_dtype(x.dtype)


def static_shape(x):
    """The shape of a tensor, or a shape, as a tuple of `int`, `None` where it is only known when the model runs."""
    return tuple(getattr(x, "shape", x))


def in_train_phase(training, if_training, otherwise):
    """`if_training()` when `training` is true, else `otherwise()`: Keras 3 always passes a Python boolean or `None`."""
    return if_training() if training else otherwise()


def set_seed(seed):
    """Seeds Python, NumPy and the framework."""
    keras.utils.set_random_seed(seed)


def training_state(model):
    """Arrays of the optimizer (step, learning rate, moments) and of the random generators inside layers."""
    return [keras.ops.convert_to_numpy(variable) for variable in _state_variables(model)]


def set_training_state(model, arrays):
    """Puts the arrays of `training_state` back."""
    model.optimizer.build(model.trainable_variables)
    variables = _state_variables(model)
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise ValueError(
            "`arrays` must come from the same model and optimizer. Received: {} arrays for {} variables.".format(
                len(arrays), len(variables)
            )
        )
    for variable, array in zip(variables, arrays):
        variable.assign(array)


def _state_variables(model):
    weights = {id(weight) for weight in model.weights}
    metrics = {id(variable) for variable in model.metrics_variables}
    generators = [variable for variable in model.variables if id(variable) not in weights | metrics]
    return list(model.optimizer.variables) + generators
