"""Loading the .cu files beside this one, and launching their kernels."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.compiling import load

__all__ = [
    "FILES",
    "OPTIONS",
    "Double",
    "blocks_for",
    "defines_for",
    "grid_over_rows",
    "lanes_for",
    "launch",
    "put",
    "ready",
    "source",
]

FOLDER = Path(__file__).parent
FILES = tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))
"""Names of the .cu files, without their ending."""

OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false")
"""Of the compiler. Without fused multiply-add, and with numbers below 2^-126 as they are, every expression rounds as
NumPy's does, so that spikes are the same."""

INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.M)  # what a .cu file asks for, once

THREADS = 256  # of a block, where a kernel does not ask for another number
LANES, ROWS = 32, 8  # as in common.cuh
MOST_LANES = 64  # of a block, where the others lie along something else
ROW_BLOCKS = 512  # blocks along the rows: enough to fill a large GPU, few enough for their partial sums to be small

MOST_STEPS = 8  # timesteps whose loads fit into the registers together
SPECIALISED = True  # neurons are compiled for the T and the surrogate that they meet


def source(file: str, defines: str = "") -> str:
    """Return the CUDA C of a .cu file, with what all of them share in front, and the definitions before that.

    What it includes is put in its place, for CuPy hands the compiler one text.
    """
    shared, text = (FOLDER / "common.cuh").read_text(), (FOLDER / f"{file}.cu").read_text()
    for found in INCLUDE.finditer(text):
        line = text.count("\n", 0, found.end()) + 1
        within = f'#line 1 "{found[1]}"\n{(FOLDER / found[1]).read_text()}#line {line} "{file}.cu"\n'
        text = text.replace(found[0], within)
    return f'{defines}{shared}#line 1 "{file}.cu"\n{text}'


def defines_for(timesteps: int, surrogate: int | None = None) -> str:
    """Return the definitions for kernels of T timesteps and a surrogate by its number; see common.cuh."""
    lines = f"#define STEPS {timesteps}\n" if timesteps <= MOST_STEPS else ""
    lines += "" if surrogate is None else f"#define SURROGATE {surrogate}\n"
    return lines if SPECIALISED else ""


@functools.cache
def _kernel(xp: Any, file: str, name: str, defines: str) -> Any:
    return _module(xp, file, defines).get_function(name)


@functools.cache
def _module(xp: Any, file: str, defines: str) -> Any:
    return load(xp, source(file, defines), OPTIONS)  # compiled at the first launch


def launch(file: str, name: str, grid: tuple[int, ...], block: tuple[int, ...], *args: Any, defines: str = "") -> None:
    """Start kernel `name` of `file`.cu, compiled with some definitions, on the current stream.

    args: GPU arrays, C-contiguous, one of them first; Python bools and ints become int32, floats and NumPy's float64
    become float32, a `Double` float64; other NumPy scalars stay as they are.
    Raises ValueError for an array that is not contiguous: a kernel would ignore its strides, and CuPy says nothing.
    """
    made = []
    for k, a in enumerate(args):
        convert = _CONVERSIONS.get(type(a))
        if convert is not None:
            a = convert(a)
        elif not a.flags.c_contiguous:
            raise ValueError(f"{name}: argument {k} of shape {a.shape} is not C-contiguous")
        made.append(a)
    _kernel(array_module(args[0]), file, name, defines)(grid, block, tuple(made))


class Double(NamedTuple):
    """A number that a kernel takes as a double."""

    value: float


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {  # a step launches hundreds of kernels, and the host is what it costs
    bool: np.int32,
    int: np.int32,
    float: np.float32,
    np.float64: np.float32,
    np.int32: np.int32,
    np.int64: np.int64,
    np.float32: np.float32,
    Double: lambda a: np.float64(a.value),
}


def blocks_for(n: int, each: int = THREADS) -> tuple[int]:
    """Return a grid of enough blocks for n threads."""
    return ((n + each - 1) // each,)


def grid_over_rows(rows: int, channels: int) -> tuple[int, int]:
    """Return the grid of a kernel with blocks (32, 8): lanes along channels, warps along rows, in strides."""
    return max(1, min((rows + ROWS - 1) // ROWS, ROW_BLOCKS)), (channels + LANES - 1) // LANES


def put(result: Array, out: Array | None) -> Array:
    """Return the result, written to out if there is one."""
    if out is None:
        return result
    out[...] = result
    return out


def lanes_for(*arrays: Array) -> tuple[int, int]:
    """Return (channels that a thread takes at once, threads along the channels) for arrays [..., C].

    Four where C is a multiple of four and the arrays begin at a multiple of four entries.
    """
    channels = arrays[0].shape[-1]
    each = 1 if channels % 4 or any(a.data.ptr % (4 * a.itemsize) for a in arrays) else 4
    lanes = channels // each
    return each, -(-lanes // -(-lanes // MOST_LANES))  # so that the last turn has as many as the others


def ready(*arrays: Array | None, dtype: type = np.float32) -> bool:
    """Whether the kernels take these arrays: of the type, at least one entry each, or None."""
    return all(x is None or (x.dtype == dtype and x.size > 0) for x in arrays)
