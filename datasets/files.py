"""Reading a whole file, with an error that says what is wrong when there is nothing to decode in it."""

from pathlib import Path

from datasets.base import DataError

__all__ = ["looks_like_text", "read_bytes"]

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read_bytes(path: str | Path, expected: str, most: int = -1) -> bytes:
    """Return the content of the file at `path`, at least one byte.

    expected: what the file should hold, for the messages ("a WAV, FLAC or OGG file"). most: read no more bytes than
    that from the start, by default all.
    Raises DataError if the file is missing, a folder, unreadable, empty, or a Git LFS pointer, which is the short
    text that a clone without Git LFS leaves in place of a file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(most)
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


def looks_like_text(data: bytes) -> bool:
    """Return True if the first 512 bytes of `data` are printable ASCII, which no audio or image format starts with."""
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data[:512])
