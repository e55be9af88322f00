"""Memory for recorded work: a pool beside CuPy's own, under one limit with it, and the most that both ever took."""

import weakref
from typing import Any

from snncore.backend import cupy_module
from snncore.context import context

__all__ = ["Blocks", "free_shared", "peak_bytes", "pool_bytes"]

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation

_taking: "weakref.WeakSet[Blocks]" = weakref.WeakSet()
_most = 0  # bytes of all pools, when they were looked at last
_lowered = 0, 0  # the limit that was set, and what is left of it for CuPy's own pool


class Blocks:
    """Takes blocks from the device for one pool, as the allocator of a `cupy.cuda.MemoryPool`; counts what it took.

    Raises MemoryError where the device, or what `--memory-limit` allows to all pools together, has no more. Not the
    error of CUDA: at that CuPy's pool gives back the blocks that no array lies in, and recorded work may write to them.
    """

    def __init__(self) -> None:
        self.cupy, self.taken = cupy_module(), 0
        self.shared = self.cupy.get_default_memory_pool()
        _taking.add(self)
        weakref.finalize(self, _share, self.shared).atexit = False  # the limit is no longer shared then

    def __call__(self, size: int) -> Any:
        memory = self._take(size)
        if memory is None and not context.capturing:  # freeing waits for the device
            free_shared()
            memory = self._take(size)
        if memory is None:
            raise MemoryError(f"{size:,} bytes were asked for, beside {pool_bytes():,} for recorded work")
        self.taken += size
        _share(self.shared)
        return self.cupy.cuda.MemoryPointer(memory, 0)

    def _take(self, size: int) -> Any:
        if (limit := _limit(self.shared)) and self.shared.total_bytes() + pool_bytes() + size > limit:
            return None
        try:
            return self.cupy.cuda.Memory(size)
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != OUT_OF_MEMORY:
                raise
        return None

    def gave_back(self, left: int) -> None:
        """Tell what the pool still has."""
        self.taken = left
        _share(self.shared)


def _limit(shared: Any) -> int:
    """Bytes that all pools may take together, 0 for no limit."""
    found = shared.get_limit()
    whole, left = _lowered
    return whole if found == left else found


def _share(shared: Any) -> None:
    """Leave to CuPy's own pool what the others have not taken of the limit."""
    global _lowered
    if limit := _limit(shared):
        _lowered = limit, max(1, limit - pool_bytes())
        shared.set_limit(size=_lowered[1])


def pool_bytes() -> int:
    """Bytes that the pools for recorded work have of the device, beside CuPy's own pool."""
    return sum(blocks.taken for blocks in _taking)


def free_shared() -> None:
    """Give back the blocks of CuPy's own pool that no array lies in; waits for the device."""
    peak_bytes()
    cupy_module().get_default_memory_pool().free_all_blocks()


def peak_bytes(anew: bool = False) -> int:
    """Return the most bytes that all pools had so far; anew: and forget it."""
    global _most
    found = max(_most, cupy_module().get_default_memory_pool().total_bytes() + pool_bytes())
    _most = 0 if anew else found
    return found
