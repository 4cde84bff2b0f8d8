"""Host pinning beside plain TensorFlow 1.15 on the CPU: what the marks and their own gradients cost where there is no NPU.

`DataConsistency` with its gradient, complex engine, against the same kernels with TensorFlow's own gradients and no marks: the
middle of all turns in one process. Ten seconds on two CPU cores. Only TensorFlow 1.15 has marks.

    python benchmarks/pinning.py
"""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from timing import ready, turns  # noqa: E402

from mrlayers import DataConsistency, backend  # noqa: E402
from mrlayers.backend import RUNTIME  # noqa: E402

SECONDS = 4.0


def main():
    if RUNTIME != "tensorflow1":
        print("Host pinning is for TensorFlow 1.15: there is nothing to compare on {}.".format(RUNTIME))
        return
    print("DataConsistency pinned / plain on TensorFlow 1.15, forward and gradient: times faster (1 is equal)")
    own = backend.fourier_projection
    for size, mask_shape in [((256, 256), (1, 256, 1, 1)), ((256, 256), (1, 256, 256, 1)), ((320, 320), (1, 320, 1, 1))]:
        random = np.random.RandomState(0)
        image, reference, upstream = [random.standard_normal((1,) + size + (2,)).astype("float32") for _ in range(3)]
        mask = (random.uniform(size=mask_shape) < 0.25).astype("float32")
        functions = []
        for projection in (plain, own):
            backend.fourier_projection = projection
            layer = DataConsistency(engine="fft", reference="image")
            arrays = [image, reference, mask, upstream]
            functions.append(ready(lambda x, y, m, _, layer=layer: layer([x, y, m]), arrays, True, upstream=3))
        backend.fourier_projection = own
        theirs, ours = turns(functions, SECONDS).T
        kind = "lines" if mask_shape[2] == 1 else "2-D mask"
        print("{}x{}, {:<10} {:.2f}   ({:.1f} ms)".format(*size, kind, np.median(theirs / ours), 1e3 * ours.min()), flush=True)


def plain(x, mask, axes):
    """As `backend.fourier_projection` without marks: TensorFlow takes the gradient of each node by itself."""
    from mrlayers.backend import tensorflow_kernels

    return tensorflow_kernels.projection(x, mask, axes, widen=any(size & (size - 1) for size in x.shape.as_list()[1:3]))


if __name__ == "__main__":
    main()
