"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile


@contextlib.contextmanager
def written_whole(path):
    """A temporary name in the folder of `path`, moved to `path` when the block ends well and removed when it does not.

    The folder is made if it is missing. The temporary name keeps the file ending, which many writers look at.
    """
    folder, name = os.path.split(os.path.abspath(path))
    make_folder(folder)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".partial-", suffix="-" + name)
    os.close(handle)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        os.remove(temporary)
        raise


def make_folder(path):
    """Makes folder `path`, or says in one sentence what is in the way."""
    try:
        os.makedirs(path, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError("`{}` must be a folder. Received: the name of a file, or of something below a file. Try another name.".format(path))
