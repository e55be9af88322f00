"""Dense convolution: a gather of windows into columns (im2col), and cuBLAS."""

from collections.abc import Iterator

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.module import LANES, ROWS, blocks_for, launch, ready
from snncore.kernels.reference.conv import conv_output_size

COLUMN_BYTES = 1 << 28  # of one buffer of columns: 256 MiB, so that a matrix product has work enough for a large GPU
GATHER_BLOCKS = 1 << 16
SUFFIX = {np.dtype(np.uint8): "u8", np.dtype(np.float32): "f32"}


def _gather(name: str, x: Array, rows: int, width: int, sizes: tuple[int, ...]) -> Iterator[tuple[slice, Array]]:
    """Yield (rows, their columns) by blocks of at most COLUMN_BYTES; the buffer is used again for the next."""
    xp = array_module(x)
    block = max(1, min(rows, COLUMN_BYTES // (4 * width)))
    buffer = xp.empty((block, width), np.float32)
    for start in range(0, rows, block):
        count = min(block, rows - start)
        grid = (min(blocks_for(count, ROWS)[0], GATHER_BLOCKS),)
        launch("columns", name, grid, (LANES, ROWS), x, buffer, np.int64(start), np.int64(count), *sizes)
        yield slice(start, start + count), buffer[:count]


def _output(x: Array, kernel: tuple, stride: tuple, padding: tuple) -> tuple[int, int]:
    h, w = x.shape[1:3]
    return (
        conv_output_size(h, kernel[0], stride[0], padding[0]),
        conv_output_size(w, kernel[1], stride[1], padding[1]),
    )


def dense_forward(x: Array, w: Array, stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    """As `reference.conv_forward`, for spikes or floats."""
    if x.dtype not in SUFFIX or not ready(w) or x.size == 0:
        return reference.conv_forward(x, w, stride, padding)
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    kh, kw, ci, co = w.shape
    ho, wo = _output(x, (kh, kw), stride, padding)
    y = xp.empty((len(x), ho, wo, co), w.dtype)
    flat, out = xp.ascontiguousarray(w).reshape(-1, co), y.reshape(-1, co)
    sizes = (*x.shape[1:], ho, wo, kh, kw, *stride, *padding)
    for rows, columns in _gather(f"gather_columns_{SUFFIX[x.dtype]}", x, len(out), kh * kw * ci, sizes):
        xp.matmul(columns, flat, out=out[rows])
    return y


def dense_backward_weight(
    x: Array, gy: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """As `reference.conv_backward_weight`, for spikes or floats."""
    if x.dtype not in SUFFIX or not ready(gy) or x.size == 0:
        return reference.conv_backward_weight(x, gy, kernel, stride, padding)
    xp = array_module(x)
    x, gy = xp.ascontiguousarray(x), xp.ascontiguousarray(gy)
    ci, co = x.shape[-1], gy.shape[-1]
    flat = gy.reshape(-1, co)
    gw: Array = None
    sizes = (*x.shape[1:], *gy.shape[1:3], *kernel, *stride, *padding)
    width = kernel[0] * kernel[1] * ci
    for rows, columns in _gather(f"gather_columns_{SUFFIX[x.dtype]}", x, len(flat), width, sizes):
        part = xp.matmul(columns.T, flat[rows])
        gw = part if gw is None else gw + part
    return gw.reshape(*kernel, ci, co)


def conv_backward_input(
    gy: Array, w: Array, shape: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """As `reference.conv_backward_input`: what each input pixel went into is gathered, whatever the stride."""
    if not ready(gy, w):
        return reference.conv_backward_input(gy, w, shape, stride, padding)
    xp = array_module(gy)
    gy = xp.ascontiguousarray(gy)
    kh, kw, ci, co = w.shape
    gx = xp.empty(shape, gy.dtype)
    turned = xp.ascontiguousarray(w.transpose(0, 1, 3, 2)).reshape(-1, ci)  # [kh * kw * Co, Ci]
    out = gx.reshape(-1, ci)
    sizes = (*shape[1:3], co, *gy.shape[1:3], kh, kw, *stride, *padding)
    for rows, columns in _gather("gather_gradients", gy, len(out), kh * kw * co, sizes):
        xp.matmul(columns, turned, out=out[rows])
    return gx
