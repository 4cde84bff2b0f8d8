"""What scripts share: errors in words, the folder of a run and its arguments, and outputs that are known to work before work begins."""

import contextlib
import itertools
import json
import os
import sys
import tempfile

from mrlayers.checks import refusal
from zoo.files import written_whole


@contextlib.contextmanager
def errors_in_words(parser):
    """Ends a script with its one sentence instead of a traceback: status 2 for what it refuses, 1 for numbers that went astray."""
    try:
        yield
    except (ValueError, OSError) as error:
        parser.exit(2, "{}: {}\n".format(parser.prog, error))
    except FloatingPointError as error:
        parser.exit(1, "{}: {}\n".format(parser.prog, error))


def default_folder(name, resume):
    """The last of `name`, `name-2` and so on that exists, to resume; else the first that does not."""
    names = itertools.chain([name], ("{}-{}".format(name, number) for number in itertools.count(2)))
    taken = list(itertools.takewhile(os.path.exists, names))
    if resume:
        return taken[-1] if taken else name
    return name if not taken else "{}-{}".format(name, len(taken) + 1)


def write_arguments(chosen, path):
    """Keeps the arguments of a run, a dict, in the JSON file `path` beside its weights."""
    with written_whole(path) as temporary, open(temporary, "w") as file:
        json.dump(chosen, file, indent=1, sort_keys=True)


def read_arguments(weights):
    """The arguments of the run that the file `weights` lies in; empty where it lies in none."""
    path = os.path.join(os.path.dirname(os.path.abspath(weights)), "arguments.json")
    if not os.path.exists(path):
        return {}
    try:
        with open(path) as file:
            return dict(json.load(file))
    except (TypeError, ValueError) as error:
        expected = "`arguments.json` beside the weights must be what the trainer wrote"
        raise refusal(expected, "%s (%s)" % (path, error), "to move the weights to another folder") from error


def refuse_other_arguments(chosen, path):
    """A run is resumed with the arguments it began with, those in the JSON file `path`."""
    begun = read_arguments(path)
    for name in sorted(chosen):
        if chosen[name] != begun.get(name, chosen[name]):
            raise ValueError(
                "`--{}` must be {} as when the run began. Received: {}. Try it without `--resume` in another folder.".format(
                    name.replace("_", "-"), begun[name], chosen[name]
                )
            )


def require_outputs(outputs, inputs=()):
    """Refuses files that cannot be written, before a long computation instead of after it. Leaves nothing behind.

    Args:
        outputs: dict from the name of an argument to `(path, endings)`; a path of `None` is left out.
        inputs: paths that must not be written over.

    Raises:
        ValueError: another ending, the same file twice, or a name below a file.
        OSError: a folder in which nothing can be written.
    """
    taken = [os.path.realpath(path) for path in inputs if path]
    for name, (path, endings) in outputs.items():
        if path is None:
            continue
        if not path.lower().endswith(tuple(endings)):
            raise refusal("`%s` must end in one of %s" % (name, " ".join(endings)), path, path + endings[0])
        if os.path.realpath(path) in taken or os.path.isdir(path):
            expected = "`%s` must be a file of its own" % name
            raise refusal(expected, path + ", which is a folder or is named twice", "another name")
        taken.append(os.path.realpath(path))
        require_folder(name, os.path.dirname(path))


def require_folder(name, path):
    """Refuses a folder that is not there and cannot be made, or in which nothing can be written."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise refusal("`%s` must be a folder or lie in one" % name, "%s, which is a file" % path, "another name")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        received = "%s (%s)" % (path, error.strerror or error)
        raise OSError(
            "`%s` must lie in a folder that can be written. Received: %s. Try another one." % (name, received)
        ) from error


def peak_memory():
    """The most memory that this process has had, in GB (1e9 bytes); `None` where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
