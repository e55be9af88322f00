"""Max pooling over windows without padding: images [M, H, W, C]."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.module import THREADS, blocks_for, launch
from snncore.kernels.reference.conv import conv_output_size

SUFFIX = {np.dtype(np.uint8): "u8", np.dtype(np.float32): "f32"}


def max_pool_forward(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """As `reference.max_pool_forward`, bit for bit; one thread an entry of the output."""
    if x.dtype not in SUFFIX or x.size == 0:
        return reference.max_pool_forward(x, kernel, stride)
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    m, h, w, c = x.shape
    ho, wo = (conv_output_size(n, k, s, 0) for n, k, s in zip((h, w), kernel, stride, strict=True))
    y = xp.empty((m, ho, wo, c), x.dtype)
    sizes = (np.int64(y.size), h, w, c, ho, wo, *kernel, *stride)
    launch("pool", f"max_pool_forward_{SUFFIX[x.dtype]}", blocks_for(y.size), (THREADS,), x, y, *sizes)
    return y


def max_pool_backward(gy: Array, x: Array, y: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """As `reference.max_pool_backward`, bit for bit; one thread an entry of the input."""
    if x.dtype not in SUFFIX or gy.dtype != np.float32 or x.size == 0:
        return reference.max_pool_backward(gy, x, y, kernel, stride)
    xp = array_module(x)
    gy, x, y = (xp.ascontiguousarray(a) for a in (gy, x, y))
    gx = xp.empty(x.shape, gy.dtype)
    sizes = (np.int64(x.size), *x.shape[1:], *y.shape[1:3], *kernel, *stride)
    launch("pool", f"max_pool_backward_{SUFFIX[x.dtype]}", blocks_for(x.size), (THREADS,), gy, x, y, gx, *sizes)
    return gx
