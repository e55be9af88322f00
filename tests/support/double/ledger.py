"""What the double counts and holds: events, live bytes, red zones around every allocation."""

import collections
import weakref

import numpy as np

from tests.support.shim.kernel import LaunchError

events: collections.Counter = collections.Counter()
"""launch, h2d and d2h (copies that wait), h2d_async (from pinned memory, on a stream), sync."""

operations: collections.Counter = collections.Counter()
"""By name, what CuPy launches a kernel of its own for: arithmetic, copies on the device, fills, products."""

pool: collections.Counter = collections.Counter()
"""used and peak: bytes of arrays that live now, and at most so far. limit: what `set_limit` set, 0 for none."""

PAD = 64  # bytes of red zone on either side
GUARD, POISON = 0xFE, 0xFF  # of floats, POISON is NaN

capturing = False
_zoned: dict[int, np.ndarray] = weakref.WeakValueDictionary()  # type: ignore[assignment]


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`, with the same words."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"


def event(kind: str) -> None:
    """Count something; a copy that waits or a sync is an error while a stream is capturing."""
    events[kind] += 1
    if capturing and kind in ("h2d", "d2h", "sync"):
        raise RuntimeError(f"{kind} while a stream is capturing")


def track(buffer: np.ndarray) -> None:
    """Count a buffer's bytes as used until it is freed."""
    if pool["limit"] and pool["used"] + buffer.nbytes > pool["limit"]:
        raise OutOfMemoryError(
            f"Out of memory allocating {buffer.nbytes:,} bytes (allocated so far: {pool['used']:,} bytes, "
            f"limit set to: {pool['limit']:,} bytes)."
        )
    pool["used"] += buffer.nbytes
    pool["peak"] = max(pool["peak"], pool["used"])
    weakref.finalize(buffer, pool.subtract, {"used": buffer.nbytes})


def allocate(shape: int | tuple, dtype: object) -> np.ndarray:
    """Return poisoned memory between red zones."""
    kind = np.dtype(dtype)
    if kind.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {kind}")
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    buffer = np.full(size + 2 * PAD, GUARD, np.uint8)
    buffer[PAD : PAD + size] = POISON
    track(buffer)
    _zoned[id(buffer)] = buffer
    return buffer[PAD : PAD + size].view(kind).reshape(shape)


def check_zones(a: np.ndarray) -> None:
    """Raise LaunchError if something wrote around the allocation that a lies in."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    if _zoned.get(id(a)) is a and not ((a[:PAD] == GUARD).all() and (a[-PAD:] == GUARD).all()):
        raise LaunchError("a kernel wrote outside an allocation")


def clear() -> None:
    """Forget what was counted; live arrays stay counted."""
    events.clear()
    operations.clear()
    pool["peak"], pool["limit"] = pool["used"], 0
