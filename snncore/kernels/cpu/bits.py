"""Masks of 64 bytes and what is done with their bits, as Numba intrinsics; see `simd`."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snncore.kernels.cpu.simd import AVX512, INT32, INT64, const

INT8 = ir.IntType(8)


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
def lowest_bit(typing, mask):
    """Position of the lowest set bit of a mask that is not 0."""

    def generate(context, b, signature, args):
        return b.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def bits_set(typing, mask):
    """Number of set bits."""

    def generate(context, b, signature, args):
        return b.ctpop(args[0])

    return types.int64(types.uint64), generate


@intrinsic
def put_set_bits(typing, address, i, start, step, mask):
    """Write start + step * p as int32, from entry i of the array at `address` on, for each set bit p of the mask.

    Returns the next i. With AVX-512, 16 bits at a time and without a branch; else bit by bit.
    """

    def generate(context, b, signature, args):
        address, i, start, step, mask = args
        target = b.inttoptr(address, INT32.as_pointer())
        if not AVX512:
            before, loop, after = b.block, b.append_basic_block("bit"), b.append_basic_block("after")
            b.cbranch(b.icmp_unsigned("!=", mask, const(0)), loop, after)
            b.position_at_end(loop)
            n, left = b.phi(INT64), b.phi(INT64)
            bit = b.cttz(left, ir.Constant(ir.IntType(1), 1))
            b.store(b.trunc(b.add(start, b.mul(step, bit)), INT32), b.gep(target, [n]))
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
        vector, bits = ir.VectorType(INT32, 16), ir.VectorType(ir.IntType(1), 16)
        lanes = ir.Constant(ir.VectorType(INT32, 16), [0] * 16)
        undefined = ir.Constant(vector, ir.Undefined)

        def splat(value):
            one = b.insert_element(undefined, b.trunc(value, INT32), ir.Constant(INT32, 0))
            return b.shuffle_vector(one, undefined, lanes)

        def declare(name, *types_in):
            return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(*types_in), name)

        pointer = vector.as_pointer()
        compress = declare("llvm.x86.avx512.mask.compress.v16i32", vector, [vector, vector, bits])
        store = declare("llvm.masked.store.v16i32.p0", ir.VoidType(), [vector, pointer, INT32, bits])
        places = b.add(b.mul(ir.Constant(vector, list(range(16))), splat(step)), splat(start))
        for quarter in range(4):
            part = b.trunc(b.lshr(mask, const(16 * quarter)), ir.IntType(16))
            count = b.zext(b.ctpop(part), INT64)
            packed = b.call(compress, [places, undefined, b.bitcast(part, bits)])
            first = b.trunc(b.sub(b.shl(const(1), count), const(1)), ir.IntType(16))
            spot = b.bitcast(b.gep(target, [i]), pointer)
            b.call(store, [packed, spot, ir.Constant(INT32, 4), b.bitcast(first, bits)])
            places, i = b.add(places, splat(b.mul(step, const(16)))), b.add(i, count)
        return i

    return types.int64(types.int64, types.int64, types.int64, types.int64, types.uint64), generate


@intrinsic
def put_int32(typing, address, i, value):
    """Write the int32 `value` as entry i of the array at `address`."""

    def generate(context, b, signature, args):
        b.store(b.trunc(args[2], INT32), b.gep(b.inttoptr(args[0], INT32.as_pointer()), [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate
