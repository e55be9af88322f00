"""The decorator of compiled kernels: what Numba may assume, and what is done before a kernel's first call.

Importing this module changes nothing in the process or on disk. The first call of any kernel tells the C library to
keep memory (`memory`), looks through the cache on disk (`cache`) and starts the threads (`threads`).
"""

from collections.abc import Callable
from typing import Any

import numba

from snncore.backend import BackendError
from snncore.kernels.cpu import cache, memory, threads

__all__ = ["KERNELS", "Kernel", "compiled"]

FASTMATH = {"contract", "nsz", "arcp"}  # not "reassoc", so that a result does not depend on the width of a register


class Kernel:
    """A function that Numba compiles at its first call with each signature, or finds in its cache.

    Other kernels may call it too: Numba sees the dispatcher behind it.
    """

    def __init__(self, function: Callable, parallel: bool, options: dict[str, Any]) -> None:
        self.function = function
        self.parallel = parallel
        self.dispatcher = numba.njit(parallel=parallel, nogil=True, **options)(function)
        self.ready = False

    def __call__(self, *args: Any) -> Any:
        """Run the kernel; raises BackendError where compiled kernels cannot run (a forked process, no compiler)."""
        if not self.ready:
            self.prepare()
        if self.parallel:
            with threads.one_at_a_time():
                return self.dispatcher(*args)
        return self.dispatcher(*args)

    def prepare(self) -> None:
        """Do what must come before the first call: once for the process, and once for this kernel."""
        with threads.starting:
            if self.ready:
                return
            if getattr(numba.config, "DISABLE_JIT", 0):
                raise BackendError("NUMBA_DISABLE_JIT is set, and compiled kernels need Numba's compiler: unset it")
            memory.keep_memory_once()
            self.dispatcher._cache = cache.cache_for(self.function)
            self.ready = True

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a global that a kernel calls."""
        return self.dispatcher._numba_type_


KERNELS: list[Kernel] = []
"""Every compiled kernel, in the order of definition."""


def compiled(parallel: bool = False, exact: bool = False, inline: bool = False) -> Callable:
    """Compile a kernel: `exact` keeps every float operation as written, `inline` puts it into its callers.

    What is inlined is compiled anew in each caller; anything else once, and LLVM puts it there as it sees fit.
    Division by zero gives inf, not an exception: a test for it in each step would keep a loop from being vectorised.
    """

    def decorate(function: Callable) -> Any:
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": False if exact else FASTMATH}
        if inline:
            return numba.njit(inline="always", **options)(function)
        kernel = Kernel(function, parallel, options)
        KERNELS.append(kernel)
        return kernel

    return decorate
