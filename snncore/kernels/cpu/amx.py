"""AMX, the tiles of Intel's server processors since 2023: whether they are here, permitted, and asked for.

Three things must hold before a kernel on tiles runs:

- the processor has `amx-tile` and `amx-int8`, and the system saves the tiles of a thread;
- the system lets this process use them: Linux wants to be asked once per process, before the first tile, by
  `arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`; threads that are there or come later, and forks, have it too;
- SNNCORE_AMX is `on`. It is `off` unless set: the one processor with AMX that has run these kernels was no quicker with
  them at the densities of trained networks (docs/exact.md); `python -m snncore --check-amx` tells of another.

Where one of them fails, the other kernels run, and nothing is said.
"""

import ctypes
import functools
import os
import platform
import sys

import llvmlite.binding as llvm
import numba

from snncore.backend import BackendError
from snncore.nearest import one_of

__all__ = ["CHOICES", "FEATURES", "choice", "on_processor", "refusal", "status", "used"]

CHOICES = ("off", "on")
FEATURES = ("amx-tile", "amx-int8")
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18  # asm/unistd_64.h, asm/prctl.h, asm/fpu/types.h


def choice() -> str:
    """Return what SNNCORE_AMX says, one of CHOICES; raises BackendError for another value."""
    found = os.environ.get("SNNCORE_AMX", "off")
    if found not in CHOICES:
        raise BackendError(f"SNNCORE_AMX: {one_of(found, CHOICES)}")
    return found


def on_processor() -> bool:
    """Whether there are tiles of bytes; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES mask them, as they do AVX-512."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    name, features = (getattr(numba.config, key) for key in ("CPU_NAME", "CPU_FEATURES"))
    if name or features is not None:
        return all(f"+{feature}" in (features or "").split(",") for feature in FEATURES)
    found = llvm.get_host_cpu_features()
    return all(found.get(feature, False) for feature in FEATURES)


@functools.cache
def refusal() -> str:
    """Ask the system for tiles, once per process; returns why it refuses them, "" if it does not."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0:
            return ""
    except (AttributeError, OSError) as error:
        return str(error)
    return os.strerror(ctypes.get_errno())


def used() -> bool:
    """Whether kernels on tiles run."""
    return choice() == "on" and on_processor() and not refusal()


def status() -> str:
    """Say whether AMX is here, permitted and used, and where it is not, why; raises BackendError as `choice`."""
    asked = choice()
    if not on_processor():
        why = "masked or not on this processor" if _is_masked() else "not on this processor"
        return why if asked == "off" else f"asked for (SNNCORE_AMX=on), but {why}"
    if why := refusal():
        return f"on this processor, refused by the system: {why} (SNNCORE_AMX={asked})"
    if asked == "off":
        return "on this processor, permitted, not used (SNNCORE_AMX=off); python -m snncore --check-amx tests it"
    return "on this processor, permitted, used by exact sums of spikes (SNNCORE_AMX=on)"


def _is_masked() -> bool:
    return bool(numba.config.CPU_NAME or numba.config.CPU_FEATURES is not None)  # type: ignore[attr-defined]
