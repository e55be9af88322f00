"""What the exact kernels on bytes share: windows copied out of the input, and four sums of digits joined to one."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import round_up
from snncore.kernels.cpu.simd import DOUBLE, FLOAT, INT32, INT64

__all__ = ["CHANNELS", "DIGITS", "LANES", "copy_bytes", "lay_windows", "padded", "write_sums"]

DIGITS, CHANNELS = 4, 16  # of a block of output channels
LANES = DIGITS * CHANNELS


@intrinsic
def copy_bytes(typing: Any, target: Any, source: Any, n: Any) -> Any:
    """Copy n bytes from one address to another; a loop over elements would be a byte at a time."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        places = [b.inttoptr(address, ir.IntType(8).as_pointer()) for address in args[:2]]
        cgutils.raw_memcpy(b, *places, args[2], 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@intrinsic
def join_digits(typing: Any, sums: Any, factor: Any, target: Any) -> Any:
    """target = float32(d0 + 256 d1 + 256^2 d2 + 256^3 d3) * factor, at addresses of float32 [16], of int32 [4, 16] d.

    Every step before the rounding to float32 is exact in float64, so that it does not matter what is fused.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        whole, wide, narrow = (ir.VectorType(kind, CHANNELS) for kind in (INT32, DOUBLE, FLOAT))
        base = ir.Constant(wide, [256.0] * CHANNELS)

        def load(address: Any, vector: Any) -> Any:
            return b.load(b.inttoptr(address, vector.as_pointer()), align=4)

        total = ir.Constant(wide, [0.0] * CHANNELS)
        for digit in reversed(range(DIGITS)):
            lanes = load(b.add(args[0], ir.Constant(INT64, 4 * CHANNELS * digit)), whole)
            total = b.fadd(b.fmul(total, base), b.sitofp(lanes, wide))
        value = b.fmul(b.fptrunc(total, narrow), load(args[1], narrow))
        b.store(value, b.inttoptr(args[2], narrow.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@compiled(exact=True)
def lay_windows(x, pixel, last, out, kernel, stride, padding, row, strip, memory, start):
    """Copy the windows of output pixels `pixel` to `last` of x, uint8 [M, H, W, Ci], into zeros.

    Of each pixel a row of bytes, and in it under each ky a strip of kw * Ci.
    """
    _, height, width, channels = x.shape
    source, room = x.ctypes.data, memory.ctypes.data + start
    for n in range(last - pixel):
        m, r = (pixel + n) // (out[0] * out[1]), (pixel + n) % (out[0] * out[1])
        i, j = r // out[1] * stride[0] - padding[0], r % out[1] * stride[1] - padding[1]
        low, high = max(0, -j), min(kernel[1], width - j)
        for ky in range(max(0, -i), min(kernel[0], height - i)):
            place = room + n * row + ky * strip + low * channels
            begin = source + ((m * height + i + ky) * width + j + low) * channels
            copy_bytes(place, begin, max(0, high - low) * channels)


@compiled(exact=True)
def write_sums(product, row, scale, channel, y, pixel, count, part):
    """y [pixel : pixel + count, channel : channel + 16] from rows of `product`; scale [blocks * 16], part [16].

    product: int32, rows of LANES; lane = digit * CHANNELS + channel.
    """
    channels = y.shape[1]
    n = min(CHANNELS, channels - channel)
    sums, factor, target = product.ctypes.data, scale.ctypes.data + 4 * channel, y.ctypes.data
    for r in range(count):
        here = sums + (row + r) * LANES * 4
        if n == CHANNELS:
            join_digits(here, factor, target + 4 * ((pixel + r) * channels + channel))
        else:
            join_digits(here, factor, part.ctypes.data)
            for k in range(n):
                y[pixel + r, channel + k] = part[k]


def padded(scale: np.ndarray) -> np.ndarray:
    """Return scale [Co] with zeros up to whole blocks of channels."""
    wide = np.zeros(round_up(len(scale), CHANNELS), np.float32)
    wide[: len(scale)] = scale
    return wide
