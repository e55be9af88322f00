"""One process at a time works in a run folder: a lock of the system, which ends with the process that holds it."""

import errno
import math
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from snncore.checkpoint import CheckpointError
from snncore.files import abandoned

__all__ = ["LOCK", "WRITTEN", "FolderInUse", "FolderLock", "make_new_folder"]

LOCK = ".lock"
# What a run writes in its folder while it holds the lock. Nothing else is looked for: an audit or an evaluation of the
# same folder may be writing at this moment, and takes no lock.
WRITTEN = ("config.json", "metrics.csv", "weights.csv", "curves.png", "last.safetensors", "previous.safetensors")
WRITTEN += ("best.safetensors",)


class FolderInUse(CheckpointError):
    """Another process works in the run folder; the message says which."""


class FolderLock:
    """Holds the lock of a run folder inside a `with` block; the file says process and host, for people.

    The system lets go of the lock when a process dies, however it dies, so that no lock is ever stale. Systems and file
    systems that have no such locks are used without. Parts of files that a killed run left behind are removed.
    Raises FolderInUse if another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / LOCK
        self._file: int | None = None

    def __enter__(self) -> "FolderLock":
        while not self._taken():
            pass  # the holder removed the file between our opening and our locking it
        if self._file is not None:
            for name in WRITTEN:
                with suppress(OSError):
                    for left in abandoned(self.folder / name, math.inf):  # of any age: nobody else writes these
                        left.unlink()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._file is not None:
            with suppress(OSError):
                self.path.unlink()  # before the lock goes, so that nobody else's is removed
            os.close(self._file)
            self._file = None

    def _taken(self) -> bool:
        try:
            import fcntl
        except ImportError:  # Windows
            return True
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be written to: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _read(file)
            os.close(file)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FolderInUse(f"{self.folder}: {holder or 'another process'} is training in this folder") from None
            return True  # no locks here
        if not self._is_at_path(file):
            os.close(file)
            return False
        self._file = file
        with suppress(OSError):  # a full disk: the lock holds without its text
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return True

    def _is_at_path(self, file: int) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        return False


def _read(file: int) -> str:
    with suppress(OSError):
        return os.pread(file, 200, 0).decode(errors="replace").strip()
    return ""


def make_new_folder(path: Path) -> Path:
    """Make a folder that was not there and return it: `path`, or with -2, -3, ... if that is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, candidate = 1, path
    while True:
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
