import os

import numpy as np
import pytest

from runtime import random
from zoo.export import from_bin, to_bin
from zoo.export.binary import require_folders


def test_round_trip_is_exact_and_the_layout_is_raw(tmp_path):
    folder = str(tmp_path / "bins")
    arrays = {"feature": random(12, 4, 3, 2), "mask": (random(12, 4, 3, 1) > 0), "label": np.arange(48).reshape(12, 4)}
    assert to_bin(arrays, folder) == [str(index) for index in range(12)]
    for name, array in arrays.items():
        assert sorted(os.listdir(os.path.join(folder, name))) == sorted("%d.bin" % index for index in range(12))
        assert np.array_equal(from_bin(os.path.join(folder, name), array.shape[1:]), array.astype("float32"))
    with open(os.path.join(folder, "feature", "10.bin"), "rb") as file:
        assert file.read() == arrays["feature"][10].astype("<f4").tobytes()


def test_cases_have_names_and_results_other_endings(tmp_path):
    values = random(2, 5)
    to_bin({"x": values}, str(tmp_path), cases=["brain", "knee"])
    os.rename(str(tmp_path / "x" / "knee.bin"), str(tmp_path / "x" / "knee_output_1.bin"))
    for endings in (("_output_1.bin", "_1.bin"), ("_raw.bin", "_output_1.bin")):
        assert np.array_equal(from_bin(str(tmp_path / "x"), (5,), endings=endings), values[1:])


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.zeros((2, 3)), "y": np.zeros((3, 3))}, "equally many cases, one or more. Received: .2, 3. of them"),
        ({"x": np.zeros((0, 3))}, "one or more. Received: .0. of them"),
        ({"x": np.zeros((2, 3), "complex64")}, "`x` must be real numbers. Received: complex64. Try .*to_pairs"),
        ({"x": np.full((2, 3), 2**24 + 1)}, "`x` must be whole numbers that float32 holds"),
    ],
)
def test_arrays_that_cannot_be_written_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        to_bin(arrays, str(tmp_path / "bins"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cases", [["a"], ["a", "a"], ["a", "b/c"]])
def test_names_of_cases_are_refused(tmp_path, cases):
    with pytest.raises(ValueError, match="`cases` must be 2 names of files, each once"):
        to_bin({"x": np.zeros((2, 3))}, str(tmp_path), cases)


def test_missing_and_wrongly_sized_files_are_refused_by_name(tmp_path):
    folder = str(tmp_path / "x")
    to_bin({"x": np.zeros((2, 3))}, str(tmp_path))
    with pytest.raises(ValueError, match=r"7.bin` must be a file of 12 bytes, float32 \(3,\). Received: no such file"):
        from_bin(folder, (3,), ["0", "7"])
    with pytest.raises(ValueError, match=r"0.bin` must have 16 bytes, float32 \(4,\). Received: 12 bytes"):
        from_bin(folder, (4,))
    with pytest.raises(ValueError, match="must be a folder of .bin files. Received: .*nowhere"):
        from_bin(str(tmp_path / "nowhere"), (3,))
    with pytest.raises(ValueError, match="must hold files that end in .raw"):
        from_bin(folder, (3,), endings=(".raw",))
    with pytest.raises(ValueError, match="a folder for each input of the graph, x, mask. Received: .*'x'"):
        require_folders(str(tmp_path), ["x", "mask"])
