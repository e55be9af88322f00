"""Weight gradient of a convolution of any input, read where it lies: no columns are gathered.

    gw[k, :] = sum over output pixels p of x[window(p) + offset(k)] * gy[p, :]          k = (ky, kx, input channel)

The windows of neighbouring pixels are the same array, moved by one step. A strip of the input with its border of zeros
is therefore enough: each of the K rows of gw reads it from a place of its own, and all move alike. A register tile of
`ROWS` rows (nine: the window of a 3x3 layer for one input channel) and `WIDTH` output channels adds up `PIXELS` pixels,
whose gradients lie in the level-1 cache meanwhile; then its sums go back to memory.

The pixels are cut into `CHUNKS` parts or fewer, whose sums are added in their order: the same bits with any number of
threads.
"""

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import AVX512, INT32, INT64, _counted_loop, _fma, _loader, _storer, const
from snncore.kernels.cpu.simd import FLOAT as FLOAT32

ROWS = 9
WIDTH, NARROW = (
    (32, 16) if AVX512 else (8, 8)
)  # output channels of a tile, and of the last one; 18 registers of 32, or 9 of 16
GROUP = 64  # output channels of an item of work, which share its strip
PIXELS = 128  # output pixels whose gradients stay in the level-1 cache
CHUNKS = 16  # at most: parts into which the pixels are cut
FLOAT = 4  # bytes
Pair = tuple[int, int]


def make_window_tile(rows: int, width: int):
    """Return tile(c, c_step, x, offsets, x_steps..., gy, gy_step, images, lines, pixels):

        c[r * c_step][0:width] += sum over images m, lines i, pixels j, in this order, of
                    (x + offsets[r] + m * x_image + i * x_line + j * x_pixel)[0] * gy[p * gy_step][0:width]

    with p counting the pixels from 0 on. offsets: address of `rows` int64; all steps and offsets in bytes.
    """
    vector = ir.VectorType(FLOAT32, width)

    @intrinsic
    def tile(typing, c, c_step, x, offsets, x_image, x_line, x_pixel, gy, gy_step, images, lines, pixels):
        def generate(context, b, signature, args):
            c, c_step, x, offsets, x_image, x_line, x_pixel, gy, gy_step, images, lines, pixels = args
            load, store, fma = _loader(b, vector), _storer(b, vector), _fma(b, vector)
            table = b.inttoptr(offsets, INT64.as_pointer())
            starts = [b.add(x, b.load(b.gep(table, [const(r)]))) for r in range(rows)]
            lanes = ir.Constant(ir.VectorType(INT32, width), [0] * width)
            undefined = ir.Constant(vector, ir.Undefined)

            def add_pixel(at, place, sums):
                g = load(place)
                changed = []
                for start, total in zip(starts, sums, strict=True):
                    value = b.load(b.inttoptr(b.add(start, at), FLOAT32.as_pointer()), align=4)
                    one = b.insert_element(undefined, value, ir.Constant(INT32, 0))
                    changed.append(b.call(fma, [b.shuffle_vector(one, undefined, lanes), g, total]))
                return changed

            def add_line(at, place, sums):
                def body(j, state):
                    here, place, *sums = state
                    return [b.add(here, x_pixel), b.add(place, gy_step), *add_pixel(here, place, sums)]

                _, place, *sums = _counted_loop(b, const(0), pixels, [at, place, *sums], body)
                return place, sums

            def add_image(at, place, sums):
                def body(i, state):
                    here, place, *sums = state
                    place, sums = add_line(here, place, sums)
                    return [b.add(here, x_line), place, *sums]

                _, place, *sums = _counted_loop(b, const(0), lines, [at, place, *sums], body)
                return place, sums

            def body(m, state):
                here, place, *sums = state
                place, sums = add_image(here, place, sums)
                return [b.add(here, x_image), place, *sums]

            places = [b.add(c, b.mul(c_step, const(r))) for r in range(rows)]
            state = [const(0), gy, *(load(place) for place in places)]
            _, _, *sums = _counted_loop(b, const(0), images, state, body)
            for total, place in zip(sums, places, strict=True):
                store(total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), generate

    return tile


window_tile, narrow_tile = make_window_tile(ROWS, WIDTH), make_window_tile(ROWS, NARROW)


@compiled(inline=True)
def fill_strip(x, m, top, left, strip):
    """Copy image m of x [M, H, W, Ci], from row `top` and column `left` on, into strip [lines, pitch, >= Ci].

    What lies outside the image is left as it is.
    """
    _, height, width, channels = x.shape
    start, stop = max(0, -left), min(strip.shape[1], width - left)
    for r in range(max(0, -top), min(strip.shape[0], height - top)):
        for j in range(start, stop):
            for c in range(channels):
                strip[r, j, c] = x[m, top + r, left + j, c]


@compiled()
def add_part(x, gy, out, offsets, stride, padding, size, step, stack, band, chunk, group, gw):
    """One item of `add_windows`: a function of its own takes half as long to compile."""
    (out_height, out_width), channels = out, gy.shape[1]
    images = len(x)
    chunks, deep, wide = gw.shape
    bands = (out_height + band - 1) // band
    blocks = (images + stack - 1) // stack * bands
    lines, pitch = (band - 1) * stride[0] + size[0], (out_width - 1) * stride[1] + size[1]
    per_image = lines * pitch * step
    x_image, x_line, x_pixel = per_image * FLOAT, stride[0] * pitch * step * FLOAT, stride[1] * step * FLOAT
    row = wide * FLOAT
    target, source, table = gw.ctypes.data, gy.ctypes.data, offsets.ctypes.data
    in_place = channels == wide and channels <= 2 * GROUP  # else rows of gy may share a few sets of the cache
    room = np.zeros(stack * per_image, np.float32)
    strip = room.reshape(stack, lines, pitch, step)
    more = np.zeros(16 + (0 if in_place else stack * band * out_width * WIDTH), np.float32)
    skip = (-more.ctypes.data % 64) // FLOAT  # to the next cache line
    packed = more[skip : skip + (len(more) - 16) // WIDTH * WIDTH].reshape(-1, WIDTH)
    at_x = room.ctypes.data
    for block in range(blocks * chunk // chunks, blocks * (chunk + 1) // chunks):
        first, top = block // bands * stack, block % bands * band
        count, rows = min(stack, images - first), min(band, out_height - top)
        pixel = (first * out_height + top) * out_width
        if bands > 1:
            for i in range(len(room)):
                room[i] = 0
        for m in range(count):
            fill_strip(x, first + m, top * stride[0] - padding[0], -padding[1], strip[m])
        for co in range(group * GROUP, min(wide, (group + 1) * GROUP), WIDTH):
            width = min(WIDTH, wide - co)
            g, g_step = source + (pixel * channels + co) * FLOAT, channels * FLOAT
            if not in_place:
                g, g_step = packed.ctypes.data, WIDTH * FLOAT
                used = min(width, channels - co)
                for r in range(count * rows * out_width):
                    values, line = gy[pixel + r, co : co + used], packed[r]
                    for c in range(used):
                        line[c] = values[c]
            for k in range(0, deep, ROWS):
                place, offset = target + ((chunk * deep + k) * wide + co) * FLOAT, table + k * 8
                if width == WIDTH:
                    window_tile(place, row, at_x, offset, x_image, x_line, x_pixel, g, g_step, count, rows, out_width)
                else:
                    narrow_tile(place, row, at_x, offset, x_image, x_line, x_pixel, g, g_step, count, rows, out_width)


@compiled(parallel=True)
def add_windows(x, gy, out, offsets, stride, padding, size, step, stack, band, gw):
    """Add to gw [chunks, K', Co'] the products of all pixels; K' a multiple of ROWS, Co' of NARROW.

    x [M, H, W, Ci]; gy [M * Ho * Wo, Co]; out: Ho, Wo; offsets int64 [K'], bytes in the strip; size: of a window,
    height and width; step: floats from a pixel of the strip to the next. A block of pixels is `stack` images, or `band`
    rows of one.
    """
    chunks, groups = len(gw), (gw.shape[2] + GROUP - 1) // GROUP
    for item in prange(chunks * groups):
        chunk, group = item // groups, item % groups
        add_part(x, gy, out, offsets, stride, padding, size, step, stack, band, chunk, group, gw)


def conv_backward_weight(x: np.ndarray, gy: np.ndarray, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """gw [kh, kw, Ci, Co] as `reference.conv_backward_weight`; x float32 or uint8."""
    if kernel == (1, 1) and padding == (0, 0):  # what lies between two windows is not read
        x, stride = x[:, :: stride[0], :: stride[1]], (1, 1)
    channels_in, (images, out_height, out_width, channels_out) = x.shape[-1], gy.shape
    deep, wide = kernel[0] * kernel[1] * channels_in, round_up(channels_out, NARROW)
    step = channels_in + (16 if channels_in % 32 == 0 else 0)  # or its pixels would share a few sets of the cache
    rows = max(1, PIXELS // out_width)
    band, stack = min(rows, out_height), max(1, rows // out_height)
    pitch = (out_width - 1) * stride[1] + kernel[1]
    ky, kx, c = np.indices((*kernel, channels_in)).reshape(3, -1)
    offsets = np.zeros(round_up(deep, ROWS), np.int64)  # rows beyond K read the first entry; nobody reads their sums
    offsets[:deep] = ((ky * pitch + kx) * step + c) * FLOAT
    blocks = -(-images // stack) * -(-out_height // band)
    chunks = max(1, min(blocks, CHUNKS // max(1, -(-wide // GROUP))))
    gw = aligned((chunks, len(offsets), wide), np.float32, zero=True)
    flat = np.ascontiguousarray(gy).reshape(-1, channels_out)
    args = np.ascontiguousarray(x), flat, (out_height, out_width), offsets, stride, padding, kernel
    add_windows(*args, step, min(stack, images), band, gw)
    total = gw[0] if chunks == 1 else gw.sum(axis=0)
    return np.ascontiguousarray(total[:deep, :channels_out]).reshape(*kernel, channels_in, channels_out)
