"""The download against a server on this machine: other compressions, broken connections, wrong files, no answer at all."""

import hashlib
import http.server
import importlib.util
import io
import os
import pathlib
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
import scripts

pytest.importorskip("pooch", reason="pooch, which downloads, is not installed")

NAMES = ("train-volume.tif", "train-labels.tif", "test-volume.tif")
PAGES = np.random.RandomState(0).randint(0, 256, (3, 4, 60, 50)).astype(np.uint8)


def tiff(pages, compression=None):
    stream, pictures = io.BytesIO(), [Image.fromarray(page) for page in pages]
    pictures[0].save(stream, "TIFF", save_all=True, append_images=pictures[1:], compression=compression)
    return stream.getvalue()


FILES = {name: tiff(pages) for name, pages in zip(NAMES, PAGES)}


def archive(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in files.items():
            file.writestr("ISBI-2012-challenge/" + name, content)
    return stream.getvalue()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)  # path without the first slash -> content
        self.requests = []  # (path, first byte asked for)
        self.breaks_after = None  # bytes of each answer, after which the connection is closed
        self.knows_ranges = True

    def url(self, path=""):
        return "http://127.0.0.1:%d/%s" % (self.server_address[1], path)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, path = self.server, self.path[1:]
        first = int(self.headers["Range"].split("=")[1].split("-")[0])
        server.requests.append((path, first))
        if path not in server.files:
            return self.send_error(404)
        content = server.files[path]
        if server.knows_ranges and first >= len(content):
            return self.send_error(416)
        begin = first if server.knows_ranges else 0
        self.send_response(206 if server.knows_ranges and first else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin:][: server.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def script(monkeypatch, tmp_path, server):
    module = scripts.load("fetch_isbi")
    module.published = dict(module.PIXELS)
    monkeypatch.setattr(
        module, "PIXELS", {name: hashlib.sha256(pages.tobytes()).hexdigest() for name, pages in zip(NAMES, PAGES)}
    )
    monkeypatch.setattr(module, "MIRRORS", (server.url(),))
    monkeypatch.chdir(tmp_path)
    return module


def refusal(script, capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        script.main(["--output", "isbi", "--timeout", "5"] + list(arguments))
    assert caught.value.code == 2
    message = capsys.readouterr().err.strip()
    assert "must" in message and "Received: " in message and "Try " in message and "\n" not in message
    return message


def held(folder="isbi"):
    """The files under their own names, checked; others are not counted."""
    found = {name for name in os.listdir(folder) if not name.startswith(".")}
    for name in found:
        pages = Image.open(os.path.join(folder, name))
        for index, page in enumerate(PAGES[NAMES.index(name)]):
            pages.seek(index)
            np.testing.assert_array_equal(np.array(pages), page)
    return found


# --- numbers


def test_published_checksums(script, shared):
    for name, digest in script.published.items():
        assert script.pixels(shared("data/isbi2012/" + name)) == digest


def test_downloads_from_a_folder(script, server, capsys):
    script.main([])
    assert held("data/isbi2012") == set(NAMES) == set(os.listdir("data/isbi2012"))
    assert capsys.readouterr().out.count("downloaded") == 3 and len(server.requests) == 3


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_lzw", "packbits"])
def test_another_compression_has_the_same_pixels(script, server, compression):
    server.files.update((name, tiff(pages, compression)) for name, pages in zip(NAMES, PAGES))
    script.main(["--output", "isbi"])
    assert held() == set(NAMES)


def test_downloads_an_archive_once(script, server):
    server.files = {"a/ISBI.zip": archive(FILES)}
    script.main(["--output", "isbi", "--mirror", server.url("a/ISBI.zip")])
    assert held() == set(NAMES) == set(os.listdir("isbi"))
    assert server.requests == [("a/ISBI.zip", 0)]


# --- laws


def test_what_is_there_is_left_alone(script, server, capsys):
    os.mkdir("isbi")
    by_hand = pathlib.Path("isbi", NAMES[1])
    by_hand.write_bytes(tiff(PAGES[1], "tiff_lzw"))
    before = by_hand.read_bytes()
    script.main(["--output", "isbi"])
    assert by_hand.read_bytes() == before and [path for path, _ in server.requests] == [NAMES[0], NAMES[2]]
    script.main(["--output", "isbi"])
    assert len(server.requests) == 2 and capsys.readouterr().out.count("there already") == 4


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_connection_is_continued(script, server, capsys, knows_ranges):
    server.breaks_after = 5000
    assert "train-volume.tif, train-labels.tif, test-volume.tif" in refusal(script, capsys)
    (part,) = pathlib.Path("isbi").iterdir()
    kept = part.stat().st_size
    assert part.name.startswith(".") and 3000 < kept <= 5000
    server.breaks_after, server.knows_ranges = None, knows_ranges
    script.main(["--output", "isbi"])
    assert held() == set(NAMES) == set(os.listdir("isbi"))
    assert server.requests[1] == (NAMES[0], kept)


def test_a_download_that_was_complete_is_not_repeated(script, server):
    """Stopped after the last byte and before the check."""
    server.breaks_after = 5000
    with pytest.raises(SystemExit):
        script.main(["--output", "isbi"])
    (part,) = pathlib.Path("isbi").iterdir()
    part.write_bytes(FILES[NAMES[0]])
    server.breaks_after = None
    script.main(["--output", "isbi"])
    assert held() == set(NAMES) == set(os.listdir("isbi"))
    assert server.requests[1] == (NAMES[0], len(FILES[NAMES[0]])) and len(server.requests) == 4


def test_the_next_mirror_gives_what_the_first_does_not(script, server):
    server.files.update({"bad/" + name: FILES[name] for name in NAMES})
    server.files["bad/" + NAMES[1]] = b"<html>Please log in</html>"
    server.files["bad.zip"] = archive({NAMES[2]: FILES[NAMES[2]]})[:-30]
    mirrors = ["http://127.0.0.1:9/", "no address", server.url("nowhere/"), server.url("bad.zip"), server.url("bad/")]
    script.main(["--output", "isbi", "--timeout", "5"] + sum((["--mirror", mirror] for mirror in mirrors), []))
    assert held() == set(NAMES) == set(os.listdir("isbi"))
    assert server.requests[-1] == (NAMES[1], 0)


# --- refusals


def test_offline(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "MIRRORS", ("http://127.0.0.1:9/", "http://127.0.0.1:9/a.zip"))
    message = refusal(script, capsys)
    assert "http://127.0.0.1:9/a.zip with ConnectionError" in message and "copy the files into isbi" in message
    assert os.listdir("isbi") == []


def test_wrong_pixels_everywhere(script, server, capsys):
    server.files[NAMES[2]] = tiff(PAGES[0])
    message = refusal(script, capsys)
    assert "answers with test-volume.tif." in message and "with another test-volume.tif" in message
    assert held() == set(NAMES[:2]) == set(os.listdir("isbi"))
    for content in (tiff(PAGES[2].astype(np.int32)), FILES[NAMES[2]][:5000], b""):
        server.files[NAMES[2]] = content
        refusal(script, capsys)
    assert os.listdir("isbi").count(NAMES[2]) == 0


def test_a_server_that_says_no(script, server, capsys):
    server.files = {}
    assert "with 404 Not Found" in refusal(script, capsys)
    assert os.listdir("isbi") == []


def test_another_file_of_that_name_is_not_overwritten(script, server, capsys):
    os.mkdir("isbi")
    pathlib.Path("isbi", NAMES[0]).write_bytes(b"mine")
    assert "`--output` must hold no other train-volume.tif" in refusal(script, capsys)
    assert pathlib.Path("isbi", NAMES[0]).read_bytes() == b"mine" and not server.requests


def test_no_pooch(script, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "`pooch` must be installed" in refusal(script, capsys)


def test_no_folder(script, capsys):
    pathlib.Path("isbi").write_bytes(b"")
    assert "`isbi` must be a folder" in refusal(script, capsys)
