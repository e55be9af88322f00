"""Dense convolution: a gather of windows into columns (im2col), and cuBLAS."""

from collections.abc import Iterator

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda import halves
from snncore.kernels.cuda.gemm import matmul
from snncore.kernels.cuda.module import THREADS, blocks_for, lanes_for, launch, put, ready
from snncore.kernels.reference.conv import conv_output_size

COLUMN_BYTES = 1 << 28  # of one buffer of columns: 256 MiB, so that a matrix product has work enough for a large GPU
GATHER_BLOCKS = 1 << 16
SUFFIX = {np.dtype(np.uint8): "u8", np.dtype(np.float32): "f32"}


def balanced_block(rows: int, width: int) -> int:
    """Return the rows of a block of float32 columns: as few blocks as COLUMN_BYTES allow, of one size to a row."""
    blocks = -(-rows // max(1, COLUMN_BYTES // (4 * width)))
    return -(-rows // blocks)


def _gather(
    kernel: str, x: Array, rows: int, width: int, pixels: int, sizes: tuple[int, ...]
) -> Iterator[tuple[slice, Array]]:
    """Yield (rows, their columns) by blocks of at most COLUMN_BYTES; the buffer is used again for the next.

    pixels: rows of columns an image has. sizes: (H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw).
    """
    xp = array_module(x)
    block = balanced_block(rows, width)
    buffer = xp.empty((block, width), np.float32)
    each, lanes = lanes_for(x)
    threads = (lanes, THREADS // lanes)
    suffix = SUFFIX[x.dtype]
    name = f"gather_columns_{suffix}" if kernel == "columns" else f"gather_gradients_{suffix}"
    if each == 4:
        name = f"gather_columns4_{suffix}" if kernel == "columns" else f"gather_gradients4_{suffix}"
    for start in range(0, rows, block):
        count = min(block, rows - start)
        grid = (min(blocks_for(count, threads[1])[0], GATHER_BLOCKS),)
        image, pixel = divmod(start, pixels)
        launch("columns", name, grid, threads, x, buffer, np.int64(image), pixel, count, *sizes)
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
    for rows, columns in _gather("columns", x, len(out), kh * kw * ci, ho * wo, sizes):
        matmul(columns, flat, out=out[rows])
    return y


def dense_backward_weight(
    x: Array,
    gy: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    out: Array | None = None,
) -> Array:
    """As `reference.conv_backward_weight`, for spikes or floats."""
    if x.dtype not in SUFFIX or not ready(gy) or x.size == 0:
        return put(reference.conv_backward_weight(x, gy, kernel, stride, padding), out)
    xp = array_module(x)
    x, gy = xp.ascontiguousarray(x), xp.ascontiguousarray(gy)
    ci, co = x.shape[-1], gy.shape[-1]
    ho, wo = gy.shape[1:3]
    flat = gy.reshape(-1, co)
    gw = xp.empty((*kernel, ci, co), gy.dtype) if out is None else out
    whole = gw.reshape(-1, co)
    sizes = (*x.shape[1:], ho, wo, *kernel, *stride, *padding)
    for rows, columns in _gather("columns", x, len(flat), kernel[0] * kernel[1] * ci, ho * wo, sizes):
        if rows.start == 0:
            matmul(columns.T, flat[rows], out=whole)
        else:
            whole += matmul(columns.T, flat[rows])
    return gw


def conv_backward_input(
    gy: Array, w: Array, shape: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """As `reference.conv_backward_input`.

    On tensor cores where `halves.takes` says so. Else, without a stride, it is the convolution of gy with the turned
    weights; with one, what each input pixel went into is gathered.
    """
    if not ready(gy, w):
        return reference.conv_backward_input(gy, w, shape, stride, padding)
    if halves.takes(gy, w, shape):
        return halves.conv_backward_input(gy, w, shape, stride, padding)
    (kh, kw, ci, co), (ph, pw) = w.shape, padding
    if stride == (1, 1) and ph < kh and pw < kw:
        return dense_forward(gy, w[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), (kh - 1 - ph, kw - 1 - pw))
    xp = array_module(gy)
    gy = xp.ascontiguousarray(gy)
    gx = xp.empty(shape, gy.dtype)
    across = xp.ascontiguousarray(w.transpose(0, 1, 3, 2)).reshape(-1, ci)  # [kh * kw * Co, Ci]
    out = gx.reshape(-1, ci)
    sizes = (*shape[1:3], co, *gy.shape[1:3], kh, kw, *stride, *padding)
    for rows, columns in _gather("gradients", gy, len(out), kh * kw * co, shape[1] * shape[2], sizes):
        matmul(columns, across, out=out[rows])
    return gx
