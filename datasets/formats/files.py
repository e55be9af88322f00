"""Reading a file, with an error that says what is wrong when there is nothing to decode in it."""

import re
from collections.abc import Iterable
from pathlib import Path

from misnet.datasets.base import DataError

__all__ = [
    "check_head",
    "first_folder",
    "looks_like_text",
    "read_bytes",
    "read_lines",
    "reason",
    "sorted_files",
    "sorted_folders",
]

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read_bytes(path: str | Path, expected: str, at_most: int | None = None) -> bytes:
    """Return the content of the file at `path`, at least one byte.

    expected: what the file should hold, for the messages ("a WAV, FLAC or OGG file"). at_most: read no more bytes.
    Raises DataError if the file is missing, a folder, unreadable, empty, or a Git LFS pointer, which is the short
    text that a clone without Git LFS leaves in place of a file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(-1 if at_most is None else at_most)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected {expected}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: found a folder; expected {expected}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
    if not data:
        raise DataError(f"{path}: the file is empty (0 bytes); expected {expected}")
    if data.startswith(_LFS_POINTER):
        raise DataError(
            f"{path}: this is a Git LFS pointer ({path.stat().st_size} bytes of text), expected {expected}; "
            "run `git lfs pull` in the repository that it came from"
        )
    return data


def check_head(path: str | Path, expected: str) -> bytes:
    """Return the first 512 bytes of a file that is too large to be read whole; raises DataError as `read_bytes`."""
    return read_bytes(path, expected, at_most=512)


def read_lines(path: str | Path, expected: str) -> list[str]:
    """Return the lines of a text file, without line ends, blank lines and a byte order mark.

    Raises DataError as `read_bytes` does, and for anything that is not UTF-8.
    """
    try:
        text = read_bytes(path, expected).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: found a byte that is not UTF-8 at {error.start}; expected {expected}") from None
    return [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]


def reason(error: Exception) -> str:
    """Return what an error says, or what it is if it says nothing, on one line of at most 200 characters."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    return text if len(text) <= 200 else text[:197] + "..."


def looks_like_text(data: bytes) -> bool:
    """Return True if the first 512 bytes of `data` are printable ASCII, which no audio or image format starts with."""
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data[:512])


def sorted_files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files in a folder whose names end in one of `suffixes`, without hidden ones.

    In natural order: 2 before 10. A folder that is missing has none.
    """
    if not folder.is_dir():
        return []
    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=_natural)


def sorted_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, in natural order."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=_natural)


def first_folder(root: Path, places: Iterable[str]) -> Path | None:
    """Return the first of `places` below `root` that is a folder, None if there is none."""
    return next((root / place for place in places if (root / place).is_dir()), None)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name by their value and before letters."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(int(part), part) if part.isdigit() else (1 << 62, part) for part in parts]
