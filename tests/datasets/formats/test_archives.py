"""Archives are read in memory; no name in them leads anywhere, and none can fill the memory."""

import io
import os
import tarfile

import pytest

from misnet.datasets import DataError
from misnet.datasets.formats.archives import read_archive
from tests.datasets.tiny_files import LFS_POINTER
from tests.datasets.tiny_media import write_tar

FILES = {"a/1.txt": os.urandom(3000), "a/b/2.txt": b"two", "3.bin": b"\0" * 600}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_wanted_files_in_order_whatever_the_compression(tmp_path, mode):
    path = tmp_path / "x.tar"
    write_tar(path, FILES, mode)
    found = list(read_archive(path, lambda name: name.endswith(".txt")))
    assert found == [(name, FILES[name]) for name in ("a/1.txt", "a/b/2.txt")]


def test_names_that_lead_outside_write_nothing(tmp_path):
    inside = tmp_path / "inside"
    path = inside / "x.tar"
    inside.mkdir()
    with tarfile.open(path, "w") as archive:
        for name, kind, target in (("link.png", tarfile.SYMTYPE, "/etc/passwd"), ("hard.png", tarfile.LNKTYPE, "../x")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        for name in ("../escaped.png", "/absolute.png"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"1"))
    before = sorted(tmp_path.rglob("*"))
    assert [name for name, _ in read_archive(path, lambda _: True)] == ["../escaped.png", "/absolute.png"]
    assert sorted(tmp_path.rglob("*")) == before
    assert not os.path.exists("/absolute.png")


def test_an_archive_that_unpacks_to_far_more_than_itself_is_refused(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    write_tar(path, {"a.png": bytes(40 << 20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"bomb\.tar\.gz: unpacks to more than \d+ bytes"):
        list(read_archive(path, lambda _: True))
    with pytest.raises(DataError, match=r"bomb\.tar\.gz: unpacks to more than"):  # also to be passed over
        list(read_archive(path, lambda _: False))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (LFS_POINTER, "Git LFS pointer"),
        (b"404: Not Found\n", "found text that begins with '404: Not Found', such as a page .*expected a tar archive"),
        (b"\x1f\x8b" + bytes(range(200)), "damaged or cut short"),
    ],
)
def test_not_an_archive_is_named(tmp_path, content, message):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.tar\.gz: .*{message}"):
        list(read_archive(path, lambda _: True))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_cut_archive_is_named(tmp_path, mode):
    path = tmp_path / "x.tar"
    write_tar(path, FILES, mode)
    path.write_bytes(path.read_bytes()[:2500])
    with pytest.raises(DataError, match=r"x\.tar: (damaged or cut short|truncated)"):
        list(read_archive(path, lambda _: True))
