"""From an array of spikes to lists of where they are; a value of 2 is listed twice, so that nothing is multiplied.

Both lists are made from 64 bytes at a time: compare with a level, and walk the set bits of the mask.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from snncore.kernels.cpu.bits import bits_set, bytes_above, lowest_bit, put_int32, put_set_bits
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
            rest = channels - block * BLOCK
            valid = ~np.uint64(0) if rest >= BLOCK else (np.uint64(1) << np.uint64(rest)) - np.uint64(1)
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
            rest = channels - block * BLOCK
            valid = ~np.uint64(0) if rest >= BLOCK else (np.uint64(1) << np.uint64(rest)) - np.uint64(1)
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


@compiled(parallel=True)
def list_by_channel(
    x: np.ndarray,
    starts: np.ndarray,
    band: int,
    stack: int,
    pitch: tuple[int, int],
    row_bytes: int,
    pointers: np.ndarray,
    index: np.ndarray,
) -> None:
    """Lists of the active pixels of each channel in `stack` images, or in a band of `band` rows of one image.

    For a gather of rows of gradients. x: uint8 [M, H, W, C]. pitch: rows from an image to the next, columns from a row
    to the next. pointers: int32 [stacks, bands, C + 1]. index: int32, entry
    ((image in stack * pitch[0] + row in band) * pitch[1] + column) * row_bytes; list c of stack g and band k is
    index[pointers[g, k, c] : pointers[g, k, c + 1]].
    """
    images, height, width, channels = x.shape
    source, target = x.ctypes.data, index.ctypes.data
    groups = pointers.shape[0]
    step = step_through(groups)
    for item in prange(groups):
        group = item * step % groups
        first, last = group * stack, min(images, (group + 1) * stack)
        n = starts[first]
        room = np.empty(channels, np.int64)  # of each channel: first how many, then where the next goes
        for k in range(pointers.shape[1]):
            rows = min(height, (k + 1) * band) - k * band
            room[:] = 0
            for turn in range(2):
                for r in range((last - first) * rows):
                    m, i = r // rows, r % rows
                    for j in range(width):
                        place = ((m * pitch[0] + i) * pitch[1] + j) * row_bytes
                        for c in range(0, channels, BLOCK):
                            rest = channels - c
                            valid = ~np.uint64(0) if rest >= BLOCK else (np.uint64(1) << np.uint64(rest)) - np.uint64(1)
                            pixel = ((first + m) * height + k * band + i) * width + j
                            address = source + pixel * channels + c
                            level = np.uint8(0)
                            mask = bytes_above(address, level) & valid
                            while mask != np.uint64(0):
                                while mask != np.uint64(0):
                                    channel = c + lowest_bit(mask)
                                    if turn == 1:
                                        put_int32(target, room[channel], place)
                                    room[channel] += 1
                                    mask &= mask - np.uint64(1)
                                level = np.uint8(level + 1)
                                if level == np.uint8(255):
                                    break
                                mask = bytes_above(address, level) & valid
                if turn == 0:
                    for c in range(channels):
                        pointers[group, k, c] = n
                        n, room[c] = n + room[c], n
                    pointers[group, k, channels] = n
