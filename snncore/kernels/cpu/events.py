"""From an array of spikes to lists of where they are; a value of 2 is listed twice, so that nothing is multiplied.

Both lists are made from 64 bytes at a time: compare with a level, and walk the set bits of the mask.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from snncore.kernels.cpu.bits import bits_set, bytes_above, put_set_bits, transpose_bits
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.cpu.order import step_through

BLOCK = 64  # channels in a list


class Spikes(NamedTuple):
    """Spikes [M, H, W, C] whose bytes may be read 64 at a time, with what each image holds."""

    x: np.ndarray  # uint8, with 64 readable bytes behind its last pixel
    totals: np.ndarray  # int64 [M], sum of values of each image
    largest: int  # value

    @property
    def density(self) -> float:
        """Sum of values over number of entries: what an event-driven kernel does of a dense one's work."""
        return float(self.totals.sum()) / max(1, self.x.size)

    def starts(self) -> np.ndarray:
        """Where the list of each image starts if they lie one behind the other, int64 [M + 1]."""
        return np.concatenate([[0], np.cumsum(self.totals)])


@compiled(parallel=True)
def count_images(x: np.ndarray, totals: np.ndarray, largest: np.ndarray) -> None:
    """Sum and largest of the values of each image of x, uint8 [M, n]."""
    images, n = x.shape
    source = x.ctypes.data
    for m in prange(images):
        total, most = np.int64(0), np.int64(0)
        whole = n - n % 64
        for start in range(0, whole, 64):
            level = 0
            mask = bytes_above(source + m * n + start, np.uint8(0))
            while mask != np.uint64(0):
                total += bits_set(mask)
                level += 1
                if level == 255:
                    break
                mask = bytes_above(source + m * n + start, np.uint8(level))
            most = max(most, level)
        for i in range(whole, n):
            total += np.int64(x[m, i])
            most = max(most, np.int64(x[m, i]))
        totals[m], largest[m] = total, most


def look_at(x: np.ndarray) -> Spikes:
    """Count the spikes [M, H, W, C], and copy them where 64 bytes cannot be read at the last pixel."""
    x = np.ascontiguousarray(x)
    if x.shape[-1] % BLOCK:
        room = aligned((x.size + BLOCK,), np.uint8, zero=True)
        room[: x.size] = x.reshape(-1)
        x = room[: x.size].reshape(x.shape)
    totals, largest = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    count_images(x.reshape(len(x), math.prod(x.shape[1:])), totals, largest)
    return Spikes(x, totals, int(largest.max(initial=0)))


@compiled(inline=True)
def bits_of_block(channels, block):
    """Return a mask of the channels that a block of 64 has."""
    rest = channels - block * BLOCK
    return ~np.uint64(0) if rest >= BLOCK else (np.uint64(1) << np.uint64(rest)) - np.uint64(1)


@compiled(parallel=True)
def list_by_pixel(
    x: np.ndarray, starts: np.ndarray, column_step: int, row_bytes: int, pointers: np.ndarray, index: np.ndarray
) -> None:
    """Lists of the active channels of each pixel, for a gather of rows of weights.

    x: uint8 [M, H, W, C]. starts: from `Spikes.starts`. pointers: int32 [blocks of 64 channels, M, H, W + 1].
    index: int32, entry (column * column_step + channel in its block) * row_bytes; list j of a row and block is
    index[pointers[.., j] : pointers[.., j + 1]], so that neighbouring pixels are one stretch.
    """
    images, height, width, channels = x.shape
    source, target = x.ctypes.data, index.ctypes.data
    for m in prange(images):
        n = starts[m]
        for block in range(pointers.shape[0]):
            valid = bits_of_block(channels, block)
            for i in range(height):
                for j in range(width):
                    pointers[block, m, i, j] = n
                    address = source + ((m * height + i) * width + j) * channels + block * BLOCK
                    level = np.uint8(0)
                    mask = bytes_above(address, level) & valid
                    while mask != np.uint64(0):
                        n = put_set_bits(target, n, j * column_step * row_bytes, row_bytes, mask)
                        level = np.uint8(level + 1)
                        if level == np.uint8(255):
                            break
                        mask = bytes_above(address, level) & valid
                pointers[block, m, i, width] = n


@compiled(parallel=True)
def list_by_pair(x: np.ndarray, starts: np.ndarray, row_bytes: int, pointers: np.ndarray, index: np.ndarray) -> None:
    """Lists of the active channels of each two neighbouring pixels, columns 2h and 2h + 1, for `make_row_of_pairs`.

    Three lists: of what is active in both, in the first alone, and in the second alone. Values above 1 are taken apart
    into levels, so that 2 and 1 are once both and once the first. x: uint8 [M, H, W, C]. starts: from `Spikes.starts`.
    pointers: int32 [blocks of 64 channels, M, H, 3 * ceil(W / 2) + 1]. index: int32, entry channel in its block *
    row_bytes; list k of pair h is index[pointers[.., 3 * h + k] : pointers[.., 3 * h + k + 1]].
    """
    images, height, width, channels = x.shape
    source, target = x.ctypes.data, index.ctypes.data
    pairs = pointers.shape[3] // 3
    for m in prange(images):
        n = starts[m]
        for block in range(pointers.shape[0]):
            valid = bits_of_block(channels, block)
            for i in range(height):
                for h in range(pairs):
                    address = source + ((m * height + i) * width + 2 * h) * channels + block * BLOCK
                    there = 2 * h + 1 < width
                    second = address + channels if there else address
                    valid_there = valid if there else np.uint64(0)
                    for k in range(3):
                        pointers[block, m, i, 3 * h + k] = n
                        level = np.uint8(0)
                        one, two = bytes_above(address, level) & valid, bytes_above(second, level) & valid_there
                        while one | two != np.uint64(0):
                            mask = one & two if k == 0 else one & ~two if k == 1 else two & ~one
                            n = put_set_bits(target, n, 0, row_bytes, mask)
                            level = np.uint8(level + 1)
                            if level == np.uint8(255):
                                break
                            one, two = bytes_above(address, level) & valid, bytes_above(second, level) & valid_there
                pointers[block, m, i, 3 * pairs] = n


@compiled(inline=True)
def first_of_pairs(mask):
    """Return which bits are the first, third, fifth of a run of set bits and have a neighbour above.

    Adding its lowest bit to a run moves that out above it, and clears the run: so runs that begin at even bits are told
    from those that begin at odd ones.
    """
    even = np.uint64(0x5555555555555555)
    starts = mask & ~(mask << np.uint64(1))
    from_even = mask & ~(mask + (starts & even))
    return (from_even & even | mask & ~from_even & ~even) & mask >> np.uint64(1)


@compiled(parallel=True)
def list_by_channel(
    x: np.ndarray,
    starts: np.ndarray,
    largest: int,
    band: int,
    stack: int,
    pitch: tuple[int, int],
    row_bytes: int,
    pair_bytes: int,
    pointers: np.ndarray,
    index: np.ndarray,
) -> None:
    """Lists of the active pixels of each channel in `stack` images, or in a band of `band` rows of one image.

    For a gather of rows of gradients. x: uint8 [M, H, W, C], of values up to `largest`. pitch: rows from an image to
    the next, columns from a row to the next. pointers: int32 [stacks, bands, C + 1]. index: int32, entry
    ((image in stack * pitch[0] + row in band) * pitch[1] + column) * row_bytes; list c of stack g and band k is
    index[pointers[g, k, c] : pointers[g, k, c + 1]]. With pair_bytes > 0 neighbours that are both active, the first and
    the second of a run, the third and the fourth, are one entry: that of the first plus pair_bytes. Values above 1 are
    taken apart into levels, and each has pairs of its own. Masks of the channels of 64 pixels are turned into masks of
    the pixels of 64 channels, each of which is written at once.
    """
    images, height, width, channels = x.shape
    source, target = x.ctypes.data, index.ctypes.data
    groups, blocks = pointers.shape[0], -(-channels // BLOCK)
    words = -(-((stack - 1) * pitch[0] + band) * pitch[1] // 64)
    step = step_through(groups)
    for item in prange(groups):
        group = item * step % groups
        first, last = group * stack, min(images, (group + 1) * stack)
        n = starts[first]
        masks = np.zeros(words * 64, np.uint64)  # of each place in a tile: which of 64 channels are active
        bits = np.empty((largest, blocks, words, 64), np.uint64)  # of each channel: at which of 64 places it is
        levels = np.zeros(blocks, np.int64)
        for k in range(pointers.shape[1]):
            rows = min(height, (k + 1) * band) - k * band
            if rows < band:
                masks[:] = 0
            for block in range(blocks):
                valid = bits_of_block(channels, block)
                levels[block] = 0
                for level in range(largest):
                    found = np.uint64(0)
                    for r in range((last - first) * rows):
                        m, i = r // rows, r % rows
                        pixel = ((first + m) * height + k * band + i) * width
                        place = (m * pitch[0] + i) * pitch[1]
                        for j in range(width):
                            address = source + (pixel + j) * channels + block * BLOCK
                            mask = bytes_above(address, np.uint8(level)) & valid
                            masks[place + j] = mask
                            found |= mask
                    if found == np.uint64(0):
                        break
                    for word in range(words):
                        transpose_bits(bits[level, block, word].ctypes.data, masks.ctypes.data + word * 512)
                    levels[block] = level + 1
            for c in range(channels):
                pointers[group, k, c] = n
                for level in range(levels[c // BLOCK]):
                    for word in range(words):
                        mask = bits[level, c // BLOCK, word, c % BLOCK]
                        start = word * 64 * row_bytes
                        if pair_bytes > 0:
                            both = first_of_pairs(mask)
                            mask &= ~(both | both << np.uint64(1))
                            n = put_set_bits(target, n, start + pair_bytes, row_bytes, both)
                        n = put_set_bits(target, n, start, row_bytes, mask)
            pointers[group, k, channels] = n
