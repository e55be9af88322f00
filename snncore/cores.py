"""How many cores this process may use."""

import os

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Return the number of cores that the system lets this process run on, of all where it does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
