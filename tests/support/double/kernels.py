"""The compiler, and RawModule on the shim: launches are counted, and red zones looked at after each."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.double import ledger
from tests.support.double.array import inner, ndarray
from tests.support.shim.kernel import Kernel, load


class RawModule:
    """As `cupy.RawModule`. race: of every module made from now on, whether accesses are watched."""

    race = False

    def __init__(self, *, path: str) -> None:
        self._kernels = load(Path(path).read_text(), self.race)

    def get_function(self, name: str) -> "Function":
        """The kernel of that name."""
        if name not in self._kernels:
            raise KeyError(name)
        return Function(self._kernels[name])


def compile_using_nvrtc(source: str, options: tuple = ()) -> tuple[bytes, None]:
    """As `cupy.cuda.compiler.compile_using_nvrtc`; makes the source, which g++ compiles when it is loaded."""
    if not isinstance(options, tuple):
        raise TypeError("options must be a tuple")
    return source.encode(), None


class Function:
    """A kernel, to be launched. order: of threads and blocks, for all kernels; see the shim."""

    order = 0

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0, stream: Any = None) -> None:
        if any(isinstance(a, np.ndarray) for a in args):
            raise TypeError("a numpy.ndarray as an argument of a kernel")
        self.kernel.order = self.order
        buffers = tuple(inner(a) for a in args)
        self.kernel.launch(grid, block, buffers, shared_mem)
        ledger.event("launch")
        ledger.note(lambda: self.kernel.launch(grid, block, buffers, shared_mem))
        for a in args:
            if isinstance(a, ndarray):
                ledger.check_zones(a.buffer)
