"""Arrays that start on a cache line, and memory that is not given back to the system between two of them."""

import ctypes
import itertools
import math
import sys
import threading
from typing import Any

import numpy as np

LINE = 64  # bytes
FLOAT = 4
KEPT = 1 << 30  # bytes that are free but not given back
LARGEST = 1 << 25  # bytes of an allocation that may come from them, the most that glibc takes
_kept = False


def keep_memory() -> bool:
    """Ask the C library to keep what is freed; returns whether it does (glibc only).

    A training step frees and asks again for all its activations. Given back to the system in between, each page must be
    mapped and zeroed anew, which costs about as much as a kernel's pass over it, and more with several threads.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    return bool(mallopt(trim_threshold, KEPT)) and bool(mallopt(mmap_threshold, LARGEST))


def keep_memory_once() -> None:
    """Call `keep_memory` unless this process has: it holds for all of the C library, so not before a kernel runs."""
    global _kept
    if not _kept:
        _kept = True
        keep_memory()


def aligned(shape: tuple[int, ...], dtype: Any, zero: bool = False) -> np.ndarray:
    """Return an uninitialised (or zeroed) array whose first entry starts a 64-byte line."""
    dtype = np.dtype(dtype)
    raw = (np.zeros if zero else np.empty)(math.prod(shape) * dtype.itemsize + LINE, np.uint8)
    return np.ndarray(shape, dtype, raw, -raw.__array_interface__["data"][0] % LINE)


def round_up(n: int, multiple: int) -> int:
    """Smallest multiple that is at least n."""
    return -(-n // multiple) * multiple


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.room = np.empty(0, np.float32)


_scratch = _Scratch()


def scratch(*sizes: int) -> list[np.ndarray]:
    """Return arrays of so many floats, each on a cache line, that the next call (on this thread) will overwrite.

    For what lives only inside one kernel call: fresh memory would have to be mapped and zeroed by the system each time.
    All kernels share one room, as large as the most that a call has asked for. It begins as zeros and only floats are
    put there: a kernel may compute on rows that it then ignores, and bytes of old spikes read as floats are subnormal
    numbers, on which a multiplication takes a hundred times as long.
    """
    ends = list(itertools.accumulate(round_up(size, LINE // FLOAT) for size in sizes))
    if _scratch.room.size < ends[-1]:
        _scratch.room = np.empty(0, np.float32)  # the old room goes first
        _scratch.room = aligned((ends[-1],), np.float32, zero=True)
    return [_scratch.room[start : start + size] for start, size in zip([0, *ends], sizes, strict=False)]
