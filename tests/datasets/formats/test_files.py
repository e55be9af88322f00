"""Reading files and listing folders."""

import os

import pytest

from misnet.datasets import DataError
from misnet.datasets.base import content_hash
from misnet.datasets.formats.files import (
    check_head,
    first_folder,
    one_form,
    printable,
    read_lines,
    sorted_files,
    sorted_folders,
)
from misnet.datasets.formats.lengths import check_file
from tests.datasets.tiny_files import LFS_POINTER


def test_lines_of_any_line_end_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfone,1\r\n\r\ntwo,2\nthree,3\rfour")
    assert read_lines(path, "rows") == ["one,1", "two,2", "three,3", "four"]
    path.write_bytes(b"one\xff")
    with pytest.raises(DataError, match=r"a\.csv: found a byte that is not UTF-8 at 3; expected rows"):
        read_lines(path, "rows")


def test_the_head_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(600))
    assert check_head(path, "bytes") == bytes(512)
    path.write_bytes(LFS_POINTER)
    with pytest.raises(DataError, match=rf"a: this is a Git LFS pointer \({len(LFS_POINTER)} bytes of text\)"):
        check_head(path, "bytes")


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    for read in (check_head, read_lines):
        with pytest.raises(DataError, match=r"a\.csv: cannot be read \(expected a file, found a pipe, a socket"):
            read(tmp_path / "a.csv", "rows")
    with pytest.raises(OSError, match="found a pipe"):
        content_hash({}, [tmp_path / "a.csv"])
    with pytest.raises(DataError, match=r"a\.csv: cannot be read \(expected a file, found a pipe"):
        check_file(tmp_path / "a.csv")


def test_listing_is_in_natural_order_without_hidden_files(tmp_path):
    for name in ("10.JPG", "2.jpg", "1.png", "b.jpg", ".hidden.jpg", "a.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "3.jpg").mkdir()
    (tmp_path / ".git").mkdir()
    assert [p.name for p in sorted_files(tmp_path, {".jpg", ".png"})] == ["1.png", "2.jpg", "10.JPG", "b.jpg"]
    assert [p.name for p in sorted_folders(tmp_path)] == ["3.jpg"]
    assert sorted_files(tmp_path / "none", {".jpg"}) == sorted_folders(tmp_path / "none") == []
    assert first_folder(tmp_path, ("a.txt", "3.jpg", ".git")) == tmp_path / "3.jpg"
    assert first_folder(tmp_path, ("x",)) is None


def test_superscripts_are_no_numbers_and_other_forms_no_other_names(tmp_path):
    for name in ("10.jpg", "\u00b2", "e\u0301a.jpg", "\u00e9b.jpg"):
        (tmp_path / name).mkdir()
    assert [p.name for p in sorted_folders(tmp_path)] == ["10.jpg", "\u00b2", "e\u0301a.jpg", "\u00e9b.jpg"]


def test_names_that_are_no_unicode_are_printable():
    assert printable(os.fsdecode(b"caf\xe9 caf\xc3\xa9")) == "caf\\xe9 caf\u00e9"
    assert one_form("e\u0301") == "\u00e9"
