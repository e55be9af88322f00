"""Downloads: from a server on this machine, with files whose hashes are right or wrong; nothing else is reached."""

import hashlib
import http.server
import io
import re
import sys
import tarfile
import threading
from functools import partial

import pytest

from misnet.datasets import DataError
from misnet.datasets.download import DOWNLOADS, Download, fetch, question

WAVS = r"[^/]+/recordings/(\d_\w+_\d+\.wav)"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """Return (folder whose files are served, their address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def offered(served, monkeypatch):
    """A data set of a file and an archive, in place of the real ones; return (where it is served, target folder)."""
    folder, address = served
    (folder / "images.gz").write_bytes(b"images")
    with tarfile.open(folder / "v1.tar.gz", "w:gz") as archive:
        for name in ("x-1/recordings/7_jackson_3.wav", "x-1/recordings/../../evil_1.wav", "x-1/README.md"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"RIFF"))

    def hashed(name):
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()

    files = (
        Download(f"{address}/images.gz", 6, hashed("images.gz"), "mnist/images.gz", "Images, CC BY-SA 3.0"),
        Download(f"{address}/v1.tar.gz", 99, hashed("v1.tar.gz"), "fsdd/recordings", "Sounds, CC BY 4.0", WAVS),
    )
    monkeypatch.setitem(DOWNLOADS, "mnist-fsdd", files)
    return folder, folder.parent / "data"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_are_fetched_once_and_of_an_archive_only_what_is_wanted(offered):
    pytest.importorskip("pooch")
    served, folder = offered
    wanted = {"mnist/images.gz": b"images", "fsdd/recordings/7_jackson_3.wav": b"RIFF"}
    assert len(list(fetch("mnist-fsdd", folder))) == 2
    assert contents(folder) == wanted
    for path in served.iterdir():
        path.unlink()  # what is there is not fetched again
    assert "there already" in list(fetch("mnist-fsdd", folder))[1]
    assert contents(folder) == wanted


def test_another_content_is_refused_by_its_hash_and_an_address_that_is_gone_is_named(offered):
    pytest.importorskip("pooch")
    served, folder = offered
    (served / "images.gz").write_bytes(b"others")
    with pytest.raises(DataError, match=r"/images\.gz: SHA256 hash of downloaded file .* does not match"):
        list(fetch("mnist-fsdd", folder))
    (served / "images.gz").unlink()
    with pytest.raises(DataError, match=r"/images\.gz: 404 "):
        list(fetch("mnist-fsdd", folder))
    assert not (folder / "mnist" / "images.gz").exists()


def test_without_pooch_the_message_says_how_to_install_it(offered, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=re.escape('pip install -e ".[download]"')):
        next(fetch("mnist-fsdd", offered[1]))


def test_the_question_says_how_much_from_where_and_under_which_licence(tmp_path):
    text = question("mnist-fsdd", tmp_path)
    assert text.startswith(
        f"mnist-fsdd: download 22 MiB into {tmp_path}?\n  MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"
    )
    assert "from storage.googleapis.com\n" in text
    assert "CC BY-SA 4.0, from github.com\n[y/N] " in text


def test_every_download_is_encrypted_and_has_a_hash():
    for files in DOWNLOADS.values():
        for file in files:
            assert file.url.startswith("https://")
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
