"""Derivatives of the surrogates of `snncore.surrogate`, on a block of float32 in place."""

import math

import numpy as np

from snncore import surrogate as S
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.simd import float_bits, power_of_two

f32 = np.float32
SIGMOID, ATAN, RECTANGLE, TRIANGLE, FAST_SIGMOID, ERF = range(6)
CODES = {
    S.Sigmoid: SIGMOID,
    S.ATan: ATAN,
    S.Rectangle: RECTANGLE,
    S.Triangle: TRIANGLE,
    S.FastSigmoid: FAST_SIGMOID,
    S.Erf: ERF,
}


def code_of(surrogate: S.Surrogate) -> tuple[int, np.float32] | None:
    """Return (code, slope or width) for `derivative`, or None for a surrogate of the user's own."""
    code = CODES.get(type(surrogate))
    if code is None:
        return None
    return code, f32(surrogate.width if code in (RECTANGLE, TRIANGLE) else surrogate.slope)  # type: ignore[attr-defined]


@compiled(inline=True)
def exp_of_negative(x):
    """exp(x) for x <= 0, relative error 1e-7, without a branch: 2^n times a polynomial (Cephes expf)."""
    x = f32(-87.0) if x < f32(-87.0) else x  # exp(-87) is the smallest that is no subnormal; a NaN stays
    shifted = x * f32(1.4426950408889634) + f32(12582912.0)  # 1.5 * 2^23: the integer n is in the low bits
    n = shifted - f32(12582912.0)
    r = x - n * f32(0.693359375) - n * f32(-2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1.0)
    return p * power_of_two(float_bits(shifted))


@compiled()
def derivative(code, scale, x):
    """Replace every x (membrane minus threshold) of a one-dimensional block by the derivative of the smooth step."""
    n = len(x)
    if code == SIGMOID:
        for i in range(n):
            e = exp_of_negative(-abs(x[i] * scale))
            x[i] = scale * e / ((f32(1) + e) * (f32(1) + e))
    elif code == ATAN:
        a, b = scale / f32(2), f32(math.pi / 2) * scale
        for i in range(n):
            x[i] = a / (f32(1) + (b * x[i]) * (b * x[i]))
    elif code == RECTANGLE:
        a, b = scale / f32(2), f32(1) / scale
        for i in range(n):
            x[i] = b if abs(x[i]) <= a else f32(0)
    elif code == TRIANGLE:
        a = f32(1) / scale
        for i in range(n):
            y = f32(1) - abs(x[i]) * a
            x[i] = f32(0) if y < f32(0) else y * a  # a NaN stays
    elif code == FAST_SIGMOID:
        a = scale / f32(2)
        for i in range(n):
            d = f32(1) + scale * abs(x[i])
            x[i] = a / (d * d)
    else:
        a = scale / f32(math.sqrt(math.pi))
        for i in range(n):
            x[i] = a * exp_of_negative(-(scale * x[i]) * (scale * x[i]))
