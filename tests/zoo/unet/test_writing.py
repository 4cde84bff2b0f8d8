"""Segmentations in files, read back by the readers' own libraries."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from zoo.unet.writing import plan_outputs, write_like, write_pages

PAGES = np.random.RandomState(0).randint(0, 2, (3, 10, 12)).astype("uint8") * 255


def pages_of(path):
    with Image.open(str(path)) as picture:
        found = []
        for page in range(getattr(picture, "n_frames", 1)):
            picture.seek(page)
            found.append(np.array(picture))
    return np.array(found)


@pytest.mark.parametrize("pages", [PAGES, PAGES.astype("uint16") * 5, PAGES.astype("float32") / 300])
def test_pages(pages, tmp_path):
    path = tmp_path / "new" / "masks.tif"
    write_pages(str(path), list(pages))
    np.testing.assert_array_equal(pages_of(path), pages)
    assert [entry.name for entry in path.parent.iterdir()] == ["masks.tif"]


def test_png(tmp_path):
    write_pages(str(tmp_path / "a.png"), [PAGES[0]])
    np.testing.assert_array_equal(pages_of(tmp_path / "a.png")[0], PAGES[0])
    write_pages(str(tmp_path / "b.png"), [PAGES[0] / np.float32(510)])
    assert set(pages_of(tmp_path / "b.png").ravel()) == {0, 128}
    with pytest.raises(ValueError, match="TIFF for 3 pages"):
        write_pages(str(tmp_path / "c.png"), list(PAGES))


@pytest.mark.parametrize("ndim", [2, 3])
def test_volumes_keep_their_place(ndim, tmp_path):
    affine = np.array([[0, -2, 0, 7], [1.5, 0, 0, -4], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    values = np.random.RandomState(1).uniform(0, 9, (5, 6, 4)).astype("float32")
    source, written = str(tmp_path / "scan.nii.gz"), str(tmp_path / "mask.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values, affine), source)
    mask = (values > 4).astype("uint8")
    write_like(written, source, [mask] if ndim == 3 else [mask[:, :, index] for index in range(4)], ndim)
    found = nibabel.load(written)
    np.testing.assert_array_equal(np.asarray(found.dataobj), mask)
    np.testing.assert_allclose(found.affine, affine, atol=1e-6)


def test_plan(tmp_path):
    write_pages(str(tmp_path / "in" / "a.tif"), list(PAGES))
    write_pages(str(tmp_path / "in" / "b.png"), [PAGES[0]])
    folder = str(tmp_path / "in")
    one = str(tmp_path / "in" / "a.tif")
    assert plan_outputs(one, "out.tif") == [(one, "out.tif")]
    assert [output.replace("\\", "/") for _, output in plan_outputs(folder, "masks")] == ["masks/a.tif", "masks/b.tif"]
    for images, output, words in [(one, "out.nii.gz", "must end in one of .tif"), (one, one, "not be the image itself")]:
        with pytest.raises(ValueError, match=words):
            plan_outputs(images, output)
    write_pages(str(tmp_path / "in" / "a.png"), [PAGES[0]])
    with pytest.raises(ValueError, match="different names"):
        plan_outputs(folder, "masks")
    with pytest.raises(FileNotFoundError):
        plan_outputs(str(tmp_path / "nothing.tif"), "out.tif")
