"""Files that appear whole or not at all; folders, archives and readers with their errors in words."""

import contextlib
import importlib
import importlib.util
import os
import re

import numpy as np

from mrlayers.checks import refusal


@contextlib.contextmanager
def written_whole(path):
    """A temporary name in the folder of `path`, moved to `path` when the block ends well and removed when it does not.

    The folder is made if it is missing. The temporary name keeps the file ending, which many writers look at.
    """
    folder, name = os.path.split(os.path.abspath(path))
    make_folder(folder)
    temporary = os.path.join(folder, ".partial-{}-{}".format(os.getpid(), name))
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def make_folder(path):
    """Makes folder `path`, or says in one sentence what is in the way."""
    try:
        os.makedirs(path, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            "`{}` must be a folder. Received: the name of a file, or of something below a file. Try another name.".format(path)
        ) from None


def read_arrays(path):
    """All arrays of the `.npz` file `path` by name, or one sentence that says what is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ValueError(
            "`{}` must be an .npz file of weights. Received: no such file. Try its full path.".format(path)
        ) from None
    except Exception as error:  # NumPy and zipfile raise half a dozen kinds for a damaged file
        raise ValueError(
            "`{}` must be an .npz file of weights. Received: a file that cannot be read ({}). Try to copy it again.".format(
                path, type(error).__name__
            )
        ) from error


def existing(path):
    """`path` as text, or one sentence that says that nothing is there."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError("`path` must exist. Received: %s, in the folder %s. Try its full path." % (path, os.getcwd()))
    return path


@contextlib.contextmanager
def reading(path):
    """Each reader has errors of its own for a damaged file; here they become one."""
    try:
        yield
    except Exception as error:
        received = "%s (%s: %s)" % (path, type(error).__name__, " ".join(str(error).split()))
        raise refusal("`path` must be a complete, readable file", received, "to copy or to export it again") from error


def reader(module, package, path):
    """An optional package that reads `path`, or one sentence that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        received = "%s, read by %s" % (path, package)
        raise refusal("`path` must have a reader that is installed", received, "`pip install %s`" % package) from error


def installed(module):
    """Whether an optional package is there, matplotlib (`pip install mrlayers[plots]`) for one, without importing it."""
    return importlib.util.find_spec(module) is not None


def natural(path):
    """The key to sort by: numbers within a name count as numbers."""
    parts = re.split(r"(\d+)", path.lower())
    return [int(part) if position % 2 else part for position, part in enumerate(parts)], path
