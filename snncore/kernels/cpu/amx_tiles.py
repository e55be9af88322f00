"""The six things that a kernel does with tiles, each in two ways: the instructions of AMX, and plain integers.

A tile is 16 rows of 64 bytes. Six of the eight are products and sums of a square of 2 x 2:

    tiles 0 to 3: sums, int32 [16, 16]        tiles 4, 5: left, uint8 [16 pixels, 64]
                                              tiles 6, 7: right, int8 [16, 16 columns, 4]
    sums[2 i + j][r, c] += sum over k < 64 of left[i][r, k] * right[j][k / 4, c, k % 4]        (`tdpbusd`)

A kernel calls `open_tiles` once per item of work and passes on what that returns. Its argument decides what is
compiled: CONFIGURATION, the 64 bytes that AMX wants, gives the instructions; PLAIN, of two dimensions, gives loops over
integers, with the same addresses, steps and order. All else in a kernel is one code, and everything but the six
instructions below is compiled and run on any machine.

The instructions are assembly, not LLVM's own functions for them, which are refused unless the target has AMX: so that
they are compiled, though not run, wherever there is an x86-64.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from snncore.kernels.cpu.simd import INT64

__all__ = [
    *("BYTES", "CONFIGURATION", "PLAIN", "ROWS", "TILE"),
    *("add_products", "close_tiles", "load_operands", "open_tiles", "store_sums", "zero_sums"),
]

ROWS, BYTES = 16, 64  # of a tile
TILE = ROWS * BYTES
STEP = 256  # bytes from a row of sums to the next: 64 lanes, of which a square of tiles fills 32

CONFIGURATION = np.zeros(64, np.uint8)
CONFIGURATION[0] = 1  # the palette: eight tiles of a kilobyte
CONFIGURATION[16:32:2] = BYTES  # in each row, 16 bits a tile
CONFIGURATION[48:56] = ROWS
PLAIN = CONFIGURATION[None]


def _instructions(text: str, constraints: str, count: int) -> Any:
    """Return an intrinsic of `count` int64 arguments that is this assembly."""

    @intrinsic
    def run(typing: Any, arguments: Any) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
            llvm.initialize_native_asmparser()
            values = [b.extract_value(args[0], i) for i in range(count)]
            kind = ir.FunctionType(ir.VoidType(), [INT64] * count)
            b.call(ir.InlineAsm(kind, text, constraints, side_effect=True), values)
            return context.get_dummy_value()

        return types.void(arguments), generate

    return run


# AT&T syntax: the operand that is written comes last, and of a product the left factor comes second.
_configure = _instructions("ldtilecfg ($0)", "r,~{memory}", 1)
_release = _instructions("tilerelease", "", 0)
_zero = _instructions("tilezero %tmm0; tilezero %tmm1; tilezero %tmm2; tilezero %tmm3", "", 0)
_load = _instructions(
    "tileloadd ($0,$2,1), %tmm4; tileloadd ($1,$2,1), %tmm5; "
    f"tileloadd ($3,$4,1), %tmm6; tileloadd {TILE}($3,$4,1), %tmm7",
    "r,r,r,r,r,~{memory}",
    5,
)
_dot = _instructions(
    "tdpbusd %tmm6, %tmm4, %tmm0; tdpbusd %tmm7, %tmm4, %tmm1; "
    "tdpbusd %tmm6, %tmm5, %tmm2; tdpbusd %tmm7, %tmm5, %tmm3",
    "",
    0,
)
_store = _instructions(
    f"tilestored %tmm0, ($0,$1,1); tilestored %tmm1, {BYTES}($0,$1,1); "
    f"tilestored %tmm2, {ROWS * STEP}($0,$1,1); tilestored %tmm3, {ROWS * STEP + BYTES}($0,$1,1)",
    "r,r,~{memory}",
    2,
)


def open_tiles(configuration: np.ndarray) -> np.ndarray:
    """Configure the tiles of this thread; returns what the functions below take."""
    raise NotImplementedError


def close_tiles(tiles: np.ndarray) -> None:
    """Give the tiles of this thread up, so that the system need not save them."""
    raise NotImplementedError


def zero_sums(tiles: np.ndarray) -> None:
    """Set the four sums to 0."""
    raise NotImplementedError


def load_operands(
    tiles: np.ndarray, left: np.ndarray, first: int, second: int, step: int, right: np.ndarray, at: int
) -> None:
    """Load two left tiles from the bytes `left`, at `first` and `second`, row r at + r * step; two right ones at `at`.

    The right ones lie one behind the other in `right`.
    """
    raise NotImplementedError


def add_products(tiles: np.ndarray) -> None:
    """Add the four products of a left and a right tile to the sums."""
    raise NotImplementedError


def store_sums(tiles: np.ndarray, product: np.ndarray, lane: int) -> None:
    """Store the sums in product, int32 from rows of 64 lanes: [32 rows, lane : lane + 32]."""
    raise NotImplementedError


def _either(function: Callable, on_tiles: Callable, plain: Callable) -> None:
    """Let the number of dimensions of the first argument decide which of two a kernel calls."""

    def choose(tiles: Any, *arguments: Any) -> Callable:
        return on_tiles if tiles.ndim == 1 else plain

    overload(function, strict=False)(choose)


def _open_amx(configuration):
    _configure((configuration.ctypes.data,))
    return configuration


def _open_plain(configuration):
    return np.empty((8, ROWS, BYTES), np.int32)  # a byte an integer; of sums, 16 in a row


def _close_amx(tiles):
    _release(())


def _close_plain(tiles):
    pass


def _zero_amx(tiles):
    _zero(())


def _zero_plain(tiles):
    tiles[:4] = 0


def _load_amx(tiles, left, first, second, step, right, at):
    start = left.ctypes.data
    _load((start + first, start + second, step, right.ctypes.data + at, 64))


def _load_plain(tiles, left, first, second, step, right, at):
    for n in range(TILE):
        r, k = n // BYTES, n % BYTES
        tiles[4, r, k], tiles[5, r, k] = left[first + r * step + k], left[second + r * step + k]
        tiles[6, r, k], tiles[7, r, k] = right[at + n], right[at + TILE + n]


def _dot_amx(tiles):
    _dot(())


def _dot_plain(tiles):
    for n in range(4 * ROWS * 16):
        i, r, c = n // (ROWS * 16), n // 16 % ROWS, n % 16
        total = 0
        for k in range(BYTES):
            total += tiles[4 + i // 2, r, k] * tiles[6 + i % 2, k // 4, 4 * c + k % 4]
        tiles[i, r, c] += total


def _store_amx(tiles, product, lane):
    _store((product.ctypes.data + 4 * lane, STEP))


def _store_plain(tiles, product, lane):
    for n in range(4 * ROWS * 16):
        i, r, c = n // (ROWS * 16), n // 16 % ROWS, n % 16
        product[(i // 2 * ROWS + r) * (STEP // 4) + lane + 16 * (i % 2) + c] = tiles[i, r, c]


_either(open_tiles, _open_amx, _open_plain)
_either(close_tiles, _close_amx, _close_plain)
_either(zero_sums, _zero_amx, _zero_plain)
_either(load_operands, _load_amx, _load_plain)
_either(add_products, _dot_amx, _dot_plain)
_either(store_sums, _store_amx, _store_plain)
