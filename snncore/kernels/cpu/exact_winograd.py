"""Exact dense 3x3 convolution of spikes: Winograd's F(2x2, 3x3) in integers, by dot products of bytes (AVX-512 VNNI).

A square of 2 x 2 output pixels takes 16 products a channel instead of 36 (Lavin and Gray, CVPR 2016), and with integers
it has no rounding:

    V = B^T d B       4 x 4 spikes d; sums of four, below 4 times the largest
    U = T q T^T       q the 3 x 3 integers of a weight, T the transform with its halves left out
    M = sum over channels of V * U, for each of the 16 places
    4 Y = A^T M A     A^T = [2 1 1 0; 0 1 -1 -2], with the halves put back: always a multiple of 4

    B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1]      T = [1 0 0; 1 1 1; 1 -1 1; 0 0 1]

V is made a byte without a sign by adding 128 wherever it can be negative, which is everywhere but at place (1, 1); what
that adds to 4 Y follows from the weights alone and is subtracted. U has the four signed digits of `exact_digits`. All
numbers stay below 2^53, so that float64 holds them.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.exact_bytes import CHANNELS, DIGITS, LANES, lay_windows
from snncore.kernels.cpu.exact_digits import ROWS, tile
from snncore.kernels.cpu.exact_weights import Packed, powers
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import DOUBLE, FLOAT, INT32, INT64
from snncore.kernels.reference.conv import conv_output_size

__all__ = ["LARGEST", "conv_forward", "pack", "takes"]

LARGEST = 63  # spike: 4 times 63 is a byte
DEEPEST = 4096  # input channels
SQUARES = 24  # of 2 x 2 output pixels in an item of work, at most; a multiple of ROWS
PLACES = 16
FIT = 127 * 0x01010101  # the largest integer of four signed digits
ACROSS = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T
SPREAD = ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1))  # T
BACK = ((2, 1, 1, 0), (0, 1, -1, -2))  # A^T
f32 = np.float32
BYTE = ir.IntType(8)
Pair = tuple[int, int]


def _splat(vector: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _at(b: ir.IRBuilder, address: Any, vector: ir.VectorType) -> Any:
    return b.inttoptr(address, vector.as_pointer())


def _load(b: ir.IRBuilder, address: Any, vector: ir.VectorType) -> Any:
    return b.load(_at(b, address, vector), align=1)


def _moved(b: ir.IRBuilder, address: Any, step: Any, count: int) -> Any:
    return b.add(address, b.mul(step, ir.Constant(INT64, count)))


def _sandwich(b: ir.IRBuilder, matrix: Any, inner: list[list[Any]], add: Any, subtract: Any) -> list[list[Any]]:
    """Return matrix @ inner @ matrix^T of vectors, for entries of 0, 1, -1, 2 and -2."""

    def combine(row: Any, values: list[Any]) -> Any:
        total = None
        for factor, value in sorted(zip(row, values, strict=True), key=lambda pair: -pair[0]):  # begin with a plus
            for _ in range(abs(factor)):
                total = value if total is None else (add if factor > 0 else subtract)(total, value)
        return total

    columns = [[combine(row, [line[j] for line in inner]) for row in matrix] for j in range(len(inner[0]))]
    return [[combine(row, [column[i] for column in columns]) for row in matrix] for i in range(len(matrix))]


@intrinsic
def spread_spikes(typing: Any, source: Any, step: Any, target: Any, place: Any) -> Any:
    """V of 64 channels, bytes: from pixels `step` apart at `source`, [4, 4], to places `place` apart at `target`."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        source, step, target, place = args
        vector = ir.VectorType(BYTE, 64)
        spikes = [[_load(b, _moved(b, source, step, 4 * i + j), vector) for j in range(4)] for i in range(4)]
        for n, value in enumerate(v for line in _sandwich(b, ACROSS, spikes, b.add, b.sub) for v in line):
            shifted = value if n == 5 else b.add(value, _splat(vector, 128))
            b.store(shifted, _at(b, _moved(b, target, place, n), vector), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def spread_weights(typing: Any, w: Any, tap: Any, row: Any, factor: Any, target: Any, place: Any, offset: Any) -> Any:
    """Digits of U of 4 input and 16 output channels, from float32 at w, taps and input channels `tap` and `row` apart.

    target: [PLACES] of [LANES, 4] int8, `place` apart. offset: float64 [4, 16], what 128 adds to 4 Y, to which that of
    these channels is added; behind it int32 [16], the largest U yet.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        w, tap, row, factor, target, place, offset = args
        whole, narrow, wide = (ir.VectorType(kind, CHANNELS) for kind in (INT32, FLOAT, DOUBLE))
        nearest = b.module.globals.get("llvm.rint.v16f32") or ir.Function(
            b.module, ir.FunctionType(narrow, [narrow]), "llvm.rint.v16f32"
        )
        scale = _load(b, factor, narrow)
        packed = [[_splat(whole, 0)] * DIGITS for _ in range(PLACES)]
        most_at = b.add(offset, ir.Constant(INT64, 4 * CHANNELS * 8))
        most = _load(b, most_at, whole)
        added = [[_splat(wide, 0.0)] * 4 for _ in range(4)]
        for i in range(4):
            here = _moved(b, w, row, i)
            values = [_load(b, _moved(b, here, tap, t), narrow) for t in range(9)]
            q = [b.fptosi(b.call(nearest, [b.fmul(v, scale)]), whole) for v in values]
            spread = _sandwich(b, SPREAD, [q[0:3], q[3:6], q[6:9]], b.add, b.sub)
            for n, u in enumerate(v for line in spread for v in line):
                most = b.select(b.icmp_signed(">", u, most), u, most)
                if n != 5:
                    added[n // 4][n % 4] = b.fadd(added[n // 4][n % 4], b.sitofp(u, wide))
                for digit in range(DIGITS):
                    byte = b.and_(u, _splat(whole, 255))
                    packed[n][digit] = b.or_(packed[n][digit], b.shl(byte, _splat(whole, 8 * i)))
                    u = b.ashr(b.add(u, _splat(whole, 128)), _splat(whole, 8))  # the rest, less the signed digit
        for n in range(PLACES):
            for digit in range(DIGITS):
                lane = ir.Constant(INT64, digit * CHANNELS * 4)
                b.store(packed[n][digit], _at(b, b.add(_moved(b, target, place, n), lane), whole), align=1)
        b.store(most, _at(b, most_at, whole), align=1)
        for n, value in enumerate(v for line in _sandwich(b, BACK, added, b.fadd, b.fsub) for v in line):
            at = b.add(offset, ir.Constant(INT64, n * CHANNELS * 8))
            total = b.fadd(_load(b, at, wide), b.fmul(value, _splat(wide, 128.0)))
            b.store(total, _at(b, at, wide), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


@intrinsic
def gather_sums(typing: Any, sums: Any, place: Any, offset: Any, factor: Any, targets: Any) -> Any:
    """Y of 16 channels to four addresses of float32 [16], from int32 [LANES] at places `place` apart."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        sums, place, offset, factor, targets = args
        targets = [b.extract_value(targets, n) for n in range(4)]
        whole, narrow, wide = (ir.VectorType(kind, CHANNELS) for kind in (INT32, FLOAT, DOUBLE))
        gathered = []  # of each digit, 4 Y: at most 16 times a sum, still below 2^31
        for digit in range(DIGITS):
            here = b.add(sums, ir.Constant(INT64, digit * CHANNELS * 4))
            lines = [[_load(b, _moved(b, here, place, 4 * i + j), whole) for j in range(4)] for i in range(4)]
            gathered.append([v for line in _sandwich(b, BACK, lines, b.add, b.sub) for v in line])
        scale = _load(b, factor, narrow)
        for n in range(4):
            total = b.sitofp(gathered[-1][n], wide)
            for digit in reversed(range(DIGITS - 1)):
                total = b.fadd(b.fmul(total, _splat(wide, 256.0)), b.sitofp(gathered[digit][n], wide))
            added = _load(b, b.add(offset, ir.Constant(INT64, n * CHANNELS * 8)), wide)
            exact = b.fmul(b.fsub(total, added), _splat(wide, 0.25))
            b.store(b.fmul(b.fptrunc(exact, narrow), scale), _at(b, targets[n], narrow), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, types.UniTuple(types.int64, 4)), generate


@compiled(parallel=True, exact=True)
def write_weights(w, factors, packed, offsets):
    """packed [blocks, PLACES, Ci / 4, LANES, 4] int8 and offsets [blocks, 5, 16] float64 from w [9, Ci, Co]."""
    _, channels_in, channels_out = w.shape
    quarters = packed.shape[2]
    source, target, factor = w.ctypes.data, packed.ctypes.data, factors.ctypes.data
    for block in prange(len(packed)):
        offsets[block] = 0
        for quarter in range(quarters):
            spread_weights(
                source + 4 * (4 * quarter * channels_out + block * CHANNELS),
                4 * channels_in * channels_out,
                4 * channels_out,
                factor + 4 * block * CHANNELS,
                target + (block * PLACES * quarters + quarter) * 4 * LANES,
                quarters * 4 * LANES,
                offsets[block].ctypes.data,
            )


def takes(largest: int, w: np.ndarray, stride: Pair) -> bool:
    """Whether spikes up to `largest` and w [kh, kw, Ci, Co] are for this kernel."""
    kh, kw, channels_in, channels_out = w.shape
    whole = channels_in % CHANNELS == 0 == channels_out % CHANNELS and channels_in <= DEEPEST
    return largest <= LARGEST and (kh, kw) == (3, 3) and stride == (1, 1) and whole


def pack(w: np.ndarray) -> Packed | None:
    """Return w [3, 3, Ci, Co] as digits of U; None if w is not ordinary, or if a U has no four digits."""
    p = powers(w)
    if p is None:
        return None
    channels_in, channels_out = w.shape[2:]
    blocks = channels_out // CHANNELS
    packed = aligned((blocks, PLACES, channels_in // 4, LANES, 4), np.int8)
    offsets = np.empty((blocks, 5, CHANNELS), np.float64)
    write_weights(w.reshape(9, channels_in, channels_out), np.ldexp(f32(1), p), packed, offsets)
    if offsets[:, 4].view(np.int32)[:, :CHANNELS].max() > FIT:
        return None
    return Packed(packed, np.ldexp(f32(1), -p), 0, offsets)


@compiled(exact=True)
def multiply_squares(spread, start, step, first, last, squares, w, scale, offsets, y):
    """Write the output pixels of squares `first` to `last` of y [M, Ho, Wo, Co], whose V lie at `start`."""
    _, height, width, channels = y.shape
    quarters, room = w.shape[2], np.empty(PLACES * SQUARES * LANES + 16, np.int32)
    product = room.ctypes.data + -room.ctypes.data % 64
    nowhere = np.empty(CHANNELS, np.float32)
    left, right, target, place = spread.ctypes.data + start, w.ctypes.data, y.ctypes.data, SQUARES * LANES * 4
    for block in range(len(w)):
        for n in range(PLACES):
            for r in range(0, last - first, ROWS):
                c, a = product + n * place + r * LANES * 4, left + (n * SQUARES + r) * step
                tile(c, LANES * 4, a, step, right + (block * PLACES + n) * quarters * LANES * 4, quarters)
        factor, offset = scale.ctypes.data + 4 * block * CHANNELS, offsets[block].ctypes.data
        for r in range(last - first):
            m, k = (first + r) // (squares[0] * squares[1]), (first + r) % (squares[0] * squares[1])
            i, j = k // squares[1] * 2, k % squares[1] * 2
            one = target + 4 * (((m * height + i) * width + j) * channels + block * CHANNELS)
            below, beside = i + 1 < height, j + 1 < width
            two = one + 4 * channels if beside else nowhere.ctypes.data
            three = one + 4 * width * channels if below else nowhere.ctypes.data
            four = one + 4 * (width + 1) * channels if below and beside else nowhere.ctypes.data
            gather_sums(product + r * LANES * 4, place, offset, factor, (one, two, three, four))


@compiled(parallel=True, exact=True)
def multiply_bytes(x, w, scale, offsets, padding, squares, per_item, y):
    """y [M, Ho, Wo, Co] from x [M, H, W, Ci] uint8; squares: of 2 x 2 output pixels, across and down."""
    channels = x.shape[3]
    row, step = 16 * channels, (channels + 63) // 64 * 64
    total = len(x) * squares[0] * squares[1]
    for item in prange((total + per_item - 1) // per_item):
        first = item * per_item
        last = min(total, first + per_item)
        memory = np.zeros(per_item * row + 64, np.uint8)
        lay_windows(x, first, last, squares, (4, 4), (2, 2), padding, row, 4 * channels, memory, 0)
        spread = np.empty(PLACES * SQUARES * step + 64, np.uint8)
        start = -spread.ctypes.data % 64  # the next cache line
        source, target = memory.ctypes.data, spread.ctypes.data + start
        for r in range(last - first):
            for c in range(0, channels, 64):
                spread_spikes(source + r * row + c, channels, target + r * step + c, SQUARES * step)
        multiply_squares(spread, start, step, first, last, squares, w, scale, offsets, y)


def conv_forward(x: np.ndarray, packed: Packed, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`; x uint8 up to LARGEST, packed from `pack`."""
    height, width = (conv_output_size(size, 3, 1, p) for size, p in zip(x.shape[1:3], padding, strict=True))
    y = aligned((len(x), height, width, len(packed.scale)), np.float32)
    squares = -(-height // 2), -(-width // 2)
    total = len(x) * squares[0] * squares[1]
    per_item = min(SQUARES, round_up(-(-total // (2 * numba.get_num_threads())), ROWS))
    multiply_bytes(
        *(np.ascontiguousarray(x), packed.weights, packed.scale, packed.offsets),
        *(padding, squares, per_item, y),
    )
    return y
