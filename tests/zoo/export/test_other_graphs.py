"""What is said of graphs that others froze: wherever TensorFlow is installed, whatever Keras runs on."""

import numpy as np
import pytest

from zoo import export

tf = pytest.importorskip("tensorflow").compat.v1


def written(path, make):
    """A graph of `x`, any number of four numbers, and what `make` makes of it."""
    with tf.Graph().as_default() as graph:
        tf.identity(make(tf.placeholder(tf.float32, (None, 4), "x")), "y")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


def test_description_names_complex_and_unlisted_operators(tmp_path):
    path = written(tmp_path / "fft.pb", lambda x: tf.math.real(tf.signal.fft(tf.complex(x, x, name="pair"))))
    description = export.inspect(path)
    assert description.unlisted == ["Complex", "FFT", "Real"]
    assert description.complex_nodes == ["pair", "FFT", "Real"]
    assert "float32 ?x4" in export.describe(description)
    with pytest.raises(ValueError, match=r"must have real inputs of known size. Received: x with float32 \(None, 4\)"):
        export.atc_command(path, "Ascend310")


@pytest.mark.parametrize("soc_version", [None, "310", "Ascend", "Ascend310; rm"])
def test_unknown_chips_are_refused(soc_version):
    with pytest.raises(ValueError, match="`soc_version` must be the name of an Ascend chip. Received: .* Try Ascend310"):
        export.atc_command("graph.pb", soc_version)


def test_unknown_precision_modes_are_refused():
    with pytest.raises(ValueError, match="`precision_mode` must be one of 'allow_fp32_to_fp16'.* Received: 'fp16'"):
        export.atc_command("graph.pb", "Ascend310", precision_mode="fp16")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.pb").write_text("no graph")
    with pytest.raises(ValueError, match="must be a complete, readable file"):
        export.inspect(str(tmp_path / "text.pb"))
    (tmp_path / "empty.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="whose inputs are placeholders. Received: .*0 nodes and no placeholder"):
        export.inspect(str(tmp_path / "empty.pb"))
    with pytest.raises(OSError, match="must exist"):
        export.inspect(str(tmp_path / "absent.pb"))


def test_unknown_shapes_are_told(tmp_path):
    path = written(tmp_path / "any.pb", lambda x: tf.placeholder(tf.float32, None, "whatever"))
    assert ("whatever", (None,), "float32") in export.inspect(path).inputs


def test_graphs_of_unknown_size_are_not_scored(tmp_path):
    path = written(tmp_path / "threshold.pb", lambda x: tf.stack([tf.zeros_like(x), x], axis=-1))
    export.to_bin({"x": np.array([[[-1, 1, 1, -1]]]), "label": np.array([[[0, 1, 0, 0]]])}, str(tmp_path / "bins"))
    with pytest.raises(ValueError, match="must have inputs and outputs of known size. Received: x with .None, 4."):
        export.compare(path, str(tmp_path / "bins"))
