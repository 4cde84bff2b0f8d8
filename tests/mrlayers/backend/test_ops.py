"""`tf1_ops` against `keras.ops`: the same names, arguments and values. Dies with TensorFlow 1.15."""

import ast
import inspect
import pathlib

import numpy as np
import pytest

import mrlayers
from mrlayers.backend import ops
from runtime import RUNTIME, random, to_numpy

SOURCE = pathlib.Path(mrlayers.__file__).parent / "backend" / "tf1_ops.py"
FUNCTIONS = {node.name: node.args for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.FunctionDef)}

x, y, positive = random(3, 4, 5), random(3, 4, 5, seed=1), np.abs(random(3, 4, 5)) + 0.1
CASES = {
    "abs": ([x], {}, np.abs(x)),
    "arange": ([5], {}, np.arange(5, dtype="int32")),
    "cast": ([x, "float64"], {}, x.astype("float64")),
    "clip": ([x, -0.5, 0.5], {}, np.clip(x, -0.5, 0.5)),
    "concatenate": ([[x, y]], {"axis": -1}, np.concatenate([x, y], axis=-1)),
    "convert_to_tensor": ([x], {}, x),
    "custom_gradient": ([lambda x: (2 * x, lambda *upstream: upstream)], {}, 2 * x),
    "equal": ([np.round(x), np.round(y)], {}, np.round(x) == np.round(y)),
    "exp": ([x], {}, np.exp(x)),
    "expand_dims": ([x, -2], {}, x[:, :, None]),
    "log": ([positive], {}, np.log(positive)),
    "max": ([x], {"axis": (1, 2), "keepdims": True}, x.max(axis=(1, 2), keepdims=True)),
    "maximum": ([x, y], {}, np.maximum(x, y)),
    "mean": ([x], {"axis": -1}, x.mean(axis=-1)),
    "ones_like": ([x], {}, np.ones_like(x)),
    "pad": ([x, [(0, 0), (2, 1), (0, 3)]], {}, np.pad(x, [(0, 0), (2, 1), (0, 3)], mode="constant")),
    "relu": ([x], {}, np.maximum(x, 0)),
    "reshape": ([x, (-1, 10)], {}, x.reshape(-1, 10)),
    "roll": ([x, -2], {"axis": -2}, np.roll(x, -2, axis=-2)),
    "round": ([np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 0.7], "float32")], {}, np.array([-2, 0, 0, 2, 2, 1], "float32")),
    "shape": ([x], {}, (3, 4, 5)),
    "sign": ([np.round(x)], {}, np.sign(np.round(x))),
    "softplus": ([x], {}, np.log1p(np.exp(x))),
    "sqrt": ([positive], {}, np.sqrt(positive)),
    "square": ([x], {}, x * x),
    "stack": ([[x, y]], {"axis": 1}, np.stack([x, y], axis=1)),
    "stop_gradient": ([x], {}, x),
    "sum": ([x], {"axis": 0}, x.sum(axis=0)),
    "swapaxes": ([x, -3, -2], {}, np.swapaxes(x, -3, -2)),
    "take": ([x, np.array([2, 0, 2])], {"axis": 1}, x[:, [2, 0, 2]]),
    "unstack": ([x], {"axis": 1}, [x[:, index] for index in range(4)]),
    "where": ([x > 0, x, y[:1]], {}, np.where(x > 0, x, y[:1])),
    "zeros": ([(3, 4)], {}, np.zeros((3, 4), "float32")),
    "zeros_like": ([x], {}, np.zeros_like(x)),
}


def test_every_function_has_a_case():
    assert sorted(FUNCTIONS) == sorted(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_value(name):
    if name == "cast" and RUNTIME == "jax":
        pytest.skip("JAX has no float64 unless told")
    arguments, options, expected = CASES[name]
    converted = [
        [ops.convert_to_tensor(item) for item in argument]
        if isinstance(argument, list)
        else ops.convert_to_tensor(argument)
        if isinstance(argument, np.ndarray)
        else argument
        for argument in arguments
    ]
    result = getattr(ops, name)(*converted, **options)
    if callable(result):
        result = result(ops.convert_to_tensor(x))
    if isinstance(expected, tuple):
        assert tuple(result) == expected
    else:
        if isinstance(expected, list):
            result, expected = ops.stack(result), np.stack(expected)
        result = to_numpy(result)
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_arguments(name):
    if RUNTIME == "tensorflow1":
        pytest.skip("keras.ops is not here to compare with")
    mine = [argument.arg for argument in FUNCTIONS[name].args]
    theirs = list(inspect.signature(getattr(ops, name)).parameters)
    assert theirs[: len(mine)] == mine
