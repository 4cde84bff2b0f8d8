"""The recurrences of CRNN-MRI in NumPy, float64, loop by loop: the oracle of the layers and of the network."""

import itertools

import numpy as np


def convolve(x, weights):
    """Cross-correlation of frames `(..., height, width, in)` with `(rows, columns, in, out)`, zeros outside, plus the bias."""
    kernel, bias = weights
    rows, columns = kernel.shape[:2]
    around = [(0, 0)] * (x.ndim - 3) + [(rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)]
    padded = np.pad(x, around, mode="constant")
    result = np.zeros(x.shape[:-1] + (kernel.shape[-1],)) + bias
    for row, column in itertools.product(range(rows), range(columns)):
        result += padded[..., row : row + x.shape[-3], column : column + x.shape[-2], :] @ kernel[row, column]
    return result


def recurrent(x, hidden, weights):
    """CRNN-i in float64: `weights` by the authors' names, `(kernel, bias)` each."""
    return np.maximum(convolve(x, weights["conv1_x"]) + convolve(hidden, weights["conv1_h"]), 0)


def bidirectional(x, hidden, weights, activation=lambda x: np.maximum(x, 0)):
    """BCRNN in float64, in the authors' order: one direction after the other, every convolution for every frame."""
    total = 0
    for order in (range(x.shape[1]), reversed(range(x.shape[1]))):
        state, states = np.zeros_like(hidden[:, 0]), {}
        for frame in order:
            parts = [(x[:, frame], "i2h"), (state, "h2h"), (hidden[:, frame], "ih2ih")]
            state = activation(sum(convolve(part, weights[name]) for part, name in parts))
            states[frame] = state
        total = total + np.stack([states[frame] for frame in sorted(states)], axis=1)
    return total
