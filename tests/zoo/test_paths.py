"""Files that are meant, and pairs of the same name."""

import os

import pytest

from zoo.paths import find_files, pair_by_name

SUFFIXES = (".nii.gz", ".npz")


def touch(folder, *names):
    for name in names:
        path = folder.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return [str(folder.joinpath(*name.split("/"))) for name in names]


def refusal(call, *arguments, **named):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert " must " in message and ". Received: " in message and ". Try " in message and "\n" not in message
    return message


# --- numbers


def test_folder_pattern_list_and_file_in_natural_order(tmp_path):
    ordered = touch(tmp_path, "s1.npz", "S2.nii.gz", "s10.npz", "t.NPZ")
    touch(tmp_path, "readme.md", ".s3.npz", "below/s4.npz")
    assert find_files(tmp_path, SUFFIXES) == ordered
    assert find_files(str(tmp_path / "s*.npz"), SUFFIXES) == [ordered[0], ordered[2]]
    assert find_files(str(tmp_path / "**" / "s*.npz"), SUFFIXES)[0] == str(tmp_path / "below" / "s4.npz")
    assert find_files(ordered[::-1], SUFFIXES) == ordered
    assert find_files([str(tmp_path), ordered[0]], SUFFIXES) == ordered
    assert find_files(ordered[2], SUFFIXES) == ordered[2:3]


def test_text_file_is_relative_to_its_own_folder(tmp_path):
    ordered = touch(tmp_path, "scans/a.npz", "scans/b.npz", "c.npz")
    (tmp_path / "scans" / "train.txt").write_text("b.npz   # the second\n\n# nothing\na.npz\n%s\n" % ordered[2])
    assert find_files(tmp_path / "scans" / "train.txt", SUFFIXES) == [ordered[2], ordered[0], ordered[1]]


def test_a_name_with_brackets_is_a_file(tmp_path):
    path = touch(tmp_path, "scan[1].npz")
    assert find_files(path[0], SUFFIXES) == path


@pytest.mark.parametrize(
    "images, labels",
    [
        (["a.npz", "b.npz"], ["a.npz", "b.nii.gz"]),
        (["50002_brain_crop.nii.gz", "50010_brain_crop.nii.gz"], ["50002_seg_crop.nii.gz", "50010_seg_crop.nii.gz"]),
        (["test_vol.npz"], ["test_seg.npz"]),
        (["s1_norm.mgz", "s2_norm.mgz"], ["s1_aseg.mgz", "s2_aseg.mgz"]),
        (
            ["OAS1_1/aligned_norm.nii.gz", "OAS1_2/aligned_norm.nii.gz"],
            ["OAS1_1/aligned_seg35.nii.gz", "OAS1_2/aligned_seg4.nii.gz"],
        ),
        (["sub1/mri/norm.mgz", "sub2/mri/norm.mgz"], ["sub1/mri/aparc+aseg.mgz", "sub2/mri/aparc+aseg.mgz"]),
        (["sub-01_T1w.nii.gz", "sub-02_T1w.nii.gz"], ["sub-01_dseg.nii.gz", "sub-02_dseg.nii.gz"]),
        (["IMG_1_1.npz", "img_11.npz"], ["label_1_1.npz", "labels_11.npz"]),
        (["normal01.npz", "segal02.npz"], ["normal01_seg.npz", "segal02_seg.npz"]),
    ],
)
def test_names_of_the_field(images, labels):
    images, labels = (["%s/%s" % (folder, name) for name in names] for folder, names in (("x", images), ("y", labels)))
    if "/" in images[0][2:]:
        images, labels = ([path[2:] for path in paths] for paths in (images, labels))
    assert pair_by_name(images, labels) == labels
    assert pair_by_name(images[::-1], labels) == labels[::-1]


# --- refusals


def test_nothing_found(tmp_path):
    assert "at least one file" in refusal(find_files, tmp_path, SUFFIXES)
    assert "at least one file" in refusal(find_files, str(tmp_path / "*.npz"), SUFFIXES)
    assert "at least one file" in refusal(find_files, [], SUFFIXES)
    assert "`path` must exist" in refusal(find_files, tmp_path / "no.npz", SUFFIXES)
    (tmp_path / "list.txt").write_text("lost.npz\n")
    assert os.path.join(str(tmp_path), "lost.npz") in refusal(find_files, tmp_path / "list.txt", SUFFIXES)


def test_names_without_partner_are_said():
    message = refusal(pair_by_name, ["a_norm.npz", "b_norm.npz"], ["b_seg.npz", "c_seg.npz"])
    assert "images without labels: a_norm.npz; labels without an image: c_seg.npz" in message
    many = refusal(pair_by_name, ["%d.npz" % index for index in range(6)], ["5.npz"])
    assert "0.npz, 1.npz, 2.npz and 2 more" in many


def test_names_that_occur_twice_are_said():
    message = refusal(pair_by_name, ["x/a_norm.npz", "x/a_brain.npz"], ["y/a_seg.npz"])
    assert "more than one of a name: a_norm.npz, a_brain.npz" in message and "without" not in message.split("Try")[0]
