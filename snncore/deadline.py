"""Limits on what may wait for ever: how long one is, and calls that keep Python from running, as those of MPI do."""

import faulthandler
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from snncore.backend import BackendError

__all__ = ["Overdue", "limit_of", "within"]

STANDARD_ERROR = 2


def limit_of(variable: str, default: float) -> float:
    """Return the seconds that an environment variable says, or the default; raises BackendError if they are none."""
    text = os.environ.get(variable, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise BackendError(f"{variable}: expected seconds above 0, found {text!r}")
    return seconds


@contextmanager
def within(seconds: float, quiet: bool = False) -> Iterator[None]:
    """End this process, with status 1, if the block takes longer than `seconds`.

    A thread of C watches, so that a call that never gives the interpreter back is ended too. It cannot print a message
    of ours: it writes `Timeout` and where every thread is to standard error, or nothing if `quiet`. Of blocks one
    inside another only the inner one is limited.
    """
    file = os.open(os.devnull, os.O_WRONLY) if quiet else STANDARD_ERROR
    faulthandler.dump_traceback_later(seconds, exit=True, file=file)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if quiet:
            os.close(file)


class Overdue:
    """Looks, from a thread, whether what a GPU was told is done in time; calls `late(name, seconds)` once if not.

    The limit of each begins when it was told, or when the one before it was done if that is later.
    """

    def __init__(self, limit: float, late: Callable[[str, float], Any]) -> None:
        self.limit, self.late = limit, late
        self.told: deque[tuple[float, str, Any]] = deque()
        self.thread: threading.Thread | None = None

    def add(self, name: str, event: Any) -> None:
        """Note an event of the GPU, with `done`, that comes after those before."""
        self.told.append((time.monotonic(), name, event))
        if self.thread is None:
            self.thread = threading.Thread(target=self._watch, name="clock of the GPU", daemon=True)
            self.thread.start()

    def _watch(self) -> None:
        last = 0.0
        while True:
            while self.told and self.told[0][2].done:
                self.told.popleft()
                last = time.monotonic()
            if self.told:
                began, name, _ = self.told[0]
                if (waited := time.monotonic() - max(began, last)) > self.limit:
                    self.late(name, waited)
                    return
            time.sleep(min(1.0, self.limit / 4))
