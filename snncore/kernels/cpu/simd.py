"""Vector instructions that plain loops do not reach, written as LLVM code: Numba intrinsics, no C compiler needed.

Addresses are int64, in bytes, from `array.ctypes.data`; a vector of `width` floats is cut by LLVM into as many
registers as the processor needs. Arrays that are read through vectors start on 64-byte lines (`memory.aligned`):
a vector across two lines costs double.

Intrinsics must be globals of the module that calls them, or Numba cannot cache the caller on disk.
"""

from collections.abc import Callable, Sequence

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FLOAT, DOUBLE, INT32, INT64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)


def _has(feature: str) -> bool:
    """Ask the processor, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say that Numba is to compile for."""
    name, features = (getattr(numba.config, key) for key in ("CPU_NAME", "CPU_FEATURES"))
    if name or features is not None:
        return f"+{feature}" in (features or "").split(",")
    return bool(llvm.get_host_cpu_features().get(feature, False))


AVX512 = _has("avx512f")
"""Whether registers hold 16 floats and there are 32 of them; the blocking of every kernel follows from this."""

VNNI = AVX512 and _has("avx512vnni")
"""Whether there are 512-bit dot products of bytes, as `make_dot_tile` needs."""

VBMI2 = AVX512 and _has("avx512vbmi2")
"""Whether bytes of a 512-bit register can be moved together, as `bits.put_set_bits` does where it can."""


def const(value: int) -> ir.Constant:
    """Return an int64."""
    return ir.Constant(INT64, value)


def _zeros(vector: ir.VectorType) -> ir.Constant:
    return ir.Constant(vector, [0 if isinstance(vector.element, ir.IntType) else 0.0] * vector.count)


def _add(b: ir.IRBuilder, vector: ir.VectorType) -> Callable:
    return b.add if isinstance(vector.element, ir.IntType) else b.fadd


def _loader(b: ir.IRBuilder, vector: ir.VectorType) -> Callable:
    return lambda address: b.load(b.inttoptr(address, vector.as_pointer()), align=4)


def _storer(b: ir.IRBuilder, vector: ir.VectorType) -> Callable:
    return lambda value, address: b.store(value, b.inttoptr(address, vector.as_pointer()), align=4)


def _fma(b: ir.IRBuilder, vector: ir.VectorType) -> ir.Function:
    name = f"llvm.fma.v{vector.count}{vector.element.intrinsic_name}"
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(vector, [vector] * 3), name)


def _keep_rolled(b: ir.IRBuilder, jump: ir.Instruction) -> None:
    """Tell LLVM not to unroll the loop that ends with `jump`.

    The odd turn that is left over is one more branch, which no predictor foresees in loops of a few turns.
    """
    module = b.module
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = ir.values.MDValue(module, (disable, disable), name=str(len(module.metadata)))
    loop.operands = (loop, disable)  # a loop is known by metadata that begins with itself
    jump.set_metadata("llvm.loop", loop)


def _counted_loop(
    b: ir.IRBuilder, start: ir.Value, stop: ir.Value, state: Sequence[ir.Value], body: Callable, unroll: bool = True
) -> list:
    """Emit `for i in range(start, stop): state = body(i, state)`, the state in registers; return its last values."""
    before, loop, after = b.block, b.append_basic_block("loop"), b.append_basic_block("after")
    b.cbranch(b.icmp_signed("<", start, stop), loop, after)
    b.position_at_end(loop)
    i = b.phi(start.type)
    i.add_incoming(start, before)
    carried = [b.phi(value.type) for value in state]
    for phi, value in zip(carried, state, strict=True):
        phi.add_incoming(value, before)
    changed = body(i, carried)
    following = b.add(i, ir.Constant(start.type, 1))
    end = b.block
    i.add_incoming(following, end)
    for phi, value in zip(carried, changed, strict=True):
        phi.add_incoming(value, end)
    jump = b.cbranch(b.icmp_signed("<", following, stop), loop, after)
    if not unroll:
        _keep_rolled(b, jump)
    b.position_at_end(after)
    results = [b.phi(value.type) for value in state]
    for phi, first, last in zip(results, state, changed, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, end)
    return results


def make_gemm_tile(rows: int, width: int, accumulate: bool = False, element: ir.Type = FLOAT) -> Callable:
    """Return tile(c, c_step, a, a_step, w, w_step, k): c[rows, width] = a[rows, k] @ w[k, width], steps in bytes.

    Each sum goes from the first of the k terms to the last. With `accumulate` the product is added to c.
    element: FLOAT or DOUBLE.
    """
    vector = ir.VectorType(element, width)

    @intrinsic
    def tile(typing, c, c_step, a, a_step, w, w_step, k):
        def generate(context, b, signature, args):
            c, c_step, a, a_step, w, w_step, k = args
            load, store = _loader(b, vector), _storer(b, vector)
            fma = _fma(b, vector)
            starts = [b.inttoptr(b.add(a, b.mul(a_step, const(i))), element.as_pointer()) for i in range(rows)]
            lanes = ir.Constant(ir.VectorType(INT32, width), [0] * width)
            undefined = ir.Constant(vector, ir.Undefined)

            def add_outer(i, sums):
                row = load(b.add(w, b.mul(w_step, i)))
                spread = []
                for start in starts:
                    one = b.insert_element(undefined, b.load(b.gep(start, [i])), ir.Constant(INT32, 0))
                    spread.append(b.shuffle_vector(one, undefined, lanes))
                return [b.call(fma, [x, row, total]) for x, total in zip(spread, sums, strict=True)]

            places = [b.add(c, b.mul(c_step, const(i))) for i in range(rows)]
            before = [load(place) if accumulate else _zeros(vector) for place in places]
            for total, place in zip(_counted_loop(b, const(0), k, before, add_outer), places, strict=True):
                store(total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return tile


def make_tile_transform(matrix: Sequence[Sequence[float]], width: int) -> Callable:
    """Return transform(src, src_row, src_column, dst, dst_row, dst_column): dst = matrix @ src @ matrix^T.

    For `width` channels at once; the steps are in bytes. Straight-line code: zeros left out, ones not multiplied.
    """
    vector = ir.VectorType(FLOAT, width)
    n_out, n_in = len(matrix), len(matrix[0])

    @intrinsic
    def transform(typing, src, src_row, src_column, dst, dst_row, dst_column):
        def generate(context, b, signature, args):
            src, src_row, src_column, dst, dst_row, dst_column = args
            load, store = _loader(b, vector), _storer(b, vector)
            fma = _fma(b, vector)

            def combine(coefficients, values):
                terms = [(w, x) for w, x in zip(coefficients, values, strict=True) if w != 0]
                terms.sort(key=lambda term: (term[0] != 1, term[0] != -1))  # start from a +1 if there is one
                total = None
                for w, x in terms:
                    factor = ir.Constant(vector, [float(w)] * width)
                    if total is None:
                        total = x if w == 1 else b.fmul(x, factor)
                    elif w in (1, -1):
                        total = b.fadd(total, x) if w == 1 else b.fsub(total, x)
                    else:
                        total = b.call(fma, [x, factor, total])
                return total

            def place(base, i, row, j, column):
                return b.add(b.add(base, b.mul(row, const(i))), b.mul(column, const(j)))

            columns = []  # of matrix @ src
            for j in range(n_in):
                source = [load(place(src, i, src_row, j, src_column)) for i in range(n_in)]
                columns.append([combine(matrix[i], source) for i in range(n_out)])
            for i in range(n_out):
                for j in range(n_out):
                    value = combine(matrix[j], [column[i] for column in columns])
                    store(value, place(dst, i, dst_row, j, dst_column))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return transform


def make_transpose(width: int) -> Callable:
    """Return transpose(dst, dst_step, src, src_step): a square of `width` (a power of two) rows, steps in bytes.

    Interleaving the first half of the rows with the second moves one bit of the number of the row to that of the
    column: after log2(width) times they have changed places.
    """
    vector = ir.VectorType(FLOAT, width)
    half = width // 2
    both = [ir.Constant(ir.VectorType(INT32, width), [i // 2 + i % 2 * width + start for i in range(width)])
            for start in (0, half)]  # fmt: skip

    @intrinsic
    def transpose(typing, dst, dst_step, src, src_step):
        def generate(context, b, signature, args):
            dst, dst_step, src, src_step = args
            load, store = _loader(b, vector), _storer(b, vector)
            rows = [load(b.add(src, b.mul(src_step, const(i)))) for i in range(width)]
            for _ in range(width.bit_length() - 1):
                pairs = zip(rows[:half], rows[half:], strict=True)
                rows = [b.shuffle_vector(one, two, mask) for one, two in pairs for mask in both]
            for i, row in enumerate(rows):
                store(row, b.add(dst, b.mul(dst_step, const(i))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    return transpose


@intrinsic
def power_of_two(typing, bits):
    """2^n as float32, from `bits`, the int32 whose low byte is n (-126 to 127) in two's complement."""

    def generate(context, b, signature, args):
        exponent = b.add(args[0], ir.Constant(INT32, 127))
        return b.bitcast(b.shl(exponent, ir.Constant(INT32, 23)), FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def float_bits(typing, x):
    """The bits of a float32 as int32."""

    def generate(context, b, signature, args):
        return b.bitcast(args[0], INT32)

    return types.int32(types.float32), generate


def make_mix(width: int) -> Callable:
    """Return mix(state, source, n): over n rows of `width` uint32, s = state[0:width],

        s = (s ^ source[i]) * 16777619;  s = s ^ (s >> 15)

    A product carries differences upwards alone; the shift brings them down, so that two flipped signs do not cancel.
    """
    vector = ir.VectorType(INT32, width)

    @intrinsic
    def mix(typing, state, source, n):
        def generate(context, b, signature, args):
            state, source, n = args
            load, store = _loader(b, vector), _storer(b, vector)
            prime, down = (ir.Constant(vector, [k] * width) for k in (16777619, 15))

            def add_row(i, states):
                row = load(b.add(source, b.mul(i, const(4 * width))))
                state = b.mul(b.xor(states[0], row), prime)
                return [b.xor(state, b.lshr(state, down))]

            store(_counted_loop(b, const(0), n, [load(state)], add_row)[0], state)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), generate

    return mix


def make_dot_tile(rows: int, registers: int) -> Callable:
    """Return tile(c, c_step, a, a_step, w, k): int32 c[rows, n] = a[rows, k, 4] . w[k, n, 4], n = 16 * registers.

    a: uint8, w: int8, products of four bytes at a time, without saturation; the steps are in bytes.
    """
    vector = ir.VectorType(INT32, 16)
    name = "llvm.x86.avx512.vpdpbusd.512"

    @intrinsic
    def tile(typing, c, c_step, a, a_step, w, k):
        def generate(context, b, signature, args):
            c, c_step, a, a_step, w, k = args
            load, store = _loader(b, vector), _storer(b, vector)
            dot = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(vector, [vector] * 3), name)
            starts = [b.inttoptr(b.add(a, b.mul(a_step, const(i))), INT32.as_pointer()) for i in range(rows)]
            lanes = ir.Constant(ir.VectorType(INT32, 16), [0] * 16)
            undefined = ir.Constant(vector, ir.Undefined)

            def add_four(i, sums):
                at = b.add(w, b.mul(const(64 * registers), i))
                weights = [load(b.add(at, const(64 * j))) for j in range(registers)]
                found = []
                for row, start in enumerate(starts):
                    four = b.load(b.gep(start, [i]), align=1)
                    spread = b.shuffle_vector(
                        b.insert_element(undefined, four, ir.Constant(INT32, 0)), undefined, lanes
                    )
                    for j in range(registers):
                        found.append(b.call(dot, [sums[row * registers + j], spread, weights[j]]))
                return found

            sums = _counted_loop(b, const(0), k, [_zeros(vector)] * (rows * registers), add_four)
            for i, total in enumerate(sums):
                store(total, b.add(b.add(c, b.mul(c_step, const(i // registers))), const(64 * (i % registers))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return tile
