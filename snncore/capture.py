"""Work on a GPU recorded once, as a CUDA graph, and launched again by a single call."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from snncore.backend import cupy_module
from snncore.context import changed, context

__all__ = ["CaptureError", "Recorder", "pool_bytes", "refuse_while_capturing"]


class CaptureError(RuntimeError):
    """What was to be recorded cannot be."""


def refuse_while_capturing(why: str) -> None:
    """Raise CaptureError while work is recorded: called where something is made on the host that differs each time."""
    if context.capturing:
        raise CaptureError(why)


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def pool_bytes() -> int:
    """Bytes that the recorders of this process hold, beside the memory pool of CuPy."""
    return sum(recorder.pool.total_bytes() for recorder in _recorders)


class Recorder:
    """A stream that can be recorded, as the one that CuPy works on cannot, and memory for what is recorded on it.

    A recorded kernel reads and writes the addresses that it was recorded with, also those of arrays that were dropped
    while it was recorded. So the arrays of the recording, and nothing else, come from a pool of its own: what took
    memory from there later, such as a copy of the weights, would be overwritten by the next launch. No array of it may
    be used after the next launch but those that the recording made to be read.
    """

    def __init__(self) -> None:
        cupy = cupy_module()
        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.pool = cupy.cuda.MemoryPool()
        shared = cupy.get_default_memory_pool()
        if limit := shared.get_limit():  # of both together
            self.pool.set_limit(size=max(1, limit - shared.total_bytes()))
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

    def record(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        """Return (what `work` returned, its graph) without running anything on the device; call inside `working`.

        `work` must have run before as it is, so that everything is compiled. Raises CaptureError, in one line, if it
        waits for the device or copies from the host.
        """
        self.stream.begin_capture()
        try:
            with changed("capturing", True), self.cupy.cuda.using_allocator(self.pool.malloc):
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
        return result, graph


def _line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, CaptureError) else f"{type(error).__name__}: {text}"
