"""What is said of frozen graphs, and scores of them: on TensorFlow 1.15, which writes them."""

import numpy as np
import pytest

from exported import arrays_for, network, outputs_of
from mrlayers import metrics
from mrlayers.backend import RUNTIME
from zoo import export

pytestmark = pytest.mark.skipif(RUNTIME != "tensorflow1", reason="only TensorFlow 1.15 freezes graphs")


@pytest.fixture
def cascade(tmp_path):
    """A frozen cascade, its model, two cases for it and the folder of their files."""
    model = network("deep_cascade")
    export.freeze(model, str(tmp_path / "cascade.pb"))
    arrays = arrays_for(model, batch=2)
    truth = arrays[0] + 0.1
    export.to_bin({"feature": arrays[0], "mask": arrays[2], "label": truth}, str(tmp_path / "bins"))
    return str(tmp_path / "cascade.pb"), str(tmp_path / "bins"), truth, outputs_of(model, arrays)[0]


def device(results, folder, pattern="%s_output_0.bin"):
    """What a device writes."""
    folder.mkdir()
    for index, result in enumerate(results):
        result.astype("<f4").tofile(str(folder / (pattern % index)))
    return str(folder)


def test_description(cascade):
    description = export.inspect(cascade[0])
    assert description.inputs == [("feature", (1, 9, 8, 2), "float32"), ("mask", (1, 9, 8, 1), "float32")]
    assert description.outputs == [("predTst", (1, 9, 8, 2), "float32")]
    assert description.operators["Conv2D"] == 4
    text = export.describe(description)
    assert "float32 1x9x8x2" in text and "complex: none" in text and text.endswith("operators: none")


def test_command(cascade):
    path = cascade[0]
    assert export.atc_command(path, "Ascend310P3", output="cascade om", keep_dtype="kept.cfg") == (
        "atc --model={} --framework=3 --input_shape='feature:1,9,8,2;mask:1,9,8,1' --input_format=NHWC --out_nodes=predTst:0 "
        "--output='cascade om' --soc_version=Ascend310P3 --precision_mode=allow_fp32_to_fp16 --keep_dtype=kept.cfg".format(path)
    )
    command = export.atc_command(path, "Ascend910A", precision_mode="must_keep_origin_dtype")
    assert "--precision_mode=must_keep_origin_dtype" in command and "--output={} ".format(path[: -len(".pb")]) in command


def test_command_of_volumes_has_all_outputs_and_no_format(tmp_path):
    export.freeze(network("voxelmorph"), str(tmp_path / "vm.pb"))
    command = export.atc_command(str(tmp_path / "vm.pb"), "Ascend310")
    assert "--input_shape='input_src:1,10,8,9,1;input_tgt:1,10,8,9,1' --out_nodes='moved:0;flow:0'" in command


def test_scores_of_a_reconstruction(cascade, tmp_path):
    path, folder, truth, expected = cascade
    results = device(expected + 0.01, tmp_path / "results")
    cases = export.compare(path, folder, results)
    assert [case.name for case in cases] == ["0", "1"]
    for case, wanted, true in zip(cases, expected, truth):
        np.testing.assert_allclose(case.here["PSNR"], metrics.psnr(true, wanted, "magnitude-range"), rtol=1e-4)
        np.testing.assert_allclose(case.device["NMSE"], metrics.nmse(true, wanted + np.float32(0.01), "magnitude"), rtol=1e-4)
        np.testing.assert_allclose(case.difference, 0.01 / np.abs(wanted).max(), rtol=1e-3)
    text = export.report(cases)
    assert "frozen graph" in text and "device" in text and text.count("mean") >= 2
    export.write_csv(str(tmp_path / "report.csv"), cases)
    lines = (tmp_path / "report.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[1].startswith("0,PSNR,{:.8g},".format(cases[0].here["PSNR"][0]))
    alone = export.compare(path, folder)
    assert alone[0].device is None and alone[0].here == cases[0].here and "device" not in export.report(alone)


def test_scores_of_a_segmentation(tmp_path):
    model = network("unet")
    image = arrays_for(model, batch=2)
    logits = outputs_of(model, image)[0]
    export.freeze(model, str(tmp_path / "unet.pb"))
    labels = (np.arange(180).reshape(2, 10, 9) % 2).astype("int64")
    export.to_bin({"image": image[0], "label": labels}, str(tmp_path / "bins"))
    flat = device(-logits, tmp_path / "results", "%d_0.bin")
    cases = export.compare(str(tmp_path / "unet.pb"), str(tmp_path / "bins"), flat)
    for case, output, label in zip(cases, logits, labels):
        np.testing.assert_allclose(case.here["Dice"], metrics.dice(output.argmax(-1), label, [1]))
        np.testing.assert_allclose(case.device["Dice"], metrics.dice(output.argmin(-1), label, [1]))
    assert len(export.compare(str(tmp_path / "unet.pb"), str(tmp_path / "bins"), labels=[0, 1])[0].here["Dice"]) == 2


def test_scores_of_a_registration(tmp_path):
    from mrlayers import SpatialTransformer
    from runtime import evaluate

    model = network("voxelmorph")
    images = arrays_for(model)
    flow = outputs_of(model, images)[1]
    export.freeze(model, str(tmp_path / "vm.pb"))
    moving, fixed = [np.random.RandomState(seed).randint(0, 3, (1, 10, 8, 9)) for seed in (0, 1)]
    arrays = {"input_src": images[0], "input_tgt": images[1], "label_src": moving, "label_tgt": fixed}
    export.to_bin(arrays, str(tmp_path / "bins"))
    results = device(flow, tmp_path / "results", "%s_output_1.bin")
    (case,) = export.compare(str(tmp_path / "vm.pb"), str(tmp_path / "bins"), results)
    warped = evaluate(SpatialTransformer("nearest"), moving[..., None].astype("float32"), flow)[..., 0]
    np.testing.assert_allclose(case.here["Dice"], metrics.dice(warped[0].astype(int), fixed[0], [1, 2]))
    assert case.device == case.here and case.difference < 1e-5


def test_graph_of_another_model_is_refused(cascade, tmp_path):
    path, folder, _, expected = cascade
    export.freeze(network("unet"), str(tmp_path / "other.pb"))
    with pytest.raises(
        ValueError, match="a folder for each input of the graph, image, label. .*feature.* Try the frozen graph"
    ):
        export.compare(str(tmp_path / "other.pb"), folder)
    export.freeze(network("modelzoo_cascade"), str(tmp_path / "sizes.pb"))
    with pytest.raises(ValueError, match=r"0.bin` must have 384 bytes, float32 \(1, 8, 6, 2\). Received: 576 bytes"):
        export.compare(str(tmp_path / "sizes.pb"), folder)
    results = device(expected[:, :4], tmp_path / "results")
    with pytest.raises(ValueError, match="0_output_0.bin` must have 576 bytes.* Received: 256 bytes"):
        export.compare(path, folder, results)
    with pytest.raises(ValueError, match="`kind` must be one of"):
        export.compare(path, folder, kind="denoising")
    with pytest.raises(ValueError, match="must have the displacement as its second output"):
        export.compare(path, folder, kind="registration")
