"""The decorator of compiled kernels: what Numba may assume, a cache on disk, and word of the first compilation.

Numba compiles a kernel at its first call and keeps it beside the source (or in the user's cache folder if that cannot
be written). It looks for changes in the kernel's own file only; the intrinsics are in another, so `cache_key` says when
any file of this folder changed, and what was kept before is then removed.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "OMP_WAIT_POLICY" not in os.environ:  # wait for the next kernel some 30 microseconds, then leave the core to others
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numba

__all__ = ["KERNELS", "compiled"]

FASTMATH = {"contract", "nsz", "arcp"}  # not "reassoc", so that a result does not depend on the width of a register
KERNELS: list[Any] = []
"""Every compiled kernel, in the order of definition."""


def compiled(parallel: bool = False, exact: bool = False, inline: bool = False) -> Callable:
    """Compile a kernel: `exact` keeps every float operation as written, `inline` puts it into its callers.

    Division by zero gives inf, not an exception: a test for it in each step would keep a loop from being vectorised.
    """

    def decorate(function: Callable) -> Any:
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": False if exact else FASTMATH}
        if inline:
            return numba.njit(inline="always", **options)(function)
        kernel = numba.njit(parallel=parallel, nogil=True, cache=True, **options)(function)
        KERNELS.append(kernel)
        return kernel

    return decorate


def cache_key() -> str:
    """Hash of every source file of this folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def prepare_cache() -> None:
    """Remove what was compiled from other sources; say so on stderr if kernels are to be compiled."""
    folder = Path(KERNELS[0].stats.cache_path)
    stamp = folder / "snncore-kernels.sha256"
    key = cache_key()
    try:
        if stamp.read_text() == key:
            return
    except OSError:
        pass
    names = {kernel.py_func.__name__ for kernel in KERNELS}
    for path in folder.glob("*.nb[ic]"):
        if path.name.split(".")[1].split("-")[0] in names:
            path.unlink(missing_ok=True)
    print("snncore: compiling the CPU kernels, once for this machine (about a minute) ...", file=sys.stderr, flush=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(key)
    except OSError:  # a read-only folder: Numba compiles in every process
        pass
