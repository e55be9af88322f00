"""AMX on a processor without it: a handler of SIGILL (traps.c) does the tile instructions of compiled kernels."""

import ctypes
import hashlib
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.shim import build

SOURCE = Path(__file__).with_name("traps.c")
FLAGS = ("-x", "c", "-std=gnu11", "-O2", "-mno-avx", "-Wall", "-Werror", "-shared", "-fPIC", "-ffp-contract=off")
KINDS = ("configure", "read", "release", "zero", "load", "store", "usd", "ssd", "sud", "uud", "bf16")


class Emulator:
    """The handler while it is there."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        library.amx_count.restype = library.amx_faults.restype = ctypes.c_long
        self.before = {kind: library.amx_count(n) for n, kind in enumerate(KINDS)}
        self.faults_before = library.amx_faults()

    def counts(self) -> dict[str, int]:
        """Instructions done since it was put there, without those that none was of."""
        found = {kind: self.library.amx_count(n) - self.before[kind] for n, kind in enumerate(KINDS)}
        return {kind: n for kind, n in found.items() if n}

    def faults(self) -> int:
        """Instructions that a processor with AMX would have refused."""
        return int(self.library.amx_faults() - self.faults_before)


def can_emulate() -> bool:
    """Whether there is a compiler, on a system where the handler can work."""
    return sys.platform.startswith("linux") and platform.machine() == "x86_64" and build.compiler() is not None


@contextmanager
def emulated() -> Iterator[Emulator]:
    """Do the instructions of AMX in this block, in all threads."""
    text = SOURCE.read_text()
    target = build.CACHE / f"amx-{hashlib.sha256((text + str(FLAGS)).encode()).hexdigest()[:24]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        build._make(target, [*FLAGS, str(SOURCE)])
    library = ctypes.CDLL(str(target))
    assert library.amx_install() == 0
    try:
        yield Emulator(library)
    finally:
        assert library.amx_remove() == 0
