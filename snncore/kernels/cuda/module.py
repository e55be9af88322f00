"""Loading the .cu files beside this one, and launching their kernels."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from snncore.backend import Array, cupy_module

__all__ = ["FILES", "OPTIONS", "blocks_for", "grid_over_rows", "launch", "ready", "source"]

FOLDER = Path(__file__).parent
FILES = tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))
"""Names of the .cu files, without their ending."""

OPTIONS = ("--std=c++17", "--fmad=false")
"""Of the compiler. Without fused multiply-add every expression rounds as NumPy's does, so that spikes are the same."""

THREADS = 256  # of a block, where a kernel does not ask for another number
LANES, ROWS = 32, 8  # as in common.cuh
ROW_BLOCKS = 512  # blocks along the rows: enough to fill a large GPU, few enough for their partial sums to be small


def source(file: str) -> str:
    """Return the CUDA C of a .cu file, with what all of them share in front."""
    return (FOLDER / "common.cuh").read_text() + f'#line 1 "{file}.cu"\n' + (FOLDER / f"{file}.cu").read_text()


@functools.cache
def _kernel(xp: Any, file: str, name: str) -> Any:
    return _module(xp, file).get_function(name)


@functools.cache
def _module(xp: Any, file: str) -> Any:
    return xp.RawModule(code=source(file), options=OPTIONS)  # compiled at the first launch, then kept on disk by CuPy


def launch(file: str, name: str, grid: tuple[int, ...], block: tuple[int, ...], *args: Any) -> None:
    """Start kernel `name` of `file`.cu on the current stream.

    args: GPU arrays, C-contiguous; Python bools and ints become int32, floats float32; NumPy scalars stay as they are.
    Raises ValueError for an array that is not contiguous: a kernel would ignore its strides, and CuPy says nothing.
    """
    made = []
    for k, a in enumerate(args):
        kind = type(a)
        if kind is int or kind is bool:
            a = np.int32(a)
        elif kind is float:
            a = np.float32(a)
        elif not isinstance(a, np.generic) and not a.flags.c_contiguous:
            raise ValueError(f"{name}: argument {k} of shape {a.shape} is not C-contiguous")
        made.append(a)
    _kernel(cupy_module(), file, name)(grid, block, tuple(made))


def blocks_for(n: int, each: int = THREADS) -> tuple[int]:
    """Return a grid of enough blocks for n threads."""
    return ((n + each - 1) // each,)


def grid_over_rows(rows: int, channels: int) -> tuple[int, int]:
    """Return the grid of a kernel with blocks (32, 8): lanes along channels, warps along rows, in strides."""
    return max(1, min((rows + ROWS - 1) // ROWS, ROW_BLOCKS)), (channels + LANES - 1) // LANES


def ready(*arrays: Array | None, dtype: type = np.float32) -> bool:
    """Whether the kernels take these arrays: of the type, at least one entry each, or None."""
    return all(x is None or (x.dtype == dtype and x.size > 0) for x in arrays)
