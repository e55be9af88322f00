"""Max pooling over windows without padding: images [M, H, W, C]."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.module import THREADS, blocks_for, lanes_for, launch
from snncore.kernels.reference.conv import conv_output_size

SUFFIX = {np.dtype(np.uint8): "u8", np.dtype(np.float32): "f32"}
MOST_WINDOWS = 1 << 31


def _threads(windows: int, kernel: tuple, stride: tuple, *arrays: Array) -> tuple[int, int] | None:
    """Return the block (lanes, windows) where a thread can take four channels of a window, or None."""
    each, lanes = lanes_for(*arrays)
    if each == 1 or kernel != stride or windows >= MOST_WINDOWS:
        return None
    return lanes, THREADS // lanes


def max_pool_forward(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """As `reference.max_pool_forward`, bit for bit; one thread an entry of the output, or four channels of it."""
    if x.dtype not in SUFFIX or x.size == 0:
        return reference.max_pool_forward(x, kernel, stride)
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    m, h, w, c = x.shape
    ho, wo = (conv_output_size(n, k, s, 0) for n, k, s in zip((h, w), kernel, stride, strict=True))
    y = xp.empty((m, ho, wo, c), x.dtype)
    suffix, windows = SUFFIX[x.dtype], m * ho * wo
    if block := _threads(windows, kernel, stride, x, y):
        grid = blocks_for(windows, block[1])
        launch("pool", f"max_pool4_forward_{suffix}", grid, block, x, y, windows, h, w, c, ho, wo, *kernel)
        return y
    sizes = (np.int64(y.size), h, w, c, ho, wo, *kernel, *stride)
    launch("pool", f"max_pool_forward_{suffix}", blocks_for(y.size), (THREADS,), x, y, *sizes)
    return y


def max_pool_backward(gy: Array, x: Array, y: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """As `reference.max_pool_backward`, bit for bit; one thread an entry of the input, or four channels of a window."""
    if x.dtype not in SUFFIX or gy.dtype != np.float32 or x.size == 0:
        return reference.max_pool_backward(gy, x, y, kernel, stride)
    xp = array_module(x)
    gy, x, y = (xp.ascontiguousarray(a) for a in (gy, x, y))
    gx = xp.empty(x.shape, gy.dtype)
    (m, h, w, c), suffix = x.shape, SUFFIX[x.dtype]
    covering = (-(-h // kernel[0]), -(-w // kernel[1]))  # windows that cover the image, beyond its edge too
    windows = m * covering[0] * covering[1]
    if block := _threads(windows, kernel, stride, gy, x, y, gx):
        sizes = (windows, h, w, c, *y.shape[1:3], *covering, *kernel)
        launch("pool", f"max_pool4_backward_{suffix}", blocks_for(windows, block[1]), block, gy, x, y, gx, *sizes)
        return gx
    n = np.int64(x.size)
    sizes = (h, w, c, *y.shape[1:3], *kernel, *stride)
    launch("pool", f"max_pool_backward_{suffix}", blocks_for(x.size), (THREADS,), gy, x, y, gx, n, *sizes)
    return gx
