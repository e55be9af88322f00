"""A limit on calls that may wait for ever and keep Python from running, as the start and the end of MPI do."""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["within"]

STANDARD_ERROR = 2


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
