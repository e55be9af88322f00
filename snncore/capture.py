"""Work on a GPU recorded once, as a CUDA graph, and launched again by a single call."""

import functools
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from snncore.backend import cupy_module
from snncore.context import changed, context
from snncore.recorded_memory import OUT_OF_MEMORY, Blocks, free_shared

__all__ = ["CaptureError", "Recorder", "recorders", "refuse_while_capturing", "release_all", "usable"]


class CaptureError(RuntimeError):
    """What was to be recorded cannot be."""


def refuse_while_capturing(why: str) -> None:
    """Raise CaptureError while work is recorded: called where something is made on the host that differs each time."""
    if context.capturing:
        raise CaptureError(why)


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


class Recorder:
    """A stream that can be recorded, as the one that CuPy works on cannot, and memory for what runs on it.

    A recorded kernel reads and writes the addresses that it was recorded with, also those of arrays that were dropped
    while it was recorded. So the arrays of a recording come from a pool of its own, and no array of it may be used
    after the next launch but those that the recording made to be read. Work that is launched as ever may take its
    memory there too (`lent`), so that there is no second pool as large, if it leaves nothing: `disturbed` tells.
    """

    def __init__(self) -> None:
        self.cupy = cupy_module()
        self.stream = _stream(self.cupy, self.cupy.cuda.runtime.getDevice())
        self.blocks = Blocks()
        self.pool = self.cupy.cuda.MemoryPool(self.blocks)
        self.kept: dict[tuple[Any, ...], Any] = {}  # what was recorded, by keys of those who share the memory
        self.held: int | None = None  # bytes that recordings keep to be read; None before the first
        self.room = 0  # bytes that a recording must leave to CuPy's own pool, beside what that has
        self.released = self.short = False
        _recorders.add(self)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work on this stream: after what the current stream was told so far, before what it is told next."""
        outer = self.cupy.cuda.get_current_stream()
        self.stream.wait_event(outer.record())
        try:
            with self.stream:
                yield
        finally:
            outer.wait_event(self.stream.record())

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Take memory from the pool for work that is not recorded; inside `working`.

        What is made inside must be dropped, or copied outside, before the next launch. Raises MemoryError as `Blocks`.
        """
        with self.cupy.cuda.using_allocator(self.pool.malloc):
            yield

    def record(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        """Return (what `work` returned, its graph) without running anything on the device; call inside `working`.

        `work` must have run before as it is, so that everything is compiled. Raises CaptureError, in one line, if it
        waits for the device or copies from the host, and MemoryError as `Blocks` or if there is no `room` left.
        """
        free_shared()
        self.stream.begin_capture()
        try:
            with changed("capturing", True), self.lent():
                result = work()
        except Exception as error:
            with suppress(Exception):  # what was recorded so far is of no use, and may be refused too
                self.stream.end_capture()
            if isinstance(error, MemoryError):
                raise
            raise CaptureError(_line(error)) from error
        try:
            graph = self.stream.end_capture()
        except Exception as error:
            raise CaptureError(_line(error)) from error
        self.held = self.pool.used_bytes()
        if self.room:
            self.cupy.empty(self.room, np.uint8)
            free_shared()
        return result, graph

    def disturbed(self) -> bool:
        """Whether an array was left in memory that a launch may write to, which must not be launched then."""
        if self.held is None:
            return False
        if self.pool.used_bytes() > self.held:
            gc.collect()
        used = self.pool.used_bytes()
        found = used > self.held
        self.held = min(self.held, used)  # recordings may have been dropped
        return found

    def launch(self, graph: Any) -> None:
        """Launch a graph; raises MemoryError where the device has none for it."""
        try:
            graph.launch(self.stream)
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != OUT_OF_MEMORY:
                raise
            raise MemoryError("out of memory in launching a graph") from None

    def leave(self, kind: str, short: bool = False) -> None:
        """Forget what is in `kept` under keys that begin with `kind`; give the memory back if that is all, or if short.

        short: memory did not suffice.
        """
        for key in [key for key in self.kept if key[0] == kind]:
            self.forget(key)
        if short or not self.kept:
            self.release(short)

    def forget(self, key: tuple[Any, ...]) -> None:
        """Forget one of what is in `kept`; what it held is for work to come."""
        del self.kept[key]
        self.disturbed()

    def release(self, short: bool = False) -> None:
        """Forget all that is in `kept`, and give the memory back: nothing may be launched or recorded here any more."""
        self.released, self.short = True, self.short or short
        self.kept.clear()
        gc.collect()  # an error may have left arrays in the frames that it passed
        free_shared()
        self.pool.free_all_blocks()
        self.blocks.gave_back(self.pool.total_bytes())


@functools.cache
def _stream(cupy: Any, device: int) -> Any:
    """The stream of all recorders on a device: cuBLAS has a handle and 32 MiB for each stream that it ever met."""
    return cupy.cuda.Stream(non_blocking=True)


def usable(recorder: Recorder | None) -> Recorder:
    """Return the recorder, or another if there is none or its memory was given back."""
    return Recorder() if recorder is None or recorder.released else recorder


def recorders() -> list[Recorder]:
    """Return all that have memory."""
    return [recorder for recorder in _recorders if not recorder.released]


def release_all() -> bool:
    """Give back the memory of all recordings, for what cannot do without; returns whether there were any."""
    found = recorders()
    for recorder in found:
        recorder.release(short=True)
    return bool(found)


def _line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, CaptureError) else f"{type(error).__name__}: {text}"
