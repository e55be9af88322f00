"""Who compiles a kernel: of several processes that share a cache folder one does, and the others take what it made.

A claim is a POSIX lock on one byte of a file in the folder, a byte for each kernel. It ends with the process, however
that ends. Where there are no such locks (another system, a folder that cannot be written), everyone compiles.
"""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Claims", "Taken", "claims_of", "leaving_taken"]

FILE = "snncore-kernels.lock"
LONGEST = 120.0  # seconds to wait for another process; what it makes takes 10, more on a machine that is busy
_leave = False


class Taken(Exception):
    """Another process is compiling this kernel, and this one is not to wait."""


class Claims:
    """The claims of this process in a cache folder."""

    def __init__(self, folder: Path) -> None:
        self.file: int | None = None  # open as long as the process: closing it would give up all
        if fcntl is not None:
            with contextlib.suppress(OSError):
                self.file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _lock(self, name: str, kind: int) -> None:
        if self.file is not None:
            fcntl.lockf(self.file, kind, 1, zlib.crc32(name.encode()))

    def take(self, name: str) -> bool:
        """Claim a kernel; returns whether another process had it first, so that the cache may hold it now.

        Waits for that process, or raises Taken (`leaving_taken`). Without locks, and after LONGEST, the claim is void.
        """
        start = time.monotonic()
        waited = False
        while True:
            try:
                self._lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB if fcntl else 0)
                return waited
            except (BlockingIOError, PermissionError):  # what POSIX lets a system say
                if _leave:
                    raise Taken(name) from None
                if time.monotonic() - start > LONGEST:
                    return True
                waited = True
                time.sleep(0.01)
            except OSError:  # a file system without locks
                return waited

    def give_up(self, name: str) -> None:
        """Give up a claim, if there is one."""
        with contextlib.suppress(OSError):
            self._lock(name, fcntl.LOCK_UN if fcntl else 0)


_claims: dict[Path, Claims] = {}


def claims_of(folder: Path) -> Claims:
    """Return the claims of this process in a folder."""
    if folder not in _claims:
        _claims[folder] = Claims(folder)
    return _claims[folder]


@contextlib.contextmanager
def leaving_taken() -> Iterator[None]:
    """Raise Taken for a kernel that another process is compiling, in place of waiting."""
    global _leave
    before, _leave = _leave, True
    try:
        yield
    finally:
        _leave = before
