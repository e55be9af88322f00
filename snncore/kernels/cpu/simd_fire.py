"""Normalisation and neuron of a few channels over all timesteps, the membrane in registers: LLVM code, as in `simd`."""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snncore.kernels.cpu.simd import DOUBLE, FLOAT, INT32, _counted_loop, _loader, _zeros, const


def make_fire(width: int, element: ir.Type = FLOAT) -> Callable:
    """Return fire(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps): for t in steps

        h = decay * v + ((x[t] - mean) * scale + shift);  s[t] = h >= v_threshold
        v = v_reset if s[t] else h    (hard)    or    h - (v_threshold if s[t] else 0)

    of `width` channels from v = 0, each operation rounded and none fused: the bits of `batch_norm_lif.forward`.
    s: bytes. norm: mean, scale and shift, float32. Addresses and the steps between rows are in bytes.
    element: FLOAT, or INT32 or DOUBLE, integer sums of which x[t] = float32(sum) * factor, the fourth row of norm.
    """
    vector, sums, spikes = (ir.VectorType(kind, width) for kind in (FLOAT, element, ir.IntType(8)))

    @intrinsic
    def fire(typing, x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps):
        def generate(context, b, signature, args):
            x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps = args
            load, load_sums = _loader(b, vector), _loader(b, sums)
            lanes = ir.Constant(ir.VectorType(INT32, width), [0] * width)
            undefined = ir.Constant(vector, ir.Undefined)

            def spread(value):
                return b.shuffle_vector(b.insert_element(undefined, value, INT32(0)), undefined, lanes)

            mean, scale, shift, *factor = (
                load(b.add(norm, b.mul(norm_step, const(k)))) for k in range(3 + (element != FLOAT))
            )
            keeps, limit, rest = (spread(value) for value in (decay, v_threshold, v_reset))

            def current(t):
                x_t = load_sums(b.add(x, b.mul(x_step, t)))
                if element == INT32:
                    x_t = b.sitofp(x_t, vector)
                elif element == DOUBLE:
                    x_t = b.fptrunc(x_t, vector)
                return b.fmul(x_t, factor[0]) if factor else x_t

            def step(t, state):
                centred = b.fsub(current(t), mean)
                h = b.fadd(b.fmul(keeps, state[0]), b.fadd(b.fmul(centred, scale), shift))
                fired = b.fcmp_ordered(">=", h, limit)
                place = b.inttoptr(b.add(s, b.mul(s_step, t)), spikes.as_pointer())
                b.store(b.zext(fired, spikes), place, align=1)
                soft = b.fsub(h, b.select(fired, limit, _zeros(vector)))
                return [b.select(hard, b.select(fired, rest, h), soft)]

            _counted_loop(b, const(0), steps, [_zeros(vector)], step)
            return context.get_dummy_value()

        i, f = types.int64, types.float32
        return types.void(i, i, i, i, f, f, types.boolean, f, i, i, i), generate

    return fire
