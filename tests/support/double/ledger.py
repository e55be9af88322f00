"""What the double counts and holds: events, live bytes, red zones around every allocation."""

import collections
import weakref
from collections.abc import Callable
from typing import Any

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

capturing: Any = None
"""The stream that is recorded, if one is."""

current: list[Any] = []
"""The streams of the `with` blocks that run, innermost last."""

allocators: list[Any] = []
"""What the `using_allocator` blocks that run have set, innermost last."""

recorded: list[Callable[[], object]] = []
"""What has run since the recording began, to be done again."""

_live: dict[int, np.ndarray] = weakref.WeakValueDictionary()  # type: ignore[assignment]
_before: list[tuple[np.ndarray, np.ndarray]] = []  # every buffer, and what it held when the recording began
_zoned: dict[int, np.ndarray] = weakref.WeakValueDictionary()  # type: ignore[assignment]


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`, with the same words."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"


def event(kind: str) -> None:
    """Count something; a copy that waits or a sync is an error while a stream is capturing."""
    events[kind] += 1
    if capturing is not None and kind in ("h2d", "d2h", "sync"):
        raise RuntimeError(f"{kind} while a stream is capturing")


def note(again: Callable[[], object]) -> None:
    """While a stream is recorded, remember work that has just run; it must be on that stream."""
    if capturing is None:
        return
    if not current or current[-1] is not capturing:
        raise RuntimeError("work on another stream than the one that is capturing")
    recorded.append(again)


def refuse_capture(what: str) -> None:
    """What raises while a stream is recorded."""
    if capturing is not None:
        raise NotImplementedError(f"{what} during stream capture is unsupported")


def begin(stream: Any) -> None:
    """Begin to record. Work runs, to find shapes, but `end` takes back all that it writes: a GPU runs nothing."""
    global capturing
    capturing = stream
    recorded.clear()
    _before[:] = [(x, x.copy()) for x in list(_live.values())]


def end() -> list[Callable[[], object]]:
    """End the recording; returns what ran."""
    global capturing
    capturing = None
    held = {id(x) for x, _ in _before}
    for x, kept in _before:
        np.copyto(x, kept)
    for x in list(_live.values()):
        if id(x) not in held and id(x) in _zoned:
            x[PAD:-PAD] = POISON
    _before.clear()
    done = list(recorded)
    recorded.clear()
    return done


def track(buffer: np.ndarray) -> None:
    """Count a buffer's bytes as used until it is freed."""
    if capturing is not None and not allocators:
        raise RuntimeError("memory of the shared pool while a stream is capturing")
    if capturing is None and allocators:
        raise RuntimeError("memory of a pool for recordings outside of one: the next launch may write to it")
    _live[id(buffer)] = buffer
    if capturing is not None:
        recorded.append(lambda: buffer)  # the private pool keeps what a graph writes to
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
