"""Batches on the device before they are needed: copied from pinned memory while the batch before is computed."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from snncore.backend import Array, cupy_module, parse_device, to_device

__all__ = ["upload_ahead"]

SLOTS = 2  # pinned buffers for each array: one being filled while the other is copied


def upload_ahead(batches: Iterable[tuple[np.ndarray, ...]], device: str) -> Iterator[tuple[Array, ...]]:
    """Yield each batch, a tuple of NumPy arrays, on `device` (see `snncore.backend.parse_device`).

    On a GPU the next batch is taken from `batches` and its copy begun before the current one is yielded, on a stream of
    its own; nothing waits on the host. On the CPU the arrays are yielded as they are, one batch after the other.
    """
    kind, index = parse_device(device)
    if kind == "cpu":
        for batch in batches:
            yield tuple(to_device(x, device) for x in batch)
        return
    with cupy_module().cuda.Device(index):
        uploader = _Uploader()
        ahead: tuple[tuple[Array, ...], Any] | None = None
        for batch in batches:
            begun = uploader.begin(batch)
            if ahead is not None:
                yield uploader.arrived(*ahead)
            ahead = begun
        if ahead is not None:
            yield uploader.arrived(*ahead)


class _Uploader:
    """Copies on a stream of its own, from pinned buffers that are used again in turn."""

    def __init__(self) -> None:
        self.cupy = cupy_module()
        self.stream = self.cupy.cuda.Stream(non_blocking=True)
        self.buffers: list[dict[int, np.ndarray]] = [{} for _ in range(SLOTS)]
        self.copied: list[Any] = [None] * SLOTS  # the event after the last copy out of each slot
        self.slot = 0

    def begin(self, batch: tuple[np.ndarray, ...]) -> tuple[tuple[Array, ...], Any]:
        """Begin to copy a batch; returns its arrays, which hold nothing yet, and the event after the copy."""
        slot, self.slot = self.slot, (self.slot + 1) % SLOTS
        before = self.copied[slot]
        if before is not None and not before.done:  # as good as never: that copy was begun two batches ago
            before.synchronize()
        # Memory that the current stream has just freed may be handed out: come after what it was told to do so far.
        self.stream.wait_event(self.cupy.cuda.get_current_stream().record())
        arrays = []
        for k, x in enumerate(batch):
            pinned = self._pinned(slot, k, x)
            pinned[...] = x
            arrays.append(self.cupy.empty(x.shape, x.dtype))
            arrays[-1].set(pinned, stream=self.stream)
        self.copied[slot] = self.stream.record()
        return tuple(arrays), self.copied[slot]

    def arrived(self, arrays: tuple[Array, ...], copied: Any) -> tuple[Array, ...]:
        """Make the current stream, not the host, wait for a batch, and return it."""
        self.cupy.cuda.get_current_stream().wait_event(copied)
        return arrays

    def _pinned(self, slot: int, k: int, x: np.ndarray) -> np.ndarray:
        buffer = self.buffers[slot].get(k)
        if buffer is None or (buffer.shape, buffer.dtype) != (x.shape, x.dtype):
            import cupyx

            buffer = self.buffers[slot][k] = cupyx.empty_pinned(x.shape, x.dtype)
        return buffer
