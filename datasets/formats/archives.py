"""Reading the files in a tar archive into memory; nothing is ever written to disk."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, reason, refuse_text

__all__ = ["ARCHIVE_SUFFIXES", "read_archive"]

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
EXPECTED = "a tar archive, plain or compressed by gzip, bzip2 or xz"
PACKERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
)
# Pictures and sounds are compressed already. A stream also holds headers, and padding, of up to 2 kB a file.
CONTENT_RATIO, STREAM_RATIO, SLACK = 4, 16, 16 << 20


def read_archive(path: str | Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Go through the regular files in a tar archive whose names are `wanted`, in the archive's order.

    Names are only compared, and links and devices passed over, so that no name can lead outside of the archive.

    Yields `(name, content)`.
    Raises DataError for a file that is missing, empty, a Git LFS pointer, no archive, damaged or cut short, and for one
    whose wanted files are more than 4 times as large as itself, which no pictures or sounds are.
    """
    path = Path(path)
    head = check_head(path, EXPECTED)
    refuse_text(head, path, EXPECTED)
    size = path.stat().st_size
    opener = next((opener for magic, opener in PACKERS if head.startswith(magic)), None)
    found = 0
    try:
        with open(path, "rb") as file:
            plain = _Limited(opener(file) if opener else file, STREAM_RATIO * size + SLACK, path)
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                for member in archive:
                    if not member.isreg() or member.issparse() or not wanted(member.name):
                        continue
                    found += member.size
                    if found > CONTENT_RATIO * size + SLACK:
                        raise DataError(_too_large(path, CONTENT_RATIO * size + SLACK))
                    content = archive.extractfile(member).read()  # type: ignore[union-attr]
                    if len(content) != member.size:
                        raise DataError(f"{path}: truncated, {member.name} has {len(content)} of {member.size} bytes")
                    yield member.name, content
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: damaged or cut short ({reason(error)}); expected {EXPECTED}") from error


def _too_large(path: Path, limit: int) -> str:
    return f"{path}: unpacks to more than {limit} bytes, which no archive of pictures or sounds of this size does"


class _Limited:
    """A stream that ends in an error once more than `limit` bytes were read."""

    def __init__(self, file: IO[bytes], limit: int, path: Path):
        self.file, self.left, self.limit, self.path = file, limit, limit, path

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise DataError(_too_large(self.path, self.limit))
        return data
