"""Dense convolution of any kernel, stride and padding by im2col and matrix products, a block of pixels at a time.

The product is done by the register tile of `winograd`, not by a BLAS: threads of two libraries on the same cores wait
for each other. Columns and product of a block of `PIXELS` output pixels lie in a thread's own cache.

    y[pixel, :] = columns[pixel, :] @ w       columns: the window under the pixel, kh * kw * Ci floats

The gradient of the input is such a convolution too where the stride is 1, else the product before the columns:

    columns = gy @ w^T, added to where the window was (`scatter_columns`)

The gradient of the weights is in `conv_weight`.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import make_gemm_tile
from snncore.kernels.cpu.winograd import COLUMNS, ROWS
from snncore.kernels.reference.conv import conv_output_size

PIXELS = 96  # output pixels of a block, a multiple of ROWS
FLOAT = 4  # bytes

tile = make_gemm_tile(ROWS, COLUMNS)
Pair = tuple[int, int]


@compiled(inline=True)
def fill_columns(x, m, first, last, out_width, kernel, stride, padding, columns):
    """Copy into columns [PIXELS, >= K] the windows of x [M, H, W, Ci] under the output pixels first to last of image m.

    columns holds zeros: what lies on the padding is not written.
    """
    _, height, width, channels = x.shape
    for r in range(first, last):
        row = columns[r - first]
        i, j = r // out_width * stride[0] - padding[0], r % out_width * stride[1] - padding[1]
        for ky in range(max(0, -i), min(kernel[0], height - i)):
            for kx in range(max(0, -j), min(kernel[1], width - j)):
                at = (ky * kernel[1] + kx) * channels
                for c in range(channels):
                    row[at + c] = x[m, i + ky, j + kx, c]


@compiled(parallel=True)
def multiply_columns(x, w, kernel, stride, padding, out_width, y):
    """y [images, pixels, Co] from x [M, H, W, Ci] and w [blocks, K, COLUMNS], K = kh * kw * Ci."""
    blocks, deep, _ = w.shape
    images, pixels, channels_out = y.shape
    per_image = (pixels + PIXELS - 1) // PIXELS
    weights = w.ctypes.data
    for item in prange(images * per_image):
        m, first = item // per_image, item % per_image * PIXELS
        last = min(pixels, first + PIXELS)
        columns = np.zeros((PIXELS, deep), np.float32)
        product = np.empty((PIXELS, COLUMNS), np.float32)
        fill_columns(x, m, first, last, out_width, kernel, stride, padding, columns)
        left, out = columns.ctypes.data, product.ctypes.data
        for block in range(blocks):
            right = weights + block * deep * COLUMNS * FLOAT
            for r in range(0, last - first, ROWS):
                place, a = out + r * COLUMNS * FLOAT, left + r * deep * FLOAT
                tile(place, COLUMNS * FLOAT, a, deep * FLOAT, right, COLUMNS * FLOAT, deep)
            n = min(COLUMNS, channels_out - block * COLUMNS)
            for r in range(first, last):
                y[m, r, block * COLUMNS : block * COLUMNS + n] = product[r - first, :n]


def conv_forward(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.conv_forward`; x float32 or uint8."""
    kh, kw, channels_in, channels_out = w.shape
    out = tuple(conv_output_size(*sizes) for sizes in zip(x.shape[1:3], (kh, kw), stride, padding, strict=True))
    deep, n = kh * kw * channels_in, round_up(channels_out, COLUMNS)
    packed = aligned((n // COLUMNS, deep, COLUMNS), np.float32)
    wide = np.zeros((deep, n), np.float32)
    wide[:, :channels_out] = w.reshape(deep, channels_out)
    packed[...] = wide.reshape(deep, n // COLUMNS, COLUMNS).transpose(1, 0, 2)
    y = aligned((len(x), *out, channels_out), np.float32)
    flat = y.reshape(len(x), out[0] * out[1], channels_out)
    multiply_columns(np.ascontiguousarray(x), packed, (kh, kw), stride, padding, out[1], flat)
    return y


@compiled(parallel=True)
def turn(w, turned):
    """turned [kh, kw, Co, Ci] = w [kh, kw, Ci, Co] turned by 180 degrees and transposed, in squares of 16 channels."""
    kh, kw, rows, columns = w.shape
    across = (rows + 15) // 16
    for item in prange(kh * kw * across):
        tap, first = item // across, item % across * 16
        source, target = w[kh - 1 - tap // kw, kw - 1 - tap % kw], turned[tap // kw, tap % kw]
        for c in range(0, columns, 16):
            for i in range(first, min(rows, first + 16)):
                for j in range(c, min(columns, c + 16)):
                    target[j, i] = source[i, j]


def turned_weights(w: np.ndarray) -> np.ndarray:
    """Return w [kh, kw, Ci, Co] as the input gradient needs it: [kh, kw, Co, Ci], turned by 180 degrees."""
    turned = aligned((*w.shape[:2], w.shape[3], w.shape[2]), w.dtype)
    turn(np.ascontiguousarray(w), turned)
    return turned


@compiled()
def scatter_images(gy, w, kernel, stride, padding, out, first_image, last_image, gx):
    """What `scatter_columns` does to the images first to last: a function of its own takes half as long to compile."""
    _, height, width, channels = gx.shape
    deep, pixels = gy.shape[1], out[0] * out[1]
    used = kernel[0] * kernel[1] * channels
    end, weights = last_image * pixels, w.ctypes.data
    left, product = np.zeros((PIXELS, deep), np.float32), np.empty((PIXELS, COLUMNS), np.float32)
    a, place = left.ctypes.data, product.ctypes.data
    for first in range(first_image * pixels, end, PIXELS):
        n = min(PIXELS, end - first)
        for r in range(n):
            for c in range(deep):
                left[r, c] = gy[first + r, c]
        for block in range(len(w)):
            right = weights + block * deep * COLUMNS * FLOAT
            for r in range(0, n, ROWS):
                to = place + r * COLUMNS * FLOAT
                tile(to, COLUMNS * FLOAT, a + r * deep * FLOAT, deep * FLOAT, right, COLUMNS * FLOAT, deep)
            k = block * COLUMNS
            while k < min(used, (block + 1) * COLUMNS):  # the channels of one tap after the other
                tap, c = k // channels, k % channels
                size = min(channels - c, min(used, (block + 1) * COLUMNS) - k)
                above, before = tap // kernel[1] - padding[0], tap % kernel[1] - padding[1]
                for r in range(n):
                    m, pixel = (first + r) // pixels, (first + r) % pixels
                    i, j = pixel // out[1] * stride[0] + above, pixel % out[1] * stride[1] + before
                    if 0 <= i < height and 0 <= j < width:
                        target, source = gx[m, i, j, c : c + size], product[r, k - block * COLUMNS :]
                        for x in range(size):
                            target[x] += source[x]
                k += size


@compiled(parallel=True)
def scatter_columns(gy, w, kernel, stride, padding, out, stack, gx):
    """Add to gx [M, H, W, Ci] from gy [M * Ho * Wo, Co] and w [blocks, Co, COLUMNS]; an item is `stack` images.

    gy @ w holds for each output pixel what its window gets, kh * kw * Ci floats; windows that overlap are added in the
    order of blocks, then of pixels.
    """
    images = len(gx)
    for item in prange((images + stack - 1) // stack):
        last = min(images, (item + 1) * stack)
        scatter_images(gy, w, kernel, stride, padding, out, item * stack, last, gx)


def conv_backward_input(
    gy: np.ndarray, w: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair
) -> np.ndarray:
    """gx [M, H, W, Ci] as `reference.conv_backward_input`.

    With stride 1 a convolution of gy with w turned. Else each output pixel hands to its window what that gets: gy
    spread by the stride would be mostly zeros to multiply.
    """
    kh, kw, channels_in, channels_out = w.shape
    turned = turned_weights(w)  # [kh, kw, Co, Ci]
    if stride == (1, 1) and padding[0] < kh and padding[1] < kw:
        return conv_forward(gy, turned, (1, 1), (kh - 1 - padding[0], kw - 1 - padding[1]))
    deep = kh * kw * channels_in
    n = round_up(deep, COLUMNS)
    wide = np.zeros((channels_out, n), np.float32)
    taps = wide[:, :deep].reshape(channels_out, kh, kw, channels_in)
    taps[...] = turned[::-1, ::-1].transpose(2, 0, 1, 3)
    packed = aligned((n // COLUMNS, channels_out, COLUMNS), np.float32)
    packed[...] = wide.reshape(channels_out, n // COLUMNS, COLUMNS).transpose(1, 0, 2)
    images, out_height, out_width, _ = gy.shape
    gx = aligned(shape, np.float32, zero=True)
    flat = np.ascontiguousarray(gy).reshape(-1, channels_out)
    stack = max(1, min(images, PIXELS // (out_height * out_width)))
    scatter_columns(flat, packed, (kh, kw), stride, padding, (out_height, out_width), stack, gx)
    return gx
