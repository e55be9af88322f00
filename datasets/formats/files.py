"""Reading a file, with an error that says what is wrong when there is nothing to decode in it."""

import os
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from misnet.datasets.base import DataError
from snncore.files import printable, read_file

__all__ = [
    "check_head",
    "described",
    "first_folder",
    "has_files",
    "is_hidden",
    "looks_like_text",
    "one_form",
    "passed_over",
    "printable",
    "read_bytes",
    "read_lines",
    "reason",
    "refuse_text",
    "sorted_files",
    "sorted_folders",
]

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# What systems leave in folders beside hidden files: a Mac's archives, network drives, disks of Windows and Linux.
_LITTER = frozenset(
    {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"}
    | {"lost+found"}
)
_STARTS = {  # of files that are taken for others, and what they are
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"%PDF": "PDF",
    b"RIFF": "RIFF: WAV, AVI or WebP",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"FLV": "FLV",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "a NumPy array",
    b"\x80": "a pickle",
}


def read_bytes(path: str | Path, expected: str, at_most: int | None = None) -> bytes:
    """Return the content of the file at `path`, at least one byte.

    expected: what the file should hold, for the messages ("a WAV, FLAC or OGG file"). at_most: read no more bytes.
    Raises DataError if the file is missing, a folder, a pipe, unreadable, empty, or a Git LFS pointer, which is the
    short text that a clone without Git LFS leaves in place of a file.
    """
    path = Path(path)
    try:
        data = read_file(path, at_most)
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


def described(data: bytes, bytes_shown: int = 8) -> str:
    """Return what the beginning of a file is, in words for a message: "text", or its bytes and what starts so."""
    if looks_like_text(data):
        return "text"
    known = next((what for start, what in _STARTS.items() if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        known = "MP4 or its kin"
    return f"bytes {data[:bytes_shown].hex(' ')}" + (f": {known}" if known else "")


def looks_like_text(data: bytes) -> bool:
    """Return True if the first 512 bytes of `data` are printable ASCII, which no audio or image format starts with."""
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data[:512])


def refuse_text(data: bytes, where: object, expected: str) -> None:
    """Raise DataError if `data`, the beginning of a file that holds no text, is text, as of a saved page."""
    if data and looks_like_text(data):
        start = " ".join(data[:40].decode("ascii").split())
        raise DataError(
            f"{where}: found text that begins with {start!r}, such as a page or a message saved in place of the file; "
            f"expected {expected}"
        )


def one_form(name: str) -> str:
    """Return a name in the Unicode form NFC: macOS may write one letter as two, which then only look the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def sorted_files(folder: Path, suffixes: Iterable[str], passed: list[Path] | None = None) -> list[Path]:
    """Return the files in a folder whose names end in one of `suffixes`, without hidden ones.

    passed: a list to which is added what is left: files with other endings, and links that lead nowhere.
    In natural order: 2 before 10. A folder that is missing has none.
    """
    seen = [entry for entry in _entries(folder) if not _is_litter(entry.name)]
    found, left = [], []
    for entry in seen:  # what the folder itself says of each: a file is not looked at but for links
        fits = os.path.splitext(entry.name)[1].lower() in suffixes
        if fits and entry.is_file():
            found.append(entry.name)
        elif fits or not entry.is_dir():
            left.append(entry.name)
    if passed is not None:
        passed += [folder / name for name in left]
    return [folder / name for name in sorted(found, key=_natural)]


def has_files(folder: Path, suffixes: Iterable[str]) -> bool:
    """Return whether `sorted_files` would find any; a folder of many is not read to its end."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return any(
            os.path.splitext(entry.name)[1].lower() in suffixes and not _is_litter(entry.name) and entry.is_file()
            for entry in entries
        )
    return False


def sorted_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, in natural order."""
    names = [entry.name for entry in _entries(folder) if not _is_litter(entry.name) and entry.is_dir()]
    return [folder / name for name in sorted(names, key=_natural)]


def _entries(folder: Path) -> list[os.DirEntry]:
    """What a folder holds, nothing if it is none."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def passed_over(paths: Iterable[Path], root: Path) -> str | None:
    """Return a sentence that counts files which were passed over, by kind and with an example; None for no files.

    paths: what `sorted_files` put into `passed`; a file that is there twice counts once. root: examples are below it.
    """
    kinds: dict[str, list[Path]] = {}
    for path in sorted(set(paths), key=lambda path: _natural(path.name)):
        kinds.setdefault(_kind(path), []).append(path)
    if not kinds:
        return None
    named = [
        f"{len(found)} {kind} (such as {found[0].relative_to(root) if found[0].is_relative_to(root) else found[0]})"
        for kind, found in kinds.items()
    ]
    return printable(f"passed over {sum(map(len, kinds.values()))} files: {', '.join(named)}")


def is_hidden(path: Path, root: Path) -> bool:
    """Return whether a path is hidden, or in a folder below `root` that is."""
    return any(_is_litter(part) for part in path.relative_to(root).parts)


def first_folder(root: Path, places: Iterable[str]) -> Path | None:
    """Return the first of `places` below `root` that is a folder, None if there is none."""
    return next((root / place for place in places if (root / place).is_dir()), None)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _kind(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "links that lead nowhere"
    if path.is_dir():
        return "folders named like files"
    if not path.is_file():
        return "pipes or devices"
    return path.suffix.lower() or "without an ending"


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Numbers in a name by their value and before letters; the same whatever Unicode form it is in."""
    parts = re.findall(r"[0-9]+|[^0-9]+", one_form(name))
    return [(int(part), part) if part[0] in "0123456789" else (1 << 62, part) for part in parts], name
