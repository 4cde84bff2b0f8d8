"""The raw files that an NPU's tools read and write: little-endian float32 in C order, no header, one file for each call. No Keras here."""

import os

import numpy as np

from mrlayers.checks import refusal
from zoo.files import natural, written_whole

STORED = np.dtype("<f4")
ENDING = ".bin"


def to_bin(arrays, folder, cases=None):
    """Writes `folder/name/case.bin` for every case of every array: one folder for each input, the same file names in each.

    `msame` and `ais_bench` take such folders as `--input`, in the order of the inputs.

    Args:
        arrays: dict from the name of an input, or of a truth such as `label`, to real `(n, ...)`, the same `n` for all.
        folder: made if missing.
        cases: `n` names. `None`: `0`, `1` and so on.

    Returns:
        list of the names of the cases.

    Raises:
        ValueError: complex arrays, other numbers of cases, or integers that float32 cannot hold.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    numbers = sorted({len(array) if array.ndim else 0 for array in arrays.values()})
    if len(numbers) != 1 or numbers[0] == 0:
        raise refusal(
            "`arrays` must hold equally many cases, one or more", "%s of them" % numbers, "array[numpy.newaxis] for one"
        )
    cases = [str(index) for index in range(numbers[0])] if cases is None else list(cases)
    if len(set(cases)) != numbers[0] or any(os.path.basename(case) != case or not case for case in cases):
        raise refusal("`cases` must be %d names of files, each once" % numbers[0], repr(cases), "`cases=None` for 0, 1 ...")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise refusal(
                "`%s` must be real numbers" % name, str(array.dtype), "`mrlayers.complexes.to_pairs` for complex ones"
            )
        if array.dtype.kind in "iu" and not np.array_equal(array.astype(STORED).astype(array.dtype), array):
            raise refusal(
                "`%s` must be whole numbers that float32 holds" % name, "one beyond 2**24", "numbers of labels below that"
            )
    for name, array in arrays.items():
        for case, values in zip(cases, array):
            with written_whole(os.path.join(folder, name, case + ENDING)) as temporary:
                values.astype(STORED).tofile(temporary)
    return cases


def from_bin(folder, shape, cases=None, endings=(ENDING,)):
    """Reads the files of one folder.

    Args:
        folder: of `to_bin`, `folder/name`, or where a device wrote its results.
        shape: of what one file holds.
        cases: names of the files without their ending. `None`: all, numbers in their order.
        endings: what may follow the name of a case, such as `_output_0.bin`.

    Returns:
        float32 `(n,) + shape`.

    Raises:
        ValueError: a file is missing or has another size; its name and the bytes that were expected are said.
    """
    cases = cases_in(folder, endings) if cases is None else cases
    return np.stack([_read(folder, case, tuple(shape), endings) for case in cases])


def cases_in(folder, endings=(ENDING,)):
    """Names of the cases in a folder, in natural order: of the files with the first of the endings that any has."""
    if not os.path.isdir(folder):
        raise refusal("`folder` must be a folder of .bin files", folder + ", which is none", "what `to_bin` wrote")
    for ending in endings:
        found = [name[: -len(ending)] for name in os.listdir(folder) if name.endswith(ending)]
        if found:
            return sorted(found, key=natural)
    raise refusal("`folder` must hold files that end in %s" % " or ".join(endings), folder, "what `to_bin` wrote")


def _read(folder, case, shape, endings):
    paths = [os.path.join(folder, case + ending) for ending in endings]
    path = next((path for path in paths if os.path.isfile(path)), None)
    expected = int(np.prod(shape)) * STORED.itemsize
    if path is None:
        raise refusal("`%s` must be a file of %d bytes, float32 %s" % (paths[0], expected, shape), "no such file", "all cases")
    if os.path.getsize(path) != expected:
        received = "%d bytes" % os.path.getsize(path)
        raise refusal("`%s` must have %d bytes, float32 %s" % (path, expected, shape), received, "the graph that it is for")
    return np.fromfile(path, STORED).reshape(shape).astype("float32")


def require_folders(folder, names):
    """Refuses a folder of cases that lacks the folder of an input."""
    missing = [name for name in names if not os.path.isdir(os.path.join(folder, name))]
    if missing:
        held = sorted(os.listdir(folder)) if os.path.isdir(folder) else "no such folder"
        expected = "`folder` must hold a folder for each input of the graph, %s" % ", ".join(names)
        raise refusal(expected, "%s with %s" % (folder, held), "the frozen graph that these files were made for")
