"""Batch normalisation and LIF in single passes over memory.

Layout: [T, P * C], P positions of C channels. A block is `BLOCK` floats of each timestep, whole positions; the
constants of the channels are repeated to its length, so that every inner loop is long and touches few arrays (LLVM
vectorises those). The membrane and its slopes live in a block of T * BLOCK floats, in the level-1 cache. `prange` goes
over groups of blocks whose size does not depend on the number of threads, and sums over them are added in their order:
the same bits with any number of threads.

The forward pass is compiled without fused multiply-add: from the same x, its spikes are those of the reference kernels.
The backward pass recomputes the membranes in the same way (`charge`), and with them what fired: spikes need not be kept
for it. On the edge of a rectangle, one rounding decides whether there is a derivative.
"""

import numpy as np
from numba import prange

from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.membrane import constants
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.cpu.surrogates import code_of, derivative
from snncore.kernels.reference.batch_norm import Moments
from snncore.surrogate import spike_dtype

f32 = np.float32
BLOCK = 1024  # floats of a timestep: 4 KiB
GROUP = 16  # blocks whose sums are kept in float32


def block_length(channels: int, entries: int) -> int:
    """Floats in a block: whole positions, about BLOCK."""
    return min(entries, max(1, BLOCK // channels) * channels)


def repeated(length: int, *constants: np.ndarray) -> np.ndarray:
    """Return constants [C] as float32, repeated to `length`: an array of as many rows."""
    channels = len(constants[0])
    rows = np.empty((len(constants), length // channels, channels), np.float32)
    for row, x in zip(rows, constants, strict=True):
        row[:] = x
    return rows.reshape(len(constants), length)


def runs_here(x: np.ndarray, *constants: np.ndarray) -> bool:
    """Whether the compiled kernels take these types: float32; the rest is left to the reference."""
    return x.size > 0 and x.dtype == np.float32 and all(c.dtype == np.float32 for c in constants)


def by_channel(parts: np.ndarray, channels: int) -> np.ndarray:
    """Two sums, each of [groups, length] by channel: [2, C] float64 from parts [2, groups, length]."""
    return parts.sum(axis=1, dtype=np.float64).reshape(2, -1, channels).sum(axis=1)


@compiled(parallel=True)
def moment_sums(x, shift, length, parts):
    """By group of blocks, sums of x - shift and its square, [2, groups, length]; x [n], shift [length]."""
    n = len(x)
    for group in prange(parts.shape[1]):
        one, two = parts[0, group], parts[1, group]
        one[:] = 0
        two[:] = 0
        for block in range(group * GROUP, min((group + 1) * GROUP, (n + length - 1) // length)):
            part = x[block * length : min(n, (block + 1) * length)]
            for i in range(len(part)):
                d = part[i] - shift[i]
                one[i] += d
                two[i] += d * d


def batch_norm_statistics(x: np.ndarray) -> Moments:
    """Moments as `reference.batch_norm_statistics`, in one pass, shifted by the mean of the first entries."""
    if x.dtype != np.float32 or x.size == 0:
        return reference.batch_norm_statistics(x)
    channels = x.shape[-1]
    flat = np.ascontiguousarray(x).reshape(-1)
    length = block_length(channels, flat.size)
    about = flat[:length].reshape(-1, channels).mean(axis=0)
    parts = np.empty((2, -(-flat.size // (length * GROUP)), length), np.float32)
    moment_sums(flat, repeated(length, about)[0], length, parts)
    count = flat.size // channels
    one, two = by_channel(parts, channels) / count
    return Moments(count, about.astype(np.float32).astype(np.float64) + one, np.maximum(two - one * one, 0))


@compiled(parallel=True, exact=True)
def forward(x, mean, scale, shift, decay, v_threshold, hard, v_reset, s):
    """Spikes s [T, n] from x [T, n]; mean, scale and shift [length]."""
    steps, n = x.shape
    length = len(mean)
    for block in prange((n + length - 1) // length):
        first, last = block * length, min(n, (block + 1) * length)
        v = np.zeros(last - first, np.float32)
        for t in range(steps):
            xt, st = x[t, first:last], s[t, first:last]
            for i in range(last - first):
                h = decay * v[i] + ((xt[i] - mean[i]) * scale[i] + shift[i])
                fired = h >= v_threshold
                st[i] = fired
                if hard:
                    v[i] = v_reset if fired else h
                else:
                    v[i] = h - (v_threshold if fired else f32(0))


def batch_norm_lif_forward(
    x: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    firing: Firing,
) -> np.ndarray:
    """Spikes as `reference.batch_norm_lif_forward`."""
    if not runs_here(x, gamma, beta) or spike_dtype(x) != np.uint8:
        return reference.batch_norm_lif_forward(x, mean, inv_std, gamma, beta, firing)
    flat = np.ascontiguousarray(x).reshape(len(x), -1)  # [T, P * C]
    length = block_length(x.shape[-1], flat.shape[1])
    channelwise = repeated(length, mean, gamma * inv_std, beta)
    s = aligned(flat.shape, np.uint8)
    forward(flat, *channelwise, *constants(firing), s)
    return s.reshape(x.shape)


@compiled(exact=True)
def charge(x, mean, scale, shift, decay, v_threshold, hard, v_reset, v, above):
    """Charged membranes minus v_threshold, and v after the reset where they fired, of one timestep: all [size]."""
    for i in range(len(x)):
        h = decay * v[i] + ((x[i] - mean[i]) * scale[i] + shift[i])
        fired = h >= v_threshold
        above[i] = h - v_threshold
        if hard:
            v[i] = v_reset if fired else h
        else:
            v[i] = h - (v_threshold if fired else f32(0))


@compiled(parallel=True)
def backward(gs, x, mean, scale, shift, decay, v_threshold, hard, v_reset, detach_reset, code, slope, gc, parts):
    """BPTT: gc [T, n]; by group of blocks, sums of gc and of gc * (x - mean), parts [2, groups, length]."""
    steps, n = x.shape
    length = len(mean)
    for group in prange(parts.shape[1]):
        one, two = parts[0, group], parts[1, group]
        one[:] = 0
        two[:] = 0
        slopes = np.empty((steps, length), np.float32)  # h - v_threshold, then the derivative there
        v, gv = np.empty(length, np.float32), np.empty(length, np.float32)
        for block in range(group * GROUP, min((group + 1) * GROUP, (n + length - 1) // length)):
            first, last = block * length, min(n, (block + 1) * length)
            size = last - first
            charged = np.empty((steps, length), np.float32) if hard else slopes
            v[:] = 0
            gv[:] = 0
            for t in range(steps):
                xt, ht = x[t, first:last], slopes[t]
                charge(xt, mean, scale, shift, decay, v_threshold, hard, v_reset, v, ht)
                if hard:
                    charged[t, :size] = ht[:size]
                derivative(code, slope, ht[:size])
            for back in range(steps):
                t = steps - 1 - back
                g, dt, out, xt = gs[t, first:last], slopes[t], gc[t, first:last], x[t, first:last]
                if hard:
                    ct = charged[t]
                    for i in range(size):
                        by_s = f32(0) if detach_reset else v_reset - (ct[i] + v_threshold)
                        through = f32(0) if ct[i] >= f32(0) else gv[i]  # h - v_threshold is 0 only where they are equal
                        value = (g[i] + gv[i] * by_s) * dt[i] + through
                        gv[i] = decay * value
                        out[i] = value
                else:
                    by_s = f32(0) if detach_reset else -v_threshold
                    for i in range(size):
                        value = (g[i] + gv[i] * by_s) * dt[i] + gv[i]
                        gv[i] = decay * value
                        out[i] = value
                for i in range(size):
                    one[i] += out[i]
                    two[i] += out[i] * (xt[i] - mean[i])


@compiled(parallel=True)
def through_norm(gc, x, mean, a, b, d):
    """gc = a * gc + b * (x - mean) + d in place: gc and x [n], the constants [length]."""
    n, length = len(gc), len(mean)
    for block in prange((n + length - 1) // length):
        first, last = block * length, min(n, (block + 1) * length)
        g, part = gc[first:last], x[first:last]
        for i in range(last - first):
            g[i] = a[i] * g[i] + (b[i] * (part[i] - mean[i]) + d[i])


def batch_norm_lif_gradient_sums(
    gs: np.ndarray,
    x: np.ndarray,
    s: np.ndarray | None,
    mean: np.ndarray,
    inv_std: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    firing: Firing,
) -> tuple[np.ndarray, np.ndarray]:
    """(gc, sums) as `reference.batch_norm_lif_gradient_sums`, in one pass. The spikes s are found again if None."""
    coded = code_of(firing.surrogate)
    if coded is None or not runs_here(x, gamma, beta, gs) or (s is not None and s.dtype != np.uint8):
        if s is None:
            s = batch_norm_lif_forward(x, mean, inv_std, gamma, beta, firing)
        return reference.batch_norm_lif_gradient_sums(gs, x, s, mean, inv_std, gamma, beta, firing)
    channels = x.shape[-1]
    flat, gs = (np.ascontiguousarray(a).reshape(len(x), -1) for a in (x, gs))  # [T, P * C]
    length = block_length(channels, flat.shape[1])
    gc = aligned(flat.shape, np.float32)
    parts = np.empty((2, -(-flat.shape[1] // (length * GROUP)), length), np.float32)
    channelwise = repeated(length, mean, gamma * inv_std, beta)
    backward(gs, flat, *channelwise, *constants(firing), firing.detach_reset, *coded, gc, parts)
    sums = by_channel(parts, channels)
    sums[1] *= inv_std
    return gc.reshape(x.shape), sums


def batch_norm_lif_backward(
    gc: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    gamma: np.ndarray,
    sums: np.ndarray,
    count: int | None,
) -> np.ndarray:
    """Gradient of x as `reference.batch_norm_lif_backward`, written over gc."""
    if not runs_here(x, gamma, gc) or not gc.flags.c_contiguous:
        return reference.batch_norm_lif_backward(gc, x, mean, inv_std, gamma, sums, count)
    a = gamma * inv_std
    b, d = np.zeros_like(a), np.zeros_like(a)
    if count is not None:
        b, d = -a * inv_std * sums[1] / count, -a * sums[0] / count
    flat = np.ascontiguousarray(x).reshape(-1)
    length = block_length(x.shape[-1], flat.size)
    through_norm(gc.reshape(-1), flat, *repeated(length, mean, a, b, d))
    return gc
