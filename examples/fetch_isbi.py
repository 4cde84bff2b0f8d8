"""Downloads the ISBI 2012 stack of electron micrographs: 30 pages to train, their labels, 30 pages to test; about 15 MB.

    python examples/fetch_isbi.py --output isbi2012

The mirrors are tried one after the other. They compress the same pictures differently, so it is the decoded pixels that are
checked. A file appears under its name once its pixels are right; what a broken connection left is kept beside it, and the next
run goes on from there. Files that are there already are checked and left alone, also those copied by hand.

Needs pooch: `pip install "mrlayers[fetch]"`. Whoever publishes results cites the challenge: Arganda-Carreras et al., Crowdsourcing
the creation of image segmentation algorithms for connectomics, Frontiers in Neuroanatomy 9:142, 2015.
"""

import argparse
import hashlib
import importlib.util
import io
import os
import posixpath
import sys
import zipfile

from zoo.files import make_folder, reader, written_whole
from zoo.runs import errors_in_words

MIRRORS = (  # an archive that holds the files, or the folder they are in
    "https://downloads.imagej.net/ISBI-2012-challenge.zip",
    "https://github.com/alexklibisz/isbi-2012/raw/master/data/",
    "http://brainiac2.mit.edu/isbi_challenge/sites/default/files/",
)
PIXELS = {  # SHA-256 of the decoded pages one after the other, one byte a pixel
    "train-volume.tif": "200da3d452d726e6c9ca1ce04b869d4edb727320d23b516d01cce707dc8c4760",
    "train-labels.tif": "a7cb64000a1a7e542682927e19c91339f58f9f178e0bcce4e207371116f0ca36",
    "test-volume.tif": "1b58fa7ec1d0ff9d39a855622db3ff66a97863036339b0d04be51b2f5a99b0e9",
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=os.path.join("data", "isbi2012"), help="folder to fill; default: %(default)s")
    parser.add_argument("--mirror", action="append", metavar="URL", help="a .zip or a folder to try first; may be repeated")
    parser.add_argument("--timeout", type=float, default=30, help="seconds to wait for an answer; default: %(default)s")
    options = parser.parse_args(arguments)
    with errors_in_words(parser):
        fetch(options.output, (options.mirror or []) + list(MIRRORS), options.timeout)


def fetch(output, mirrors, timeout):
    make_folder(output)
    missing = [name for name in PIXELS if not _is_there(os.path.join(output, name))]
    if missing and importlib.util.find_spec("pooch") is None:
        raise ValueError('`pooch` must be installed to download. Received: none. Try `pip install "mrlayers[fetch]"`.')
    problems = []
    for mirror in mirrors:
        archive = mirror.lower().endswith(".zip")
        for name in [posixpath.basename(mirror)] if archive and missing else list(missing):
            part = os.path.join(output, ".%s-%s.part" % (hashlib.sha256(mirror.encode()).hexdigest()[:8], name))
            try:
                _download(mirror if archive else posixpath.join(mirror, name), part, timeout)
            except (OSError, ValueError) as error:  # of the network, or of an address that is none
                problems.append("%s with %s" % (mirror, _in_brief(error)))
                if os.path.exists(part) and not os.path.getsize(part):
                    os.remove(part)
                break
            wanted = missing if archive else [name]
            wrong = [each for each in wanted if not _keep(part, each, output, archive)]
            os.remove(part)
            missing = [each for each in missing if each in wrong or each not in wanted]
            if wrong:
                problems.append("%s with another %s" % (mirror, ", ".join(wrong)))
    if missing:
        raise OSError(
            "`--mirror` must be an address that answers with %s. Received: %s. Try again once there is a connection, which goes "
            "on where this one ended, or copy the files into %s." % (", ".join(missing), "; ".join(problems), output)
        )


def pixels(picture):
    """SHA-256 of the decoded pages of a TIFF, a path or an open file; `None` when it cannot be read or has not 8 bits."""
    pillow = reader("PIL.Image", "pillow", picture)
    digest = hashlib.sha256()
    try:
        with pillow.open(picture) as opened:
            for page in range(opened.n_frames):
                opened.seek(page)
                opened.load()
                if opened.mode != "L":
                    return None
                digest.update(opened.tobytes())
    except Exception:  # Pillow has half a dozen kinds for what is damaged or no picture
        return None
    return digest.hexdigest()


def _is_there(path):
    if not os.path.exists(path):
        return False
    if pixels(path) != PIXELS[os.path.basename(path)]:
        raise ValueError(
            "`--output` must hold no other {0}. Received: {1}, which has not the pixels of ISBI 2012. Try another folder, or to "
            "remove it.".format(os.path.basename(path), path)
        )
    print("%s: there already" % path)
    return True


def _download(url, part, timeout):
    """Appends to the file `part` what it still lacks; where a server cannot do that, it begins anew."""
    import pooch

    try:
        with open(part, "ab") as file:
            begun = file.tell()

            def begin_anew(response, **_):
                if response.status_code == 200:
                    file.truncate(0)

            pooch.HTTPDownloader(
                progressbar=sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None,
                timeout=timeout,
                headers={"Accept-Encoding": "identity", "Range": "bytes=%d-" % begun},
                hooks={"response": begin_anew},
            )(url, file, None)
    except OSError as error:
        if getattr(getattr(error, "response", None), "status_code", None) != 416:  # nothing lies beyond what is there
            raise


def _keep(part, name, output, archive):
    """Puts a download, or what an archive has under this name, into its place if its pixels are right."""
    with open(part, "rb") as file:
        content = file.read()
    if archive:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as opened:
                content = next(opened.read(each) for each in opened.namelist() if posixpath.basename(each) == name)
        except Exception:  # as above
            return False
    if pixels(io.BytesIO(content)) != PIXELS[name]:
        return False
    path = os.path.join(output, name)
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
    print("%s: downloaded" % path)
    return True


def _in_brief(error):
    """The server's words, the system's, or the kind of error: network libraries put several around each other."""
    response = getattr(error, "response", None)
    if response is not None:
        return "%d %s" % (response.status_code, response.reason)
    return getattr(error, "strerror", None) or type(error).__name__


if __name__ == "__main__":
    main()
