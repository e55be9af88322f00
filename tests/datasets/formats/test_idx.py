"""IDX files: values, and each way a file can be wrong."""

import gzip

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.formats.idx import find_idx, read_idx
from tests.datasets.tiny_files import LFS_POINTER, idx_bytes, write_idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["a-ubyte", "a-ubyte.gz"])
@pytest.mark.parametrize("compress", [False, True])
def test_content_not_name_decides_about_gzip(tmp_path, name, compress):
    write_idx(tmp_path / name, ARRAY, compress)
    found = read_idx(tmp_path / name, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ARRAY)


@pytest.mark.parametrize(("asked", "there"), [("a-ubyte", "a-ubyte.gz"), ("a-ubyte.gz", "a-ubyte")])
def test_name_with_or_without_gz_finds_the_other(tmp_path, asked, there):
    write_idx(tmp_path / there, ARRAY)
    np.testing.assert_array_equal(read_idx(tmp_path / asked, 3), ARRAY)


def test_header_is_read_byte_by_byte_as_the_format_says(tmp_path):
    (tmp_path / "labels").write_bytes(b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\x07\x02\x01")
    assert read_idx(tmp_path / "labels", 1).tolist() == [7, 2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx_bytes(ARRAY)[:-5], "truncated, found 35 bytes, expected 40"),
        (gzip.compress(idx_bytes(ARRAY)[:-5]), "truncated, found 35 bytes, expected 40"),
        (idx_bytes(ARRAY)[:7], "truncated, found 7 bytes, expected a header of 16"),
        (idx_bytes(ARRAY) + b"xy", "extra bytes at the end, found 42 bytes, expected 40"),
        (idx_bytes(ARRAY[0]), "found magic number 2050 .* expected 2051"),
        (b"<html>not found</html>", "found text that begins with '<html>not found</html>', such as a page"),
        (gzip.compress(b"<!DOCTYPE html>\n<p>"), "found text that begins with '<!DOCTYPE html> <p>'"),
        (gzip.compress(bytes(4 << 20)), r"unpacks to more than \d+ bytes, more than an IDX file"),
        (gzip.compress(idx_bytes(ARRAY))[:-12], "gzip stream is corrupt or cut short"),
        (gzip.compress(idx_bytes(ARRAY))[:12] + b"\xff" * 30, "gzip stream is corrupt"),
        (b"", "empty"),
        (LFS_POINTER, "Git LFS pointer.*git lfs pull"),
    ],
)
def test_damaged_file_is_named_with_what_is_wrong(tmp_path, content, message):
    (tmp_path / "bad-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=f"bad-ubyte.*{message}"):
        read_idx(tmp_path / "bad-ubyte", 3)


def test_missing_file_names_both_candidates(tmp_path):
    with pytest.raises(DataError, match=r"a-ubyte: no such file, nor .*a-ubyte\.gz"):
        read_idx(tmp_path / "a-ubyte", 3)


def test_find_takes_dots_and_gz_and_lists_what_it_tried(tmp_path):
    write_idx(tmp_path / "raw" / "train-images.idx3-ubyte.gz", ARRAY)
    folders = [tmp_path / "none", tmp_path / "raw"]
    assert find_idx(folders, "train-images-idx3-ubyte").name == "train-images.idx3-ubyte.gz"
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz, t10k-images\.idx3-ubyte.*none.*raw"):
        find_idx(folders, "t10k-images-idx3-ubyte")
