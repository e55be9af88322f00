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
"""Of the shared pool. used and peak: bytes of arrays that live now, and at most so far. held: what the pool has of the
device, which it keeps until it is told to free it. limit: what `set_limit` set; device: of all pools; 0 for none."""

pools: "weakref.WeakSet[OwnPool]" = weakref.WeakSet()
"""The others."""

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


_owners: dict[int, "Owner"] = weakref.WeakValueDictionary()  # type: ignore[assignment]
_recorded_in: "OwnPool | None" = None  # whose memory the recording takes
_fresh: "Owner | None" = None  # of what was allocated last, until an array has it


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`, with the same words."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        more = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{more}).")


OutOfMemoryError.__module__ = "cupy.cuda.memory"


class OwnPool:
    """What `cupy.cuda.MemoryPool` counts: bytes of arrays that live (used), and of all blocks (held).

    Blocks fit as well as can be: more is asked of the device only where what lives is more than ever.
    """

    def __init__(self) -> None:
        self.used = self.held = 0
        pools.add(self)

    def grow(self, size: int) -> None:
        """Ask the device for so many bytes more."""
        raise NotImplementedError

    def take(self, buffer: np.ndarray) -> None:
        """Make a buffer one of this pool."""
        global _fresh
        if (more := self.used + buffer.nbytes - self.held) > 0:
            self.grow(more)
            self.held += more
        _fresh = _owners[id(buffer)] = Owner(self, buffer)


class Owner:
    """What all arrays in one buffer of a pool of its own hold: the memory is used as long as one of them lives.

    The buffer itself lives longer, if a recording works on it.
    """

    def __init__(self, own: OwnPool, buffer: np.ndarray) -> None:
        self.pool, self.size, self.buffer = own, buffer.nbytes, weakref.ref(buffer)
        self.recorded = capturing is not None
        own.used += self.size

    def __del__(self) -> None:
        self.pool.used -= self.size


def owner_of(buffer: np.ndarray) -> Owner | None:
    """The owner of the memory that a buffer is a part of, if that is of a pool of its own."""
    global _fresh
    if not _owners:
        return None
    while isinstance(buffer.base, np.ndarray):
        buffer = buffer.base
    owner = _owners.get(id(buffer))
    if owner is None or owner.buffer() is not buffer:
        return None
    if owner is _fresh:
        _fresh = None
    return owner


def of_this_pool(own: OwnPool) -> list[Owner]:
    """Owners of memory that was taken from there while nothing was recorded, and is used."""
    return [owner for owner in list(_owners.values()) if owner.pool is own and not owner.recorded]


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
    global capturing, _recorded_in
    capturing, _recorded_in = stream, None
    recorded.clear()
    _before[:] = [(x, x.copy()) for x in list(_live.values())]


def end() -> tuple[list[Callable[[], object]], OwnPool | None]:
    """End the recording; returns what ran, and the pool that the last memory for it is of."""
    global capturing, _recorded_in
    capturing, pool_of_it, _recorded_in = None, _recorded_in, None
    held = {id(x) for x, _ in _before}
    for x, kept in _before:
        np.copyto(x, kept)
    for x in list(_live.values()):
        if id(x) not in held and id(x) in _zoned:
            x[PAD:-PAD] = POISON
    _before.clear()
    done = list(recorded)
    recorded.clear()
    return done, pool_of_it


def track(buffer: np.ndarray) -> None:
    """Count a buffer's bytes as used until it is freed."""
    global _recorded_in
    if capturing is not None and not allocators:
        raise RuntimeError("memory of the shared pool while a stream is capturing")
    _live[id(buffer)] = buffer
    if allocators:
        own: OwnPool = allocators[-1].__self__
        own.take(buffer)
        if capturing is not None:
            _recorded_in = own
            recorded.append(lambda: buffer)  # the graph works on it, whoever has the memory by then
        return
    used, limit = pool["used"] + buffer.nbytes, pool["limit"]
    if limit and used > limit:
        raise OutOfMemoryError(buffer.nbytes, pool["used"], limit)
    if used > pool["held"] and not device_has(used - pool["held"]):
        pool["held"] = pool["used"]  # it frees its own blocks, and tries again
        if not device_has(used - pool["held"]):
            raise OutOfMemoryError(buffer.nbytes, pool["used"])
    pool["used"], pool["held"] = used, max(pool["held"], used)
    pool["peak"] = max(pool["peak"], used)
    weakref.finalize(buffer, pool.subtract, {"used": buffer.nbytes})


def device_has(more: int) -> bool:
    """Whether so many bytes of the device are in no pool."""
    return not pool["device"] or pool["held"] + sum(own.held for own in pools) + more <= pool["device"]


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
    pool["peak"], pool["held"], pool["limit"], pool["device"] = pool["used"], pool["used"], 0, 0
