"""Event files in AEDAT 3.1, as cAER wrote them: DVS128 Gesture is one data set of them."""

import re
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.event_time import continued, in_order
from misnet.datasets.formats.files import read_bytes
from misnet.datasets.media.events import Events

__all__ = ["AEDAT3_MAGIC", "SENSORS", "read_aedat3"]

AEDAT3_MAGIC = b"#!AER-DAT3.1"
END_OF_HEADER = b"#!END-HEADER"
PACKET = np.dtype(
    [
        ("type", "<i2"),
        ("source", "<i2"),
        *((name, "<i4") for name in ["size", "time", "overflow", "capacity", "number", "valid"]),
    ]
)
POLARITY = 1  # the type of packets with what changed at pixels; the others hold frames, sensors of motion, ...
SENSORS = {"DVS128": (128, 128), "DAVIS128": (128, 128), "DAVIS240": (180, 240), "DAVIS346": (260, 346)}
EXPECTED = "an AEDAT 3.1 file"


def read_aedat3(path: str | Path) -> Events:
    """Read the events of pixels in an AEDAT 3.1 recording; those of other kinds, and invalid ones, are left out.

        text lines   the first "#!AER-DAT3.1", then such as "#Format: RAW", "#Source 1: DVS128", "#!END-HEADER"
        then         packets, little-endian: int16 type, source; int32 size of an event, place of its time, overflow,
                     capacity, number, valid; then capacity * size bytes
        an event     uint32 data: bit 0 valid, bit 1 polarity (1 for ON), bits 2-16 y, bits 17-31 x; int32 microseconds,
                     above which the packet's overflow counts 2^31

    Returns Events, y from the upper left, t: int64 [n]. Raises DataError for another format than RAW, several cameras,
    one that is not known, a packet that is cut short or contradicts itself, a pixel outside the camera, and time that
    goes back by more than 10 ms and is no clock begun again.
    Source: iniVation, "AEDAT file formats", version 3.1.
    """
    data = read_bytes(path, EXPECTED)
    if not data.startswith(AEDAT3_MAGIC):
        raise DataError(f"{path}: found bytes {data[:12]!r}, expected {EXPECTED}, which starts with {AEDAT3_MAGIC!r}")
    start, (height, width) = _header(path, data)
    times, words = _packets(path, data, start)
    words, t = np.concatenate(words), np.concatenate(times)
    valid = (words & 1).astype(bool)
    words, t = words[valid], t[valid]
    x, y = words >> 17, words >> 2 & 0x7FFF
    outside = (x >= width) | (y >= height)
    if outside.any():
        bad = int(np.argmax(outside))
        raise DataError(
            f"{path}: found an event at column {x[bad]}, row {y[bad]} (event {bad}), expected {width} x {height} pixels"
        )
    small = np.uint8 if max(height, width) <= 256 else np.uint16
    p = (words >> 1 & 1).astype(np.uint8)
    return in_order(path, Events(continued(path, t, 63), x.astype(small), y.astype(small), p, height, width))


def _header(path: str | Path, data: bytes) -> tuple[int, tuple[int, int]]:
    """Where the packets begin, and height and width of the camera."""
    start, lines = 0, []
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            break
        lines.append(data[start:end].rstrip(b"\r").decode("latin1"))
        start = end + 1
        if lines[-1].startswith(END_OF_HEADER.decode()):
            break
    else:
        raise DataError(f"{path}: found no line {END_OF_HEADER.decode()}, expected {EXPECTED}")
    formats = [line.split(":", 1)[1].strip() for line in lines if line.startswith("#Format:")]
    if formats and formats[-1] != "RAW":
        raise DataError(f"{path}: found AEDAT 3.1 in format {formats[-1]!r}, expected 'RAW'")
    sources = [match[1].strip() for line in lines if (match := re.fullmatch(r"#Source \d+: *(.+)", line))]
    sizes = {
        next((size for name, size in SENSORS.items() if source.upper().startswith(name)), None) for source in sources
    }
    if len(sources) != 1 or None in sizes:
        known = ", ".join(SENSORS)
        raise DataError(f"{path}: found {', '.join(sources) or 'no camera'} in the header, expected one of {known}")
    return start, next(size for size in sizes if size)


def _packets(path: str | Path, data: bytes, start: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Times and data of the events of pixels, for each packet that has some."""
    times, words = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    while start < len(data):
        if len(data) - start < PACKET.itemsize:
            raise DataError(f"{path}: truncated, found {len(data) - start} bytes of a packet's header of 28")
        head = np.frombuffer(data, PACKET, 1, start)[0]
        start += PACKET.itemsize
        size, capacity, number = int(head["size"]), int(head["capacity"]), int(head["number"])
        if not (size > 0 and 0 <= number <= capacity and head["overflow"] >= 0):
            raise DataError(
                f"{path}: found a packet of {number} of {capacity} events of {size} bytes at byte {start - 28}"
            )
        if size * capacity > len(data) - start:
            raise DataError(f"{path}: truncated, found {len(data) - start} of {size * capacity} bytes of a packet")
        if head["type"] == POLARITY:
            if size != 8:
                raise DataError(f"{path}: found events of pixels of {size} bytes, expected 8")
            pairs = np.frombuffer(data, "<u4", 2 * number, start).reshape(number, 2)
            words.append(pairs[:, 0])
            times.append(pairs[:, 1].astype(np.int64) + (int(head["overflow"]) << 31))
        start += size * capacity
    return times, words
