"""Launching a kernel on the CPU, with the checks of arguments that CuPy does not make."""

import ctypes
from typing import Any

import numpy as np

from tests.support.shim.build import build, kernel_names

LIMITS = (2**31 - 1, 65535, 65535)  # of a grid
SHARED_BYTES = 48 * 1024
THREADS = 1024


class LaunchError(RuntimeError):
    """A launch that a GPU would refuse, or that would go wrong there without a word."""


def load(source: str, race: bool = False) -> dict[str, "Kernel"]:
    """Compile a source and return its kernels by name."""
    library = build(source, race)
    return {name: Kernel(library, name) for name in kernel_names(source)}


class Kernel:
    """One kernel. order: of threads and blocks, 0 rising, 1 falling, above 1 shuffled by that seed."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name, self.order = name, 0
        self._launch = getattr(library, f"launch_{name}")
        self._launch.restype = ctypes.c_char_p
        self._library = library
        self._watched = hasattr(library, "shim_race_clear")
        signature = getattr(library, f"signature_{name}")
        signature.restype = ctypes.c_char_p
        self.parameters = signature().decode().split()

    def launch(self, grid: tuple, block: tuple, args: tuple, shared_mem: int = 0) -> None:
        """Run it on NumPy arrays, which stand for GPU arrays, and NumPy scalars; anything else is refused."""
        grid, block = (tuple(int(v) for v in t) + (1,) * (3 - len(t)) for t in (grid, block))
        if min(grid) < 1 or min(block) < 1:
            raise LaunchError(f"{self.name}: empty launch {grid} {block} (CuPy would run one block)")
        too_many = int(np.prod(block)) > THREADS or any(g > most for g, most in zip(grid, LIMITS, strict=True))
        if too_many or shared_mem > SHARED_BYTES:
            raise LaunchError(f"{self.name}: over the limits of the device: {grid} {block} {shared_mem}")
        if len(args) != len(self.parameters):
            raise LaunchError(f"{self.name}: {len(args)} arguments for {len(self.parameters)}: {self.parameters}")
        kept = [self._argument(k, a, p) for k, (a, p) in enumerate(zip(args, self.parameters, strict=True))]
        if self._watched:
            self._watch(args)
        three = ctypes.c_uint * 3
        pointers = (ctypes.c_void_p * len(kept))(*(ctypes.addressof(c) for c in kept))
        order, shared = ctypes.c_int(self.order), ctypes.c_size_t(shared_mem)
        error = self._launch(three(*grid), three(*block), shared, order, pointers)
        if error:
            raise LaunchError(f"{self.name}: {error.decode()}")

    def _argument(self, k: int, a: Any, parameter: str) -> Any:
        at = f"{self.name} argument {k}"
        kind = parameter.split("*")[-1]
        if "*" in parameter:
            if not isinstance(a, np.ndarray):
                raise LaunchError(f"{at}: {type(a).__name__} for a pointer")
            if f"{a.dtype.kind}{a.dtype.itemsize}" != kind:
                raise LaunchError(f"{at}: array of {a.dtype} for {parameter}")
            if not a.flags.c_contiguous:
                raise LaunchError(f"{at}: not C-contiguous; the kernel would ignore its strides")
            return ctypes.c_void_p(a.ctypes.data)
        if not isinstance(a, np.generic):
            raise LaunchError(f"{at}: {type(a).__name__}; CuPy sends a Python number as 8 bytes")
        if f"{a.dtype.kind}{a.dtype.itemsize}" != kind:
            raise LaunchError(f"{at}: {a.dtype} for {parameter}")
        return (ctypes.c_char * a.itemsize).from_buffer_copy(a.tobytes())

    def _watch(self, args: tuple) -> None:
        self._library.shim_race_clear()
        for k, a in enumerate(args):
            if isinstance(a, np.ndarray):
                start, size = ctypes.c_void_p(a.ctypes.data), ctypes.c_size_t(a.nbytes)
                self._library.shim_race_range(start, size, ctypes.c_int(k))
