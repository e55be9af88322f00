"""The clock of an event camera: going on over a wrap or a reset, and bringing events into the order of time."""

from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.media.events import Events

__all__ = ["continued", "in_order"]

MAX_STEP_BACK = 10_000  # us; an arbiter may swap neighbours, but what goes back further is another clock, or damage
MAX_GAP = 60_000_000  # us that may lie between the last event before a wrap and the first after it
MAX_AFTER_RESET = 1_000_000  # us on a clock that was reset just now
MAX_RESETS = 1000


def continued(path: str | Path, t: np.ndarray, bits: int = 32) -> np.ndarray:
    """Return the times of a clock of so many bits as those of one that never began again.

        t[i+1] < t[i] - 10 ms and (t[i+1] - t[i]) mod 2^bits <= 60 s     the counter wrapped: + 2^bits from i + 1 on
        t[i+1] < t[i] - 10 ms and t[i+1] <= 1 s                          it was reset: + t[i] from i + 1 on

    t: int64 [n], microseconds from 0 to 2^bits - 1; changed in place. Raises DataError for other steps back.
    Source: dat2mat.m of MNIST-DVS, which adds the last time when time goes back.
    """
    steps = np.flatnonzero(t[1:] < t[:-1] - MAX_STEP_BACK)
    if not len(steps):
        return t
    before, after = t[steps].tolist(), t[steps + 1].tolist()  # as they are in the file
    if len(steps) > MAX_RESETS:
        raise DataError(f"{path}: time goes back {len(steps)} times, expected recordings in the order of time")
    for i, last, first in zip(steps.tolist(), before, after, strict=True):
        if (first - last) % (1 << bits) <= MAX_GAP:
            t[i + 1 :] += 1 << bits
        elif first <= MAX_AFTER_RESET:
            t[i + 1 :] += last
        else:
            raise DataError(_backwards(path, last, first, i + 1))
    return t


def in_order(path: str | Path, events: Events) -> Events:
    """Return the events in the order of time, those of one time as they were.

    Raises DataError for time that goes back by more than 10 ms; what goes back by less is sorted.
    """
    t = events.t
    back = t[1:] < t[:-1]
    if not back.any():
        return events
    i = int(np.argmax(t[:-1] - t[1:]))
    if int(t[i]) - int(t[i + 1]) > MAX_STEP_BACK:
        raise DataError(_backwards(path, t[i], t[i + 1], i + 1))
    # A stable argsort in 8 bytes an event: time above, place below.
    order = t.astype(np.int64)
    order -= order.min()
    if int(order.max()) < 1 << 32:
        order <<= 31
        order |= np.arange(len(t), dtype=np.int32)
        order.sort()
        order &= 2**31 - 1
    else:  # longer than 71 minutes
        order = np.argsort(order, kind="stable")
    return Events(t[order], events.x[order], events.y[order], events.p[order], events.height, events.width)


def _backwards(path: str | Path, last: int, first: int, event: int) -> str:
    return (
        f"{path}: time goes back from {last} to {first} us at event {event}, expected recordings in the order of time "
        f"(to {MAX_STEP_BACK} us)"
    )
