"""The orthonormal Fourier transform of (real, imaginary) pairs, and its two engines."""

from mrlayers import backend
from mrlayers.backend import keras, ops
from mrlayers.checks import describe, refusal, require_choice, require_pairs
from mrlayers.matrices import multiply_width

ENGINES = ("auto", "fft", "matmul", "split")
SPATIAL_AXES = (-3, -2)


def fourier_transform(x, axes=SPATIAL_AXES, inverse=False, centered=False, engine="auto"):
    """Orthonormal FFT of pairs `(..., height, width, 2)` over height (-3), width (-2) or both.

    `y[k] = n**-0.5 sum_j x[j] exp(-2 pi i j k / n)` along each axis; the inverse has the opposite sign and is also the
    adjoint. `centered=True` has zero frequency and the image origin at `n // 2` instead of 0 (`fftshift F ifftshift`).
    Engines: see `FFT`.
    """
    engine = _resolve(engine, x, axes)
    if engine == "fft":
        if centered:
            x = shift(x, axes, inverse=True)
        x = backend.fourier(x, axes, inverse)
        return shift(x, axes) if centered else x
    for axis in axes:
        x = _along_width(axis, lambda x: multiply_width(x, inverse, centered, centered, engine), x)
    return x


def sampled_part(x, mask, centered=False, engine="auto"):
    """The part of image `x` that the samples in `mask` can see, `F^H mask F x`: an orthogonal projection where `mask` is 0 or 1.

    An axis in which `mask` is 1 wide is never transformed: the transforms along it cancel exactly. Shifts of the image cancel
    as well, so only the mask knows whether k-space is `centered`. No gradient flows to `mask`.
    """
    mask = ops.stop_gradient(mask)
    sizes = backend.static_shape(mask)
    axes = tuple(axis for axis in SPATIAL_AXES if sizes[axis] != 1)
    if not axes:
        return x * mask
    engine = _resolve(engine, x, axes)
    if engine == "fft":
        return backend.fourier_projection(x, shift(mask, axes, inverse=True) if centered else mask, axes)
    return _projection_by_matmul(x, mask, axes, centered, engine)


def as_float(x):
    """Integers and booleans as the float type of Keras; other tensors as they are."""
    return x if "float" in backend.dtype_name(x) else ops.cast(x, keras.backend.floatx())


def _projection_by_matmul(x, mask, axes, centered, engine):
    """Matrix products act on the last two axes of `(..., height, width, 2)`; height takes the place of width for its turn."""
    if axes == (-3,):
        x, mask = ops.swapaxes(x, -3, -2), ops.swapaxes(mask, -3, -2)
        return ops.swapaxes(_projection_by_matmul(x, mask, (-2,), centered, engine), -3, -2)
    kspace = multiply_width(x, False, False, centered, engine)
    kspace = kspace * mask if axes == (-2,) else _projection_by_matmul(kspace, mask, (-3,), centered, engine)
    return multiply_width(kspace, True, centered, False, engine)


def _along_width(axis, function, x):
    """`function` of the axis -2, applied to `axis`."""
    return function(x) if axis == -2 else ops.swapaxes(function(ops.swapaxes(x, -3, -2)), -3, -2)


def shift(x, axes, inverse=False):
    """`fftshift` over `axes`, or its inverse; they differ at odd sizes."""
    for axis in axes:
        half = ops.shape(x)[axis] // 2
        x = ops.roll(x, -half if inverse else half, axis=axis)
    return x


def _resolve(engine, x, axes):
    if engine != "auto":
        return engine
    sizes = backend.static_shape(x)
    return backend.FASTEST_FOURIER_ENGINE if all(sizes[axis] is not None for axis in axes) else "fft"


class _Fourier(keras.layers.Layer):
    """What `FFT` and `IFFT` share."""

    inverse = False

    def __init__(self, axes=SPATIAL_AXES, centered=False, engine="auto", **kwargs):
        require_choice("engine", engine, ENGINES)
        # Half precision would lose k-space, whose dynamic range is several thousand to one.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.axes = _checked_axes(axes)
        self.centered = bool(centered)
        self.engine = engine

    def call(self, inputs):
        require_pairs("inputs", backend.static_shape(inputs), inputs.dtype)
        return fourier_transform(as_float(inputs), self.axes, self.inverse, self.centered, self.engine)

    def compute_output_shape(self, input_shape):
        require_pairs("inputs", backend.static_shape(input_shape), "float32")
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(axes=self.axes, centered=self.centered, engine=self.engine)
        return config


@keras.saving.register_keras_serializable(package="mrlayers")
class FFT(_Fourier):
    """Orthonormal Fourier transform of images in (real, imaginary) pairs to k-space.

    `y[k] = n**-0.5 * sum_j x[j] * exp(-2 pi i j k / n)` along each transformed axis. The inverse is also the adjoint, so energy
    is kept and gradients have the scale of the images. Works at any size, odd and prime ones too, and on any leading axes.

    Args:
        axes: which axes to transform, counted from the end of the input: -3 is height, -2 is width. Default: both.
        centered: `False` puts zero frequency (and the image origin) at index 0, NumPy's order. `True` puts it in the middle,
            at `size // 2`: the order of scanners and of fastMRI, `fftshift(fft(ifftshift(x)))`.
        engine: `"fft"` is the framework's complex FFT. `"matmul"` multiplies by constant real matrices: no complex dtype in the
            graph, shifts folded into the matrices; sizes must be known when the graph is built. `"split"` is the same in three
            products of halves, for devices that multiply in half precision: round trips keep 120 dB and more, as in float32,
            where `"matmul"` would keep 70 (emulated; values up to 65504). `"auto"` is the faster one where it was measured (64 to 1024 pixels, CPUs): `"matmul"` on TensorFlow 1.15 as long as sizes are known, `"fft"` on
            Keras 3.

    Input shape: `(..., height, width, 2)`, real; computed in float32 whatever the mixed-precision policy.

    Output shape: as the input.

    Raises:
        ValueError: the last axis is not two long, the dtype is complex, an axis or the engine does not exist.

    Example:

    >>> import numpy as np
    >>> from mrlayers import FFT, IFFT
    >>> image = np.random.rand(1, 8, 6, 2).astype("float32")
    >>> kspace = FFT(centered=True)(image)
    >>> again = IFFT(centered=True)(kspace)

    References:
        Cooley and Tukey, An algorithm for the machine calculation of complex Fourier series, Math. Comp. 19 (1965).
    """


@keras.saving.register_keras_serializable(package="mrlayers")
class IFFT(_Fourier):
    """Orthonormal inverse Fourier transform of k-space in (real, imaginary) pairs to images; the adjoint of `FFT`.

    `x[j] = n**-0.5 * sum_k y[k] * exp(2 pi i j k / n)` along each transformed axis.

    Args:
        axes: see `FFT`.
        centered: see `FFT`.
        engine: see `FFT`.

    Input shape: `(..., height, width, 2)`, real.

    Output shape: as the input.

    Raises:
        ValueError: as `FFT`.
    """

    inverse = True


@keras.saving.register_keras_serializable(package="mrlayers")
class TemporalFourier(keras.layers.Layer):
    """Orthonormal Fourier transform of a series over time, pixel by pixel: from x-t to x-f space, or back.

    `y[f] = n**-0.5 * sum_t x[t] * exp(-2 pi i f t / n)` over the `n` frames. In x-f space a beating heart is sparse: what rests is
    in frequency 0, what repeats in a few others. The inverse is also the adjoint.

    Args:
        inverse: `True` goes back, from x-f to x-t space.
        centered: `False` puts frequency 0 at index 0. `True` puts it, and the origin of time, at `frames // 2`, see `FFT`.
        engine: `"auto"`, `"fft"`, `"matmul"` or `"split"`, see `FFT`.

    Call arguments:
        inputs: a series of images or of k-space.

    Input shape: `(batch, time, [coils,] height, width, 2)`, real; computed in float32 whatever the mixed-precision policy.

    Output shape: as the input.

    Raises:
        ValueError: no time axis, a last axis that is not two long, a complex dtype, an unknown engine.

    Example:

    >>> import numpy as np
    >>> from mrlayers import TemporalFourier
    >>> series = np.random.rand(1, 6, 8, 8, 2).astype("float32")
    >>> again = TemporalFourier(inverse=True)(TemporalFourier()(series))

    References:
        Tsao et al., k-t BLAST and k-t SENSE, MRM 50 (2003); Qin et al., k-t NEXT, MICCAI 2019.
    """

    def __init__(self, inverse=False, centered=False, engine="auto", **kwargs):
        require_choice("engine", engine, ENGINES)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.inverse = bool(inverse)
        self.centered = bool(centered)
        self.engine = engine

    def call(self, inputs):
        _require_time(inputs.dtype, backend.static_shape(inputs))
        x = as_float(inputs)
        # Time takes the place of height, and all that is inside a frame that of width.
        shape = ops.shape(x)
        flat = ops.reshape(x, (shape[0], shape[1], -1, 2))
        return ops.reshape(fourier_transform(flat, (-3,), self.inverse, self.centered, self.engine), shape)

    def compute_output_shape(self, input_shape):
        _require_time("float32", backend.static_shape(input_shape))
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update(inverse=self.inverse, centered=self.centered, engine=self.engine)
        return config


def _require_time(dtype, shape):
    require_pairs("inputs", shape, dtype)
    if len(shape) not in (5, 6):
        raise refusal(
            "`inputs` must have the shape (batch, time, height, width, 2)",
            describe(shape),
            "`numpy.expand_dims(inputs, 1)` for a single frame",
        )


def _checked_axes(axes):
    chosen = (axes,) if isinstance(axes, int) else tuple(axes)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(SPATIAL_AXES):
        raise ValueError("`axes` must hold -3 (height), -2 (width) or both. Received: {!r}.".format(axes))
    return tuple(sorted(chosen))
