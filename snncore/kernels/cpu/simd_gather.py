"""Sums of listed rows of weights or of gradients, in registers: LLVM code, as in `simd`."""

from collections.abc import Callable
from functools import partial

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snncore.kernels.cpu.simd import (
    AVX512,
    FLOAT,
    INT32,
    INT64,
    _add,
    _counted_loop,
    _fma,
    _loader,
    _storer,
    _zeros,
    const,
)


def make_gather(width: int, taps: int, element: ir.Type = FLOAT) -> Callable:
    """Return gather(dst, dst_step, base, base_step, index, n): for k in range(taps), over n int32 byte offsets

    dst[k * dst_step][0:width] += sum over i of (base + k * base_step + index[i])[0:width]

    element: FLOAT or INT32.
    """
    vector = ir.VectorType(element, width)

    @intrinsic
    def gather(typing, dst, dst_step, base, base_step, index, n):
        def generate(context, b, signature, args):
            dst, dst_step, base, base_step, index, n = args
            load, store, add = _loader(b, vector), _storer(b, vector), _add(b, vector)
            offsets = b.inttoptr(index, INT32.as_pointer())
            places = [b.add(dst, b.mul(dst_step, const(k))) for k in range(taps)]
            bases = [b.add(base, b.mul(base_step, const(k))) for k in range(taps)]

            def add_row(i, sums):
                offset = b.sext(b.load(b.gep(offsets, [i])), INT64)
                return [add(total, load(b.add(start, offset))) for total, start in zip(sums, bases, strict=True)]

            sums = _counted_loop(b, const(0), n, [load(place) for place in places], add_row, unroll=False)
            for total, place in zip(sums, places, strict=True):
                store(total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return gather


def make_gather_window(width: int) -> Callable:
    """Return gather(dst, base, row_step, index, n): for ky, kx in 0, 1, 2, over n int32 byte offsets

    dst[ky, kx, 0:width] += sum over i of (base - ky * row_step - kx * 4 * width + index[i])[0:width]

    with dst one float32 array [3, 3, width]; its nine sums stay in registers.
    """
    vector = ir.VectorType(FLOAT, width)

    @intrinsic
    def gather(typing, dst, base, row_step, index, n):
        def generate(context, b, signature, args):
            dst, base, row_step, index, n = args
            load, store, add = _loader(b, vector), _storer(b, vector), _add(b, vector)
            offsets = b.inttoptr(index, INT32.as_pointer())
            places = [b.add(dst, const(4 * width * k)) for k in range(9)]
            bases = [b.sub(base, b.mul(row_step, const(k))) for k in range(3)]

            def add_row(i, sums):
                offset = b.sext(b.load(b.gep(offsets, [i])), INT64)
                rows = [b.add(start, offset) for start in bases]
                taps = [load(b.add(row, const(-4 * width * k))) for row in rows for k in range(3)]
                return [add(total, tap) for total, tap in zip(sums, taps, strict=True)]

            sums = _counted_loop(b, const(0), n, [load(place) for place in places], add_row, unroll=False)
            for total, place in zip(sums, places, strict=True):
                store(total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return gather


def make_copy(width: int) -> Callable:
    """Return copy(dst, src, src_step, n): n rows of `width` floats, one behind the other at dst.

    With rows of 32 floats on cache lines a gather whose rows came by an assignment of slices took 1.4 times as long.
    """
    vector = ir.VectorType(FLOAT, width)

    @intrinsic
    def copy(typing, dst, src, src_step, n):
        def generate(context, b, signature, args):
            dst, src, src_step, n = args
            load, store = _loader(b, vector), _storer(b, vector)

            def copy_row(i, state):
                store(load(b.add(src, b.mul(i, src_step))), b.add(dst, b.mul(i, const(4 * width))))
                return state

            _counted_loop(b, const(0), n, [], copy_row)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    return copy


def make_neighbour_sums(width: int) -> Callable:
    """Return sums(dst, src, n): row i at dst = row i + row i + 1 at src, for n rows of `width` floats."""
    vector = ir.VectorType(FLOAT, width)

    @intrinsic
    def sums(typing, dst, src, n):
        def generate(context, b, signature, args):
            dst, src, n = args
            load, store, add = _loader(b, vector), _storer(b, vector), _add(b, vector)

            def add_rows(i, rows):
                place = b.mul(i, const(4 * width))
                following = load(b.add(b.add(src, place), const(4 * width)))
                store(add(rows[0], following), b.add(dst, place))
                return [following]

            _counted_loop(b, const(0), n, [load(src)], add_rows)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), generate

    return sums


def make_row_of_three(width: int, element: ir.Type = FLOAT) -> Callable:
    """Return row(dst, dst_step, slab, slab_step, index, pointers, n): n pixels under a window 3 wide, padded by 1.

        dst[j * dst_step][0:width] += sum over kx = 0, 1, 2 and over i in list j + kx - 1 of
                                      (slab + kx * slab_step + index[i])[0:width]

    with list c = index[pointers[c] : pointers[c + 1]]. The sums of three neighbouring pixels stay in registers while
    the columns go by, so that an offset is read once for its three taps. element: FLOAT or INT32.
    """
    vector = ir.VectorType(element, width)

    @intrinsic
    def row(typing, dst, dst_step, slab, slab_step, index, pointers, n):
        def generate(context, b, signature, args):
            dst, dst_step, slab, slab_step, index, pointers, n = args
            load, store, add = _loader(b, vector), _storer(b, vector), _add(b, vector)
            offsets, ends = (b.inttoptr(a, INT32.as_pointer()) for a in (index, pointers))
            slabs = [b.add(slab, b.mul(slab_step, const(k))) for k in range(3)]

            def add_event(i, sums):
                offset = b.sext(b.load(b.gep(offsets, [b.sext(i, INT64)])), INT64)
                rows = [load(b.add(start, offset)) for start in slabs]  # kx = 0 feeds the pixel to the right
                return [add(total, w) for total, w in zip(sums, reversed(rows), strict=True)]

            def add_column(c, state):
                left, here, start = state  # the sums of pixels c - 1 and c, and where list c starts
                following = b.add(c, const(1))
                stop = b.load(b.gep(ends, [following]))
                inside = b.icmp_signed("<", following, n)
                # past the last pixel the sum is thrown away: read pixel c again instead of what lies behind the row
                right = load(b.add(dst, b.mul(b.select(inside, following, c), dst_step)))
                left, here, right = _counted_loop(b, start, stop, [left, here, right], add_event)
                with b.if_then(b.icmp_signed(">", c, const(0))):
                    store(left, b.add(dst, b.mul(b.sub(c, const(1)), dst_step)))
                with b.if_then(b.not_(inside)):
                    store(here, b.add(dst, b.mul(c, dst_step)))
                return [here, right, stop]

            _counted_loop(b, const(0), n, [_zeros(vector), load(dst), b.load(ends)], add_column)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return row


def _hidden_ones(b: ir.IRBuilder, vector: ir.VectorType) -> ir.Value:
    """Return a vector of ones that LLVM does not see to be ones, so that a product with them stays one."""
    name = "llvm.arithmetic.fence.f32"
    fence = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(FLOAT, [FLOAT]), name)
    undefined = ir.Constant(vector, ir.Undefined)
    one = b.insert_element(undefined, b.call(fence, [ir.Constant(FLOAT, 1.0)]), ir.Constant(INT32, 0))
    return b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count))


def make_row_of_pairs(width: int, element: ir.Type = FLOAT) -> Callable:
    """Return row(dst, dst_step, slab, slab_step, index, pointers, n) as `make_row_of_three`, from lists of pairs.

    The lists are those of `events.list_by_pair`: for pixels 2h and 2h + 1 what both list, what the first alone lists
    and what the second alone lists, one behind the other, list c being index[pointers[c] : pointers[c + 1]]. A row of
    weights that both list is loaded once and added to two sums: loads are what a gather waits for. Zen 4 has units for
    additions and others for products with a sum, so that the second addition is 1 * row + sum, of the same bits. The
    sums of four neighbouring pixels stay in registers (16 of AVX-512) while the pairs go by.
    """
    vector = ir.VectorType(element, 16)
    parts = range(0, 4 * width, 64)  # where the registers of a row start, in bytes
    size = len(parts)

    @intrinsic
    def row(typing, dst, dst_step, slab, slab_step, index, pointers, n):
        def generate(context, b, signature, args):
            dst, dst_step, slab, slab_step, index, pointers, n = args
            load_one, store_one = _loader(b, vector), _storer(b, vector)
            add = second_add = _add(b, vector)
            if element == FLOAT:
                fma, ones = _fma(b, vector), _hidden_ones(b, vector)

                def second_add(total, weights):
                    return b.call(fma, [ones, weights, total])

            offsets, ends = (b.inttoptr(a, INT32.as_pointer()) for a in (index, pointers))
            slabs = [b.add(slab, b.mul(slab_step, const(k))) for k in range(3)]
            last = b.sub(n, const(1))

            def load(address):
                return [load_one(b.add(address, const(part))) for part in parts]

            def store(values, pixel):
                address = b.add(dst, b.mul(pixel, dst_step))
                for value, part in zip(values, parts, strict=True):
                    store_one(value, b.add(address, const(part)))

            def load_pixel(pixel):
                # past the last pixel the sum is thrown away: read that pixel instead of what lies behind the row
                inside = b.select(b.icmp_signed("<", pixel, n), pixel, last)
                return load(b.add(dst, b.mul(inside, dst_step)))

            def add_event(i, sums, pixels):
                offset = b.sext(b.load(b.gep(offsets, [b.sext(i, INT64)])), INT64)
                sums = list(sums)  # of pixels 2h - 1 to 2h + 2
                for kx in (2, 1, 0):  # kx = 0 feeds the pixel to the right
                    for part, weights in enumerate(load(b.add(slabs[kx], offset))):
                        for pixel, plus in pixels:
                            k = (pixel + 2 - kx) * size + part
                            sums[k] = plus(sums[k], weights)
                return sums

            def add_pair(h, state):
                *sums, start = state  # the sums of pixels 2h - 1 and 2h, and where the lists of the pair start
                here = b.shl(h, const(1))
                left, right, far = (b.add(here, const(k)) for k in (-1, 1, 2))
                sums += load_pixel(right) + load_pixel(far)
                for k, pixels in enumerate((((0, add), (1, second_add)), ((0, add),), ((1, add),))):
                    stop = b.load(b.gep(ends, [b.add(b.mul(h, const(3)), const(k + 1))]))
                    add_to_pixels = partial(add_event, pixels=pixels)
                    sums = _counted_loop(b, start, stop, sums, add_to_pixels, unroll=False)
                    start = stop
                with b.if_then(b.icmp_signed(">", h, const(0))):
                    store(sums[:size], left)
                store(sums[size : 2 * size], here)
                with b.if_then(b.icmp_signed("==", right, last)):
                    store(sums[2 * size : 3 * size], right)
                return [*sums[2 * size :], start]

            pairs = b.ashr(b.add(n, const(1)), const(1))
            first = [_zeros(vector)] * size + load(dst)
            _counted_loop(b, const(0), pairs, [*first, b.load(ends)], add_pair)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return row


make_row = make_row_of_pairs if AVX512 else make_row_of_three
"""Of lists for which `conv_event.list_rows` knows, too: AVX2 has no registers for a row of pairs 64 floats wide, and
lost a tenth with narrower ones."""
