"""Event files in AEDAT 4.0, as DV writes them: FlatBuffers, plain or compressed by LZ4 or Zstandard."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.event_time import in_order
from misnet.datasets.formats.files import read_bytes, reason
from misnet.datasets.formats.packages import require
from misnet.datasets.media.events import Events

__all__ = ["AEDAT4_MAGIC", "read_aedat4"]

AEDAT4_MAGIC = b"#!AER-DAT4.0"
START = 14  # the first line, with its end
EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "u1"), ("pad", "V3")])
MAX_SIDE = 4096  # pixels of a camera
MAX_PACKET = 64 << 20  # bytes of a packet, which holds some milliseconds
EXPECTED = "an AEDAT 4.0 file"


def read_aedat4(path: str | Path) -> Events:
    """Read the events of the camera in an AEDAT 4.0 recording; frames and the like are left out.

        text line    "#!AER-DAT4.0", CR LF
        then         uint32 size and a FlatBuffer IOHeader: compression (0 none, 1 and 2 LZ4, 3 and 4 Zstandard), int64
                     place of the table at the end (-1: none), XML with streams and their sizes
        then         packets: int32 stream, int32 size, and a FlatBuffer of the stream's type, with its size before it
        an event     int64 microseconds, int16 x, int16 y, bool ON, 3 bytes of nothing

    Returns Events, y from the upper left, t: int64 [n]. Raises DataError for a file that is damaged or cut short, with
    no stream of events or several, for a pixel outside the camera, and time that goes back by more than 10 ms;
    MissingPackage if it is compressed and the package that unpacks it is not installed.
    Source: iniVation, "AEDAT file formats", version 4.0; FlatBuffers internals.
    """
    data = read_bytes(path, EXPECTED)
    if not data.startswith(AEDAT4_MAGIC):
        raise DataError(f"{path}: found bytes {data[:12]!r}, expected {EXPECTED}, which starts with {AEDAT4_MAGIC!r}")
    try:
        size = _int(data, "<I", START)
        head = data[START + 4 : START + 4 + size]
        if len(head) < size:
            raise DataError(f"{path}: truncated, found {len(head)} bytes of a header of {size}")
        compression, table, info = _io_header(head)
        stream, width, height = _camera(path, info)
        unpack = _unpacker(path, compression)
        packets = _packets(path, data, START + 4 + size, table)
        parts = [_events(unpack(body)) for found, body in packets if found == stream]
    except DataError:
        raise
    except Exception as error:  # struct, FlatBuffers' offsets, XML and both decompressors have errors of their own
        raise DataError(f"{path}: damaged ({reason(error)}); expected {EXPECTED}") from error
    found = np.concatenate(parts) if parts else np.zeros(0, EVENT)
    x, y = found["x"], found["y"]
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    if outside.any():
        bad = int(np.argmax(outside))
        raise DataError(f"{path}: found an event at column {x[bad]}, row {y[bad]}, expected {width} x {height} pixels")
    small = np.uint8 if max(height, width) <= 256 else np.uint16
    p = (found["on"] != 0).astype(np.uint8)
    return in_order(path, Events(found["t"].copy(), x.astype(small), y.astype(small), p, height, width))


def _io_header(head: bytes) -> tuple[int, int, str]:
    """Compression, place of the table at the end (-1: none), and the XML."""
    root = _int(head, "<I", 0)
    compression, table, info = (_field(head, root, k) for k in range(3))
    if info is None:
        raise ValueError("no description of streams")
    start = info + _int(head, "<I", info)
    text = head[start + 4 : start + 4 + _int(head, "<I", start)].decode()
    return (
        _int(head, "<i", compression) if compression is not None else 0,
        _int(head, "<q", table) if table is not None else -1,
        text,
    )


def _camera(path: str | Path, info: str) -> tuple[int, int, int]:
    """Number, width and height of the stream of events."""
    if "<!" in info:  # DV writes no document types, and those can be made to do harm
        raise ValueError("found a document type in the XML")
    streams = [
        (int(node.get("name", "")), *(int(sizes[name]) for name in ("sizeX", "sizeY")))
        for node in ElementTree.fromstring(info).iter("node")
        if (node.get("name") or "").isdecimal()  # streams are numbered; modules that have such an attribute are not
        and any(a.get("key") == "typeIdentifier" and a.text == "EVTS" for a in node.findall("attr"))
        for sizes in [{a.get("key"): a.text or "" for a in node.findall("node[@name='info']/attr")}]
    ]
    if len(streams) != 1:
        raise DataError(f"{path}: found {len(streams)} streams of events, expected one")
    stream, width, height = streams[0]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise DataError(f"{path}: found a camera of {width} x {height} pixels, expected at most {MAX_SIDE} a side")
    return stream, width, height


def _packets(path: str | Path, data: bytes, start: int, table: int) -> Iterator[tuple[int, bytes]]:
    """The number of the stream and the content of each packet."""
    if table > len(data):
        raise DataError(f"{path}: truncated, found {len(data)} bytes, expected a table at byte {table}")
    end = table if table > 0 else len(data)
    while start < end:
        stream, size = _int(data, "<i", start), _int(data, "<i", start + 4)
        if not 0 <= size <= end - start - 8:
            raise DataError(f"{path}: truncated, found {end - start - 8} of {size} bytes of a packet")
        yield stream, data[start + 8 : start + 8 + size]
        start += 8 + size


def _unpacker(path: str | Path, compression: int) -> Callable[[bytes], bytes]:
    if compression == 0:
        return lambda body: body
    purpose = f"{path}: is compressed; reading it"
    if compression in (1, 2):
        lz4 = require("lz4.frame", purpose)
        return lambda body: _unpack_lz4(lz4.LZ4FrameDecompressor(), body)
    if compression in (3, 4):
        zstandard = require("zstandard", purpose)
        return lambda body: zstandard.ZstdDecompressor().stream_reader(body).read(MAX_PACKET)
    raise ValueError(f"compression {compression}, expected 0 to 4")


def _unpack_lz4(unpacker: Any, body: bytes) -> bytes:
    content = unpacker.decompress(body, MAX_PACKET)
    if not unpacker.eof:
        raise ValueError(f"a packet ends early, or unpacks to more than {MAX_PACKET} bytes")
    return content


def _events(packet: bytes) -> np.ndarray:
    """The events in a FlatBuffer with its size before it: a table with one field, a vector of structs."""
    packet = packet[4:]
    place = _field(packet, _int(packet, "<I", 0), 0)
    if place is None:
        return np.zeros(0, EVENT)
    start = place + _int(packet, "<I", place)
    return np.frombuffer(packet, EVENT, _int(packet, "<I", start), start + 4)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a FlatBuffer's table is, None for one that was left at its default."""
    fields = table - _int(data, "<i", table)
    if _int(data, "<H", fields) < 6 + 2 * number:
        return None
    offset = _int(data, "<H", fields + 4 + 2 * number)
    return table + offset if offset else None


def _int(data: bytes, kind: str, at: int) -> int:
    if at < 0:
        raise ValueError(f"an offset to byte {at}")
    return struct.unpack_from(kind, data, at)[0]
