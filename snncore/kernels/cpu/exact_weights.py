"""Weights as the exact kernels take them: integers and powers of two, packed, and kept until a weight changes.

Packing takes two passes over the weights. What was packed is found again by the place of the weights in memory, and
holds as long as a digest of their bits is the same: a change in place is seen, whoever made it. The digest is one pass,
and replaces the look for weights that are not ordinary. What is kept goes when the memory of the weights does.
"""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.finite import are_finite
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import make_mix
from snncore.kernels.reference.exact import BLOCK, LIMIT, MOST, fixed_point

PARTS, LANES = 8, 64  # of a digest
u32 = np.uint32
mix = make_mix(LANES)


class Packed(NamedTuple):
    """Weights in the layout of a kernel."""

    weights: np.ndarray
    scale: np.ndarray  # float32 [Co], 2^-p
    most: int  # largest sum of either sign in a block
    offsets: np.ndarray | None = None  # what is subtracted from sums (`exact_winograd`)


@compiled(parallel=True)
def mix_words(words, digest):
    """Digest [PARTS, LANES] of words [n], uint32: another where one word of a lane differs; where more do, almost
    surely."""
    n, parts = len(words), len(digest)
    source = words.ctypes.data
    for part in prange(parts):
        first, last = n * part // parts, n * (part + 1) // parts
        lanes = digest[part]
        lanes[:] = u32(2166136261)
        whole = last - (last - first) % LANES
        mix(lanes.ctypes.data, source + 4 * first, (whole - first) // LANES)
        for i in range(whole, last):
            state = u32(u32(lanes[i - whole] ^ words[i]) * u32(16777619))
            lanes[i - whole] = u32(state ^ (state >> u32(15)))


def digest_of(w: np.ndarray) -> np.ndarray:
    """Return the digest of w, float32 and contiguous."""
    digest = np.empty((PARTS, LANES), np.uint32)
    mix_words(w.reshape(-1).view(np.uint32), digest)
    return digest


@compiled(parallel=True)
def sum_either_sign(taps, positive, negative):
    """Sums of positive and of negative entries of taps [taps, Ci, Co] by block, [blocks, Co] float64."""
    channels = taps.shape[1]
    for block in prange(len(positive)):
        up, down = positive[block], negative[block]
        up[:] = 0
        down[:] = 0
        for t in range(len(taps)):
            for c in range(block * BLOCK, min(channels, (block + 1) * BLOCK)):
                row = taps[t, c]
                for o in range(len(row)):
                    v = np.float64(row[o])
                    up[o] += v if v > 0 else 0.0
                    down[o] -= 0.0 if v > 0 else v  # a NaN, too


@compiled(parallel=True, exact=True)
def round_weights(w, factors, block, packed, sums):
    """Round w [kh, kw, Ci, Co] * factors [Co] into packed [co, ci, kh, kw * block, width], as `conv_event` has it.

    sums: int32 [ci, 2, co * width], of positive and of negative integers in each block.
    """
    kh, kw, channels_in, channels_out = w.shape
    width = packed.shape[4]
    for item in prange(packed.shape[0] * packed.shape[1]):
        co, ci = item // packed.shape[1], item % packed.shape[1]
        first = co * width
        used = min(width, channels_out - first)
        up, down = sums[ci, 0, first : first + width], sums[ci, 1, first : first + width]
        up[:] = 0
        down[:] = 0
        factor = factors[first : first + used]
        for ky in range(kh):
            for kx in range(kw):
                for c in range(block):
                    row = packed[co, ci, ky, kx * block + c]
                    if ci * block + c >= channels_in:
                        row[:] = 0
                        continue
                    row[used:] = 0
                    source = w[ky, kx, ci * block + c, first : first + used]
                    for o in range(used):
                        v = np.int32(np.rint(source[o] * factor[o]))
                        row[o] = v
                        up[o] += max(v, np.int32(0))
                        down[o] -= min(v, np.int32(0))


def powers(w: np.ndarray) -> np.ndarray | None:
    """Return p of `reference.exact.fixed_point` for w [kh, kw, Ci, Co], int [Co]; None if w is not ordinary."""
    kh, kw, channels_in, channels_out = w.shape
    blocks = -(-channels_in // BLOCK)
    either = np.empty((2, blocks, channels_out))
    sum_either_sign(w.reshape(kh * kw, channels_in, channels_out), either[0], either[1])
    norm = either.max(axis=(0, 1))
    if not norm.max() <= 1e30 and not are_finite(w):  # a sum that is not above it has no term above it
        return None
    # Integers sum to 2^p * norm, up to half a unit for each weight. Where that does not decide, they are counted.
    slack = kh * kw * BLOCK / 2 + 1
    p = np.where(norm > 0, 30 - np.frexp(norm)[1], MOST + 2)  # 2^p * norm is 2^29 to 2^30
    near = np.where(norm > 0, np.ldexp(norm, p), 0)
    unsure = (abs(near - LIMIT) <= slack) | (abs(2 * near - LIMIT) <= slack)
    p = np.minimum(p, MOST)
    for o in np.flatnonzero(unsure):
        p[o] = -np.frexp(fixed_point(w[..., o : o + 1]).scale)[1][0] + 1
    return p


def pack_for_events(w: np.ndarray, width: int) -> Packed | None:
    """Return w [kh, kw, Ci, Co] as int32 [co, ci, kh, kw * block, width]; None if w is not ordinary."""
    p = powers(w)
    if p is None:
        return None
    kh, kw, channels_in, channels_out = w.shape
    block = min(BLOCK, channels_in)
    shape = -(-channels_out // width), -(-channels_in // block), kh, kw * block, width
    packed = aligned(shape, np.int32)
    sums = np.empty((shape[1], 2, shape[0] * width), np.int32)
    round_weights(w, np.ldexp(np.float32(1), p), block, packed, sums)
    return Packed(packed, np.ldexp(np.float32(1), -p), int(sums.max()))


def pack_for_tiles(w: np.ndarray, columns: int, whole: bool) -> Packed | None:
    """Return w [kh, kw, Ci, Co] as float64 [blocks, kh * kw * Ci, columns]; None if w is not ordinary.

    whole: as integers, for spikes; else as they are, for analog input, with a scale of 1.
    """
    channels_out = w.shape[-1]
    deep, n = w.size // channels_out, round_up(channels_out, columns)
    wide = np.zeros((deep, n))
    if whole:
        p = powers(w)
        if p is None:
            return None
        wide[:, :channels_out] = np.rint(w * np.ldexp(np.float32(1), p)).reshape(deep, channels_out)
        scale = np.ldexp(np.float32(1), -p)
    elif not are_finite(w):
        return None
    else:
        wide[:, :channels_out] = w.reshape(deep, channels_out)
        scale = np.ones(channels_out, np.float32)
    packed = aligned((n // columns, deep, columns), np.float64)
    packed[...] = wide.reshape(deep, n // columns, columns).transpose(1, 0, 2)
    return Packed(packed, scale, 0)


_kept: dict[int, dict[Any, tuple[np.ndarray, Packed | None]]] = {}
"""What was packed, by the identity of the array that owns the memory of the weights, then by place and layout."""


def kept(w: np.ndarray, layout: tuple[Any, ...], pack: Callable[[np.ndarray], Packed | None]) -> Packed | None:
    """Return pack(w), that of an earlier call if the bits of w are still those that it packed; w float32."""
    key = (w.__array_interface__["data"][0], w.shape, w.strides, layout)
    owner = w
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    w = np.ascontiguousarray(w)
    digest = digest_of(w)
    places = _kept.get(id(owner))
    if places is None:
        places = _kept[id(owner)] = {}
        weakref.finalize(owner, _kept.pop, id(owner), None).atexit = False
    found = places.get(key)
    if found is None or not np.array_equal(found[0], digest):
        found = places[key] = (digest, pack(w))
    return found[1]
