"""Event files of vision sensors: AEDAT of any version, here 2.0 of a DVS128, and the 5-byte records of N-MNIST."""

from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.aedat3 import AEDAT3_MAGIC, read_aedat3
from misnet.datasets.formats.aedat4 import AEDAT4_MAGIC, read_aedat4
from misnet.datasets.formats.event_time import continued, in_order
from misnet.datasets.formats.files import check_head, read_bytes
from misnet.datasets.media.events import Events

__all__ = ["read_aedat", "read_aedat2", "read_nmnist", "read_text_header"]

AEDAT2_MAGIC = b"#!AER-DAT2.0"
DVS128 = 128  # pixels a side
DVS128_BITS = 0x7FFF  # seven bits of y, seven of x, one of polarity
SPECIAL = 0x8000  # a pulse at the plug for synchronisation, no pixel
READERS = {AEDAT3_MAGIC: read_aedat3, AEDAT4_MAGIC: read_aedat4}  # others: 2.0
NMNIST_SIDE = 34
NMNIST_OVERFLOW_Y = 240  # not an event: all later timestamps gain 2^13 us


def read_aedat(path: str | Path) -> Events:
    """Read an AEDAT recording of version 2.0, 3.1 or 4.0, whichever its first line says; raises as their readers do."""
    head = check_head(path, "an AEDAT file")
    return next((read for magic, read in READERS.items() if head.startswith(magic)), read_aedat2)(path)


def read_aedat2(path: str | Path) -> Events:
    """Read an AEDAT 2.0 recording of a DVS128, as MNIST-DVS has them.

        text lines   each starts with "#", the first with "#!AER-DAT2.0"
        then         8 bytes an event, big-endian: uint32 address, uint32 microseconds
        address      bit 15 no event of a pixel, bits 8-14 y, bits 1-7 x, bit 0 polarity: 1 for OFF

    Bit 0 is 1 for a pixel that got darker: so the reader published with MNIST-DVS has it (dat2mat.m: 1 - 2 * bit, where
    1 is ON), jAER, and those of the field.

    Returns Events of 128 x 128 pixels, none for a file that is a header alone. t: int64 [n]; a clock that wrapped or
    was reset goes on (`continued`).
    Raises DataError for another version or format, a part of an event at the end, an address of another sensor, and
    time that otherwise goes back by more than 10 ms (what goes back by less is sorted).
    Source: iniVation, "AEDAT file formats"; T. Serrano-Gotarredona, B. Linares-Barranco, MNIST-DVS (2015).
    """
    return in_order(path, _aedat2_events(path))  # the file's bytes are let go of in between


def _aedat2_events(path: str | Path) -> Events:
    what = "an AEDAT 2.0 file of a DVS128"
    data = read_bytes(path, what)
    if not data.startswith(AEDAT2_MAGIC):
        raise DataError(f"{path}: found bytes {data[:12]!r}, expected {what}, which starts with {AEDAT2_MAGIC!r}")
    start = read_text_header(data)
    n, rest = divmod(len(data) - start, 8)
    if rest:
        raise DataError(f"{path}: truncated, found {rest} bytes after {n} events, expected 8 bytes an event")
    words = np.frombuffer(data, ">u4", 2 * n, start).reshape(n, 2)
    address = words[:, 0]
    most = int(address.max()) if n else 0
    if most > DVS128_BITS | SPECIAL:
        bad = int(np.argmax(address > DVS128_BITS | SPECIAL))
        raise DataError(
            f"{path}: found address {int(address[bad]):#x} in event {bad}, expected at most "
            f"{DVS128_BITS | SPECIAL:#x}, as a DVS128 sends"
        )
    if most > DVS128_BITS:
        words = words[address <= DVS128_BITS]
        address = words[:, 0]
    t = continued(path, words[:, 1].astype(np.int64))
    half = address.astype(np.uint16)  # a third of the memory of working on the words
    x = ((half >> 1) & 0x7F).astype(np.uint8)
    y = (half >> 8).astype(np.uint8)
    p = (half & 1 ^ 1).astype(np.uint8)
    return Events(t, x, y, p, DVS128, DVS128)


def read_nmnist(path: str | Path) -> Events:
    """Read a recording of N-MNIST (`Train/<digit>/<number>.bin`), 34 x 34 pixels.

        5 bytes an event: x, y, then polarity (bit 7) and 23 bits of microseconds, big-endian

    A record with y = 240 is no event: it adds 2^13 us to the time of all that follow.
    Returns Events, t: int32 [n]. Raises DataError for a part of an event at the end, a pixel outside the sensor, and
    time that goes back by more than 10 ms (what goes back by less is sorted).
    Source: G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets", 2015, and the
    readers published with it.
    """
    return in_order(path, _nmnist_events(path))


def _nmnist_events(path: str | Path) -> Events:
    what = "an N-MNIST recording (5 bytes an event)"
    data = read_bytes(path, what)
    n, rest = divmod(len(data), 5)
    if rest:
        raise DataError(f"{path}: truncated, found {rest} bytes after {n} events, expected 5 bytes an event")
    records = np.frombuffer(data, np.uint8).reshape(n, 5)
    x, y = records[:, 0], records[:, 1]
    overflow = y == NMNIST_OVERFLOW_Y
    outside = ~overflow & ((x >= NMNIST_SIDE) | (y >= NMNIST_SIDE))
    if outside.any():
        bad = int(np.argmax(outside))
        raise DataError(
            f"{path}: found an event at column {x[bad]}, row {y[bad]} (event {bad}), expected 0 to {NMNIST_SIDE - 1}"
        )
    t = (records[:, 2] & 0x7F).astype(np.int32)
    for byte in (3, 4):
        t <<= 8
        t |= records[:, byte]
    p = records[:, 2] >> 7
    if overflow.any():
        later = np.cumsum(overflow, dtype=np.int32)
        later <<= 13
        t += later
        del later
        kept = ~overflow
        x, y, p, t = x[kept], y[kept], p[kept], t[kept]
    return Events(t, x.copy(), y.copy(), p, NMNIST_SIDE, NMNIST_SIDE)


def read_text_header(data: bytes) -> int:
    """Return where the events of an AEDAT 2.0 file start: after the last line of text that begins with "#".

    A line has a line end and no control characters but tabs. Events are binary, and one may begin with the byte of "#".
    """
    start = 0
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0 or any(byte < 32 and byte != 9 for byte in data[start:end].rstrip(b"\r")):
            break
        start = end + 1
    return start
