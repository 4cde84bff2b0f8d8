"""The only room that knows which Keras runs.

Everything else says `from mrlayers.backend import keras, ops` and is written for Keras 3. On Python 3.7 the same names are
served by TensorFlow 1.15.0. What a generation must provide:

- `keras`, `ops`: the Keras namespace and the part of `keras.ops` that we use;
- `RUNTIME`: `"tensorflow1"`, `"tensorflow"`, `"jax"` or `"torch"`, for reports and for the table of measured choices;
- `FASTEST_FOURIER_ENGINE`: what `engine="auto"` means here (measured: `benchmarks/data_consistency.py`);
- `fourier(x, axes, inverse)`, `fourier_projection(x, mask, axes)`: complex FFT kernels on (real, imaginary) pairs;
- `matrix_product(rows, matrix)`: a tensor times a NumPy array, in the precision of the tensor also on devices that would halve it;
- `split_pairs(x)`: `(..., 2 * number)` as a list of tensors `(..., 2)`;
- `mask_of_pairs(mask)`: a mask `(..., 1)` of pairs, or both numbers of each pair where that is faster;
- `in_slabs(*steps)`: the steps one after another, where that is faster each compiled, and some rows at a time. The first takes
  tensors `(..., height, width, channels)`, whose rows do not depend on each other, and options; the next what it returns, and
  the options; a list of tensors `(..., 2)` that the last returns is given as one, `(..., 2 * number)`;
- `without_copies(layer)`: a convolution layer, which from now on takes no copies of its input where Keras would;
- `sample(volume, where, first)`: linear interpolation, with fast gradients to both (see `tensorflow_warping.py`);
- `constant(array)`: a NumPy array as a tensor, one per graph however often it is asked for;
- `dtype_name(x)`: such as `"float32"`;
- `static_shape(x)`: the shape of a tensor, or a shape, as a tuple of `int` or `None`;
- `in_train_phase(training, if_training, otherwise)`: the one or the other, also where `training` is only known when the graph runs;
- `set_seed(seed)`: seeds Python, NumPy and the framework;
- `training_state(model)`, `set_training_state(model, arrays)`: what a compiled model needs besides its weights to go on training;
- `adam(...)`: the optimizer behind `zoo.optimizers.adam`, its arguments checked;
- `set_precision(name)`: `"float32"`, `"mixed_float16"` (weights float32, layers compute in float16) or `"mixed_bfloat16"` (not on
  TensorFlow 1.15) for the layers that are made from then on;
- `COMPILE_OPTIONS`: what `model.compile` should be told so that training is fast here, and the optimizer alone scales the loss;
- `SAVED_MODEL_SUFFIX`: the file ending of a whole saved model.
"""

import sys

if sys.version_info < (3, 8):  # dies with TensorFlow 1.15: delete this branch, tf1.py and tf1_ops.py
    from mrlayers.backend import tf1 as _generation
elif sys.version_info >= (3, 10):
    from mrlayers.backend import keras3 as _generation
else:
    raise ImportError(
        "mrlayers runs on Python 3.7 (TensorFlow 1.15.0) and on Python 3.10 or later (Keras 3). "
        "Running: Python {}.{}. Install Python 3.10 or later, then `pip install mrlayers[tensorflow]`.".format(
            *sys.version_info[:2]
        )
    )

keras = _generation.keras
ops = _generation.ops
RUNTIME = _generation.RUNTIME
COMPILE_OPTIONS = _generation.COMPILE_OPTIONS
FASTEST_FOURIER_ENGINE = _generation.FASTEST_FOURIER_ENGINE
SAVED_MODEL_SUFFIX = _generation.SAVED_MODEL_SUFFIX
adam = _generation.adam
fourier = _generation.fourier
fourier_projection = _generation.fourier_projection
in_slabs = _generation.in_slabs
mask_of_pairs = _generation.mask_of_pairs
sample = _generation.sample
matrix_product = _generation.matrix_product
in_train_phase = _generation.in_train_phase
set_precision = _generation.set_precision
set_seed = _generation.set_seed
set_training_state = _generation.set_training_state
constant = _generation.constant
dtype_name = _generation.dtype_name
split_pairs = _generation.split_pairs
static_shape = _generation.static_shape
training_state = _generation.training_state
without_copies = _generation.without_copies

__all__ = [
    "COMPILE_OPTIONS",
    "FASTEST_FOURIER_ENGINE",
    "RUNTIME",
    "SAVED_MODEL_SUFFIX",
    "adam",
    "constant",
    "dtype_name",
    "fourier",
    "fourier_projection",
    "in_slabs",
    "in_train_phase",
    "keras",
    "mask_of_pairs",
    "matrix_product",
    "ops",
    "sample",
    "set_precision",
    "set_seed",
    "set_training_state",
    "split_pairs",
    "static_shape",
    "training_state",
    "without_copies",
]
