"""What the cores of a machine give: two halves of some work that share nothing, on one thread and on two.

A second core of a virtual machine may be the other half of the first, or somebody else's for a while, and no figure of
the processor shows it. The ratio of these times is what no program can exceed in the same turns.
"""

import numba
import numpy as np

HALVES = 2
ENTRIES = 4096  # of a half, float32: 16 KiB, which stay in the cache nearest to a core
ROUNDS = 800_000  # about 0.1 s a half


@numba.njit(parallel=True, fastmath=True)
def add_up(x: np.ndarray, rounds: int, sums: np.ndarray) -> None:
    """Add x [halves, n] over n and over all rounds, which differ, into sums [halves]."""
    for half in numba.prange(x.shape[0]):
        total = np.float32(0)
        for k in range(rounds):
            for i in range(x.shape[1]):
                total += x[half, i] * np.float32(k)
        sums[half] = total


class AloneRun:
    """The work, for a worker, whichever of its two words it is told."""

    def __init__(self) -> None:
        self.x, self.sums = np.ones((HALVES, ENTRIES), np.float32), np.zeros(HALVES, np.float32)

    def train(self) -> float:
        add_up(self.x, ROUNDS, self.sums)
        return float(self.sums[0])

    infer = train
