"""Which files are meant, in which order, and which image belongs to which labels."""

import glob
import os
import re

from mrlayers.checks import refusal
from zoo.files import existing, natural

LISTS = (".txt", ".lst")
ROLES = r"(?<![a-z])(brain|norm|orig|vol|images?|img|t1w?|aparc|[ad]?seg\d*|labels?|masks?)(?![a-z])"


def find_files(source, suffixes):
    """All files that `source` means, in natural order (2 before 10).

    | `source` | what is found |
    |---|---|
    | folder | the files in it, not below it |
    | pattern with `*`, `?` or `[` | the files that match; `**` is any number of folders |
    | `.txt`, `.lst` | one path a line, relative to the list's own folder; empty lines and lines from `#` on are left out |
    | another file | itself |
    | list or tuple of these | all of them together |

    Files in a folder, or that match a pattern, are left out when they have another ending or start with a dot.

    Args:
        source: As above.
        suffixes: Endings to look for, for instance `zoo.volumes.VOLUMES`.

    Returns:
        List of paths, each once.

    Raises:
        FileNotFoundError: When a file or a folder does not exist.
        ValueError: When there are no such files.
    """
    sources = source if isinstance(source, (list, tuple)) else [source]
    files = sorted({os.path.normpath(path) for each in sources for path in _files(os.fspath(each), suffixes)}, key=natural)
    if not files:
        raise refusal("`source` must name at least one file", repr(source), "a folder or a pattern such as 'scans/*.nii.gz'")
    return files


def pair_by_name(images, labels):
    """Finds for each image the labels of the same name.

    Names are compared without their ending, without capitals, and without the words that tell an image from its labels: brain,
    norm, orig, vol, image, img, t1, t1w on one side, seg, seg35, aseg, dseg, aparc, label on the other: `a_brain_crop.nii.gz`
    and `a_seg_crop.nii.gz` are a pair. Where that leaves equal names, as in `OAS1_0001/norm.nii.gz`, the folders above count.

    Args:
        images: Paths.
        labels: Paths.

    Returns:
        List of the labels in the order of `images`.

    Raises:
        ValueError: When an image or labels have no partner, or more than one; they are named.
    """
    deepest = max(len(_parts(path)) for path in list(images) + list(labels))
    for depth in list(range(1, 1 + deepest)) + [1]:
        image_names, label_names = ([_subject(path, depth) for path in paths] for paths in (images, labels))
        if len(set(image_names)) == len(images) and len(set(label_names)) == len(labels):
            break
    problems = [
        "%s %s" % (what, _some(paths))
        for what, paths in (
            ("images without labels:", [path for path, name in zip(images, image_names) if name not in label_names]),
            ("labels without an image:", [path for path, name in zip(labels, label_names) if name not in image_names]),
            ("more than one of a name:", [path for path, name in zip(images, image_names) if image_names.count(name) > 1]),
            ("more than one of a name:", [path for path, name in zip(labels, label_names) if label_names.count(name) > 1]),
        )
        if paths
    ]
    if problems:
        advice = "a pattern that leaves out the others, such as 'scans/*_norm.nii.gz'"
        raise refusal("`images` and `labels` must come in pairs of the same name", "; ".join(problems), advice)
    partners = dict(zip(label_names, labels))
    return [partners[name] for name in image_names]


def _files(path, suffixes):
    if os.path.isdir(path):
        return _with_suffix([os.path.join(path, name) for name in os.listdir(path)], suffixes)
    if re.search(r"[*?[]", path) and not os.path.exists(path):
        return _with_suffix(glob.glob(path, recursive=True), suffixes)
    existing(path)
    if not path.lower().endswith(LISTS):
        return [path]
    with open(path) as file:
        lines = [line.split("#")[0].strip() for line in file]
    return [existing(os.path.join(os.path.dirname(path), os.path.expanduser(line))) for line in lines if line]


def _with_suffix(paths, suffixes):
    names = ((path, os.path.basename(path)) for path in paths)
    return [path for path, name in names if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")]


def _parts(path):
    return os.path.abspath(path).lower().split(os.sep)


def _subject(path, depth):
    """The last `depth` parts of a path without the ending and without the words that tell an image from its labels."""
    parts = _parts(path)[-depth:]
    parts[-1] = re.sub(r"\.gz$", "", parts[-1])
    parts[-1] = os.path.splitext(parts[-1])[0]
    return tuple(" ".join(re.findall(r"[^\W_]+", re.sub(ROLES, "", part))) for part in parts)


def _some(paths):
    shown = ", ".join(os.path.basename(path) for path in paths[:3])
    return shown + (" and %d more" % (len(paths) - 3) if len(paths) > 3 else "")
