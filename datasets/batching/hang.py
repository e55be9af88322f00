"""A data loader that hangs: found by a clock, since whoever waits for it cannot look."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from snncore.deadline import limit_of
from snncore.parallel import Comm

__all__ = ["in_time"]

TIMEOUT = 300.0
"""Seconds in which a batch must come, unless SNNCORE_DATA_TIMEOUT says another number; fewer than ranks wait."""


def in_time(batches: Iterable[Any], comm: Comm, text: str, timeout: float | None = None) -> Iterator[Any]:
    """Pass batches on; if one does not come within `timeout` seconds, end the job, saying which rank waited for which.

    Of many ranks one that waits for its data holds up all, and each of them would only say that another hangs.
    """
    limit = _timeout() if timeout is None else timeout
    waits = _Waits()
    thread = threading.Thread(target=waits.watch, args=(limit, comm, text), name="data clock", daemon=True)
    thread.start()
    try:
        source = iter(batches)
        while True:
            waits.since = time.monotonic()
            try:
                batch = next(source)
            except StopIteration:
                return
            finally:
                waits.since = None
            waits.batch += 1
            yield batch
    finally:
        waits.over.set()


class _Waits:
    """Since when the next batch is waited for; None while one is worked on."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.batch, self.over = 1, threading.Event()

    def watch(self, limit: float, comm: Comm, text: str) -> None:
        while not self.over.wait(min(1.0, limit / 4)):
            since = self.since
            if since is not None and time.monotonic() - since > limit:
                comm.fail(
                    f"{text}: the data gave no batch for {limit:g} s (number {self.batch} since the program began to "
                    "read them); a file system or a decoder hangs"
                )


def _timeout() -> float:
    return limit_of("SNNCORE_DATA_TIMEOUT", TIMEOUT)
