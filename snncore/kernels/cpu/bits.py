"""Masks of 64 bytes and what is done with their bits, as Numba intrinsics; see `simd`."""

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snncore.kernels.cpu.simd import AVX512, INT32, INT64, VBMI2, const

INT8 = ir.IntType(8)
SIXTEEN = ir.VectorType(INT32, 16)


def _declare(b: ir.IRBuilder, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def _spread(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    undefined = ir.Constant(SIXTEEN, ir.Undefined)
    one = b.insert_element(undefined, value, ir.Constant(INT32, 0))
    return b.shuffle_vector(one, undefined, ir.Constant(SIXTEEN, [0] * 16))


@intrinsic
def bytes_above(typing, address, level):
    """64-bit mask of which of the 64 bytes at `address` are above `level` (uint8)."""

    def generate(context, b, signature, args):
        vector = ir.VectorType(INT8, 64)
        undefined = ir.Constant(vector, ir.Undefined)
        one = b.insert_element(undefined, args[1], ir.Constant(INT32, 0))
        levels = b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(INT32, 64), [0] * 64))
        found = b.load(b.inttoptr(args[0], vector.as_pointer()), align=1)
        return b.bitcast(b.icmp_unsigned(">", found, levels), INT64)

    return types.uint64(types.int64, types.uint8), generate


@intrinsic
def bits_set(typing, mask):
    """Number of set bits."""

    def generate(context, b, signature, args):
        return b.ctpop(args[0])

    return types.int64(types.uint64), generate


def _put_bit_by_bit(b: ir.IRBuilder, target: ir.Value, i: ir.Value, entry: Callable, mask: ir.Value) -> ir.Value:
    before, loop, after = b.block, b.append_basic_block("bit"), b.append_basic_block("after")
    b.cbranch(b.icmp_unsigned("!=", mask, const(0)), loop, after)
    b.position_at_end(loop)
    n, left = b.phi(INT64), b.phi(INT64)
    bit = b.cttz(left, ir.Constant(ir.IntType(1), 1))
    b.store(b.trunc(entry(bit), INT32), b.gep(target, [n]))
    following, rest = b.add(n, const(1)), b.and_(left, b.sub(left, const(1)))
    for phi, first, last in ((n, i, following), (left, mask, rest)):
        phi.add_incoming(first, before)
        phi.add_incoming(last, loop)
    b.cbranch(b.icmp_unsigned("!=", rest, const(0)), loop, after)
    b.position_at_end(after)
    n = b.phi(INT64)
    n.add_incoming(i, before)
    n.add_incoming(following, loop)
    return n


def _put_sixteen(b: ir.IRBuilder, target: ir.Value, i: ir.Value, entries: ir.Value, count: ir.Value) -> None:
    """Write the first `count` (at most 16) of 16 entries from entry i on, and nothing behind them: not ours."""
    bits = ir.VectorType(ir.IntType(1), 16)
    store = _declare(b, "llvm.masked.store.v16i32.p0", ir.VoidType(), [SIXTEEN, SIXTEEN.as_pointer(), INT32, bits])
    first = b.trunc(b.sub(b.shl(const(1), count), const(1)), ir.IntType(16))
    spot = b.bitcast(b.gep(target, [i]), SIXTEEN.as_pointer())
    b.call(store, [entries, spot, ir.Constant(INT32, 4), b.bitcast(first, bits)])


def _put_by_sixteen(b: ir.IRBuilder, target: ir.Value, i: ir.Value, entry: Callable, mask: ir.Value) -> ir.Value:
    """Move together what is set of each 16 bits."""
    bits = ir.VectorType(ir.IntType(1), 16)
    compress = _declare(b, "llvm.x86.avx512.mask.compress.v16i32", SIXTEEN, [SIXTEEN, SIXTEEN, bits])
    for quarter in range(4):
        part = b.trunc(b.lshr(mask, const(16 * quarter)), ir.IntType(16))
        places = entry(ir.Constant(SIXTEEN, [16 * quarter + k for k in range(16)]))
        count = b.zext(b.ctpop(part), INT64)
        packed = b.call(compress, [places, ir.Constant(SIXTEEN, ir.Undefined), b.bitcast(part, bits)])
        _put_sixteen(b, target, i, packed, count)
        i = b.add(i, count)
    return i


def _put_at_once(b: ir.IRBuilder, target: ir.Value, i: ir.Value, entry: Callable, mask: ir.Value) -> ir.Value:
    """Move together the positions of all that is set, as bytes; there are seldom more than 16 of them."""
    numbers, bits = ir.VectorType(INT8, 64), ir.VectorType(ir.IntType(1), 64)
    compress = _declare(b, "llvm.x86.avx512.mask.compress.v64i8", numbers, [numbers, numbers, bits])
    undefined = ir.Constant(numbers, ir.Undefined)
    positions = b.call(compress, [ir.Constant(numbers, list(range(64))), undefined, b.bitcast(mask, bits)])
    count = b.ctpop(mask)
    after = b.append_basic_block("after")
    for first in range(0, 64, 16):
        lanes = ir.Constant(SIXTEEN, list(range(first, first + 16)))
        part = b.zext(b.shuffle_vector(positions, undefined, lanes), SIXTEEN)
        rest = b.sub(count, const(first))
        more = b.icmp_unsigned(">", rest, const(16))
        _put_sixteen(b, target, b.add(i, const(first)), entry(part), b.select(more, const(16), rest))
        following = b.append_basic_block("following") if first < 48 else after
        b.cbranch(more, following, after)
        b.position_at_end(following)
    return b.add(i, count)


@intrinsic
def put_set_bits(typing, address, i, start, step, mask):
    """Write start + step * p as int32, from entry i of the array at `address` on, for each set bit p of the mask.

    Returns the next i. Bit by bit, or with AVX-512 16 bits at a time, or with VBMI2 16 set bits at a time.
    """

    def generate(context, b, signature, args):
        address, i, start, step, mask = args

        def entry(p):
            if p.type == INT64:
                return b.add(start, b.mul(step, p))
            factor, first = (_spread(b, b.trunc(value, INT32)) for value in (step, start))
            return b.add(b.mul(p, factor), first)

        put = _put_at_once if VBMI2 else _put_by_sixteen if AVX512 else _put_bit_by_bit
        return put(b, b.inttoptr(address, INT32.as_pointer()), i, entry, mask)

    return types.int64(types.int64, types.int64, types.int64, types.int64, types.uint64), generate


@intrinsic
def transpose_bits(typing, dst, src):
    """64 words of 64 bits at dst: bit i of word k is bit k of word i at src.

    Squares of 32, 16, 8, 4, 2 and 1 bits above the diagonal change places with those below it.
    """
    vector = ir.VectorType(INT64, 8)

    def words(values: Sequence[int]) -> ir.Constant:
        return ir.Constant(vector, list(values))

    def generate(context, b, signature, args):
        dst, src = (b.inttoptr(address, vector.as_pointer()) for address in args)
        rows = [b.load(b.gep(src, [const(k)]), align=8) for k in range(8)]
        for j in (32, 16, 8, 4, 2, 1):
            low = sum(1 << bit for bit in range(64) if not bit & j)  # columns of the left squares
            keep, shift = words([low] * 8), words([j] * 8)
            if j >= 8:
                for k in (k for k in range(8) if not k & j // 8):
                    one, two = rows[k], rows[k + j // 8]
                    moved = b.and_(b.xor(b.lshr(one, shift), two), keep)
                    rows[k], rows[k + j // 8] = b.xor(one, b.shl(moved, shift)), b.xor(two, moved)
                continue
            other = ir.Constant(ir.VectorType(INT32, 8), [lane ^ j for lane in range(8)])
            upper = ir.Constant(ir.VectorType(ir.IntType(1), 8), [int(not lane & j) for lane in range(8)])
            keep = words([low if not lane & j else ~low & 2**64 - 1 for lane in range(8)])
            drop = words([~low & 2**64 - 1 if not lane & j else low for lane in range(8)])
            for k, row in enumerate(rows):
                partner = b.shuffle_vector(row, row, other)
                moved = b.select(upper, b.shl(partner, shift), b.lshr(partner, shift))
                rows[k] = b.or_(b.and_(row, keep), b.and_(moved, drop))
        for k, row in enumerate(rows):
            b.store(row, b.gep(dst, [const(k)]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
