"""Numbers that a device counts or computes, kept there in one array until the host reads all of them at once."""

from typing import Any

import numpy as np

from snncore.backend import Array, asnumpy

__all__ = ["Tally"]

SLOTS = 256
AT_ONCE = 4  # as `count_spikes_of_four` takes


class Tally:
    """Slots of 64 bits on a device: counts of spikes and single numbers. On a GPU nothing waits before `read`.

    xp: the array module, NumPy or CuPy.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.chunks: list[Array] = []  # int64 [SLOTS] each
        self.used = 0
        self.waiting: list[Array] = []  # spikes on a GPU, whose slots are the last: a launch counts several

    def _slot(self, kind: type) -> Array:
        place = self.used % SLOTS
        if place == 0:
            self.chunks.append(self.xp.zeros(SLOTS, np.int64))
        self.used += 1
        return self.chunks[-1].view(kind)[place : place + 1].reshape(())

    def count(self, s: Array) -> int:
        """Count the entries of s, uint8, that are not zero; returns the number of the slot."""
        if self.xp is np:
            self._slot(np.int64)[...] = np.count_nonzero(s.view(bool))
        else:
            if self.used % SLOTS == 0:
                self._count_waiting()  # the next slot is in another chunk
            self._slot(np.uint64)
            self.waiting.append(s)
            if len(self.waiting) == AT_ONCE:
                self._count_waiting()
        return self.used - 1

    def _count_waiting(self) -> None:
        if self.waiting:
            from snncore.kernels.cuda.spikes import count_spikes_of_four

            end = (self.used - 1) % SLOTS + 1
            count_spikes_of_four(self.waiting, self.chunks[-1].view(np.uint64)[end - len(self.waiting) : end])
            self.waiting = []

    def keep(self, x: Array) -> int:
        """Keep a number, an array of shape (); returns the number of the slot."""
        self._count_waiting()
        self._slot(np.float64)[...] = x
        return self.used - 1

    def read(self) -> "Reading":
        """Wait for the device, once, and return all slots."""
        self._count_waiting()
        return Reading(np.concatenate([asnumpy(chunk) for chunk in self.chunks] or [np.zeros(0, np.int64)]))


class Reading:
    """What a Tally held."""

    def __init__(self, slots: np.ndarray) -> None:
        self.slots = slots

    def count(self, slot: int) -> int:
        """Return what was counted."""
        return int(self.slots[slot])

    def number(self, slot: int) -> float:
        """Return what was kept."""
        return float(self.slots.view(np.float64)[slot])
