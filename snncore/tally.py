"""Numbers that a device counts or computes, kept there in one array until the host reads all of them at once."""

from typing import Any

import numpy as np

from snncore.backend import Array, asnumpy

__all__ = ["Tally"]

SLOTS = 256


class Tally:
    """Slots of 64 bits on a device: counts of spikes and single numbers. On a GPU nothing waits before `read`.

    xp: the array module, NumPy or CuPy.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.chunks: list[Array] = []  # int64 [SLOTS] each
        self.used = 0

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
            from snncore.kernels.cuda.spikes import count_spikes

            count_spikes(s, self._slot(np.uint64))
        return self.used - 1

    def keep(self, x: Array) -> int:
        """Keep a number, an array of shape (); returns the number of the slot."""
        self._slot(np.float64)[...] = x
        return self.used - 1

    def read(self) -> "Reading":
        """Wait for the device, once, and return all slots."""
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
