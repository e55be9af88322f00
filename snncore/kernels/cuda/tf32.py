"""The gradient of a convolution's input on tensor cores, to the accuracy of float32: three products in TF32 for one.

Tensor cores multiply numbers of 10 bits of mantissa. A float32 is the sum of two such numbers to 2^-23 of itself, and
the product of two float32 that of their parts, but for low * low (Markidis et al. 2018, "NVIDIA Tensor Core
Programmability, Performance & Precision"; with sums outside of the tensor cores: Ootomo and Yokota 2022, "Recovering
single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance"). tf32.cu multiplies
where the columns of a matrix product would else be gathered in memory.

What is not finite stays so, though an infinite entry gives NaN: there is nothing left to subtract it from. A magnitude
above (2 - 2^-11) 2^127 has no TF32 beside it and is as infinite; parts below 2^-126 lose bits.
"""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch
from snncore.kernels.cuda.tensor_cores import wanted

__all__ = ["conv_backward_input", "split_weights", "takes"]

PIXELS, INS, DEEP, BLOCK = 128, 64, 16, 128  # as in tf32.cu: of a block, and its threads
FEWEST = 16  # channels on either side for which a block has work enough
FIRST = 80  # the compute capability of which tensor cores have TF32, with a point in between
SPLIT_BLOCKS = 1 << 12
MOST, LONGEST = 1 << 30, 1 << 13  # pixels of all images, and a side: the kernel counts them in 32 and 16 bits
Pair = tuple[int, int]


def takes(gy: Array, w: Array, shape: tuple[int, ...]) -> bool:
    """Whether the input gradient is to be taken here: gy and w are float32 and not empty. shape: of the input."""
    if max(math.prod(shape[:3]), math.prod(gy.shape[:3])) > MOST or max(*gy.shape[1:3], *w.shape[:2]) > LONGEST:
        return False
    return wanted(array_module(gy), FIRST, pays=min(w.shape[2:]) >= FEWEST)


def split_weights(w: Array) -> Array:
    """Return both parts of w [kh, kw, Ci, Co], contiguous: float32 of 10 bits of mantissa, high ones and low ones.

    Laid out as tf32.cu reads them, [parts of 16 output channels, taps, tiles of 64 input channels, 2, 64, 16], zeros
    where there is no channel.
    """
    kh, kw, ci, co = w.shape
    parts = array_module(w).empty((-(-co // DEEP), kh * kw, -(-ci // INS), 2, INS, DEEP), np.float32)
    entries = parts.size // 2
    grid = (min(blocks_for(entries)[0], SPLIT_BLOCKS),)
    launch("tf32", "tf32_split_weights", grid, (THREADS,), w, parts, np.int64(entries), kh * kw, ci, co)
    return parts


def conv_backward_input(gy: Array, w: Array, shape: tuple[int, ...], stride: Pair, padding: Pair) -> Array:
    """As `reference.conv_backward_input`, for float32 gy [M, Ho, Wo, Co] and w [kh, kw, Ci, Co], neither empty.

    Equal to it but for rounding: parts of numbers lose 2^-22 of a product, sums over 8 channels round as the tensor
    cores do, and the rest in float32, in an order of its own. The same bits each time.
    """
    xp: Any = array_module(gy)
    gx = xp.empty(shape, np.float32)
    gy, parts = xp.ascontiguousarray(gy), split_weights(xp.ascontiguousarray(w))
    images, height, width, ci = shape
    (kh, kw), (sy, sx), co = w.shape[:2], stride, w.shape[3]
    pixels = images * -(-height // sy) * -(-width // sx)  # of the most that have the same taps
    if not pixels:
        return gx
    name = "tf32_gradient_floats" if co % 4 or gy.data.ptr % 16 else "tf32_gradient_pieces"
    grid = (*blocks_for(pixels, PIXELS), -(-ci // INS), sy * sx)
    sizes = (height, width, ci, *gy.shape[1:], kh, kw, sy, sx, *padding)
    launch("tf32", name, grid, (BLOCK,), gy, parts, gx, images, *sizes)
    return gx
