"""Writing a file so that it is never seen half-written, and as JSON that every reader takes."""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = [
    "abandoned",
    "beside",
    "is_device",
    "json_bytes",
    "printable",
    "read_file",
    "refuse_pipe",
    "replace_file",
    "sha256_of",
    "sha256_of_rest",
    "text_bytes",
]

ABANDONED = 3600.0
"""Seconds after which a part of a file that nobody writes to is what a killed process left behind."""

DEVICES = (Path("/dev"), Path("/dev/fd"))  # not what lies deeper: /dev/shm holds files


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON with a newline at its end; a float that is NaN or infinite becomes null.

    RFC 8259 has no such numbers, so that a file with one could not be read by most programs; nor has it the halves of
    letters that names of files may hold in Python (see `printable`).
    """
    return (json.dumps(_plain(value), indent=2, allow_nan=False) + "\n").encode()


def printable(text: str) -> str:
    r"""Return text with names of files as they are on disk, so that it can be printed, drawn and written.

    Python hands over the bytes of a name that it cannot decode, such as all above ASCII under an ASCII locale, as lone
    surrogates. Those that are UTF-8 become the letters that they are; others are written as \xff.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def text_bytes(text: str) -> bytes:
    """Return what is printable of a text in UTF-8."""
    return printable(text).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(of) for of in value]
    if isinstance(value, str):
        return printable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_device(path: str | os.PathLike) -> bool:
    """Whether a path is a device, a pipe or the like, whose place a file must not take: /dev/stdout is one."""
    path = Path(path).absolute()
    return path.parent in DEVICES or (path.exists() and not path.is_file() and not path.is_dir())


def refuse_pipe(path: str | os.PathLike) -> None:
    """Raise OSError if `path` is no file or folder, and if nothing is there: to open a pipe is to wait for ever."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "expected a file, found a pipe, a socket or a device", str(path))


def read_file(path: str | os.PathLike, at_most: int | None = None) -> bytes:
    """Return the content of a file, or its first `at_most` bytes; raises OSError, also for a pipe or a device."""
    refuse_pipe(path)
    with open(path, "rb") as file:
        return file.read(-1 if at_most is None else at_most)


def replace_file(path: str | os.PathLike, *content: bytes | memoryview) -> None:
    """Put `content` at `path` in one step that survives a crash or a power cut: the old file or the new one, whole.

    content: one piece or several, one after another. Where `path` is a link, the file that it leads to is written.
    What a process that was killed within this left of the same file (`abandoned`) is removed.
    Raises OSError if it cannot be written, as a device; the earlier file is then as it was.
    """
    # Beside the target, since a rename is atomic only within one file system; not by tempfile, whose files only
    # the owner may read.
    if is_device(path):
        raise OSError(errno.EINVAL, "a device or a pipe, not a file", str(path))
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    temporary = beside(path)
    try:
        with open(temporary, "xb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            now = os.fstat(file.fileno()).st_mtime
        os.replace(temporary, path)
    except BaseException as error:  # KeyboardInterrupt too
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # said of the file that was asked for
            error.filename, error.filename2 = str(path), None
        raise
    # The rename itself lasts once the folder is on disk; some systems cannot sync a folder.
    with suppress(OSError):
        for left in abandoned(path, now):
            left.unlink()
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def beside(path: Path) -> Path:
    """Return a new name beside a path for what is to take its place in one step."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def abandoned(path: Path, now: float) -> Iterator[Path]:
    """Yield what lies beside a path under such names and was last written to more than an hour before.

    now: in seconds, of the clock that dates the files, which is not this machine's where the folder is shared. A part
    that is being written is younger, however long that takes. Raises OSError.
    """
    of_path = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    for name in os.listdir(path.parent):
        if name[0] == "." and of_path.fullmatch(name) and os.lstat(path.with_name(name)).st_mtime < now - ABANDONED:
            yield path.with_name(name)


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, as `sha256sum` prints it."""
    refuse_pipe(path)
    with open(path, "rb") as file:
        return sha256_of_rest(file)


def sha256_of_rest(file: Any) -> str:
    """Return the SHA-256 of what is left of an open file, in hex."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
