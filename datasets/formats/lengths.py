"""Whether a file of sound or video is as long as its own headers say: copies that were interrupted are not."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import reason
from snncore.files import refuse_pipe

__all__ = ["check_complete", "check_file"]

Data = bytes | mmap.mmap
UNKNOWN = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # what writers of streams announce
W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
MP4_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")
FLV_SLACK = 0.5, 0.05  # seconds, and part of the duration, by which the last tag may come before the announced end


def check_file(path: str | Path) -> None:
    """Raise DataError if the file is shorter than it announces; it is mapped, not read whole."""
    try:
        refuse_pipe(path)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_complete(data, path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error


def check_complete(data: Data, path: str | Path) -> None:
    """Raise DataError if the content of a file is shorter than it announces.

    Known are WAV, RF64, W64, AIFF, AU, CAF, AVI, FLV, Matroska, WebM, MP4, MOV, MPEG program and transport streams,
    Ogg, ASF; others pass. An announcement that is missing, as in streams, is none. Program streams and Ogg announce no
    length as a whole: there, a last packet or page that is cut short counts.
    """
    for matches, check in CHECKS:
        if matches(data):
            try:
                needed, source = check(data)
            except (struct.error, IndexError):  # the headers themselves are cut
                needed, source = len(data) + 1, "headers"
            if needed > len(data):
                raise DataError(f"{path}: truncated, found {len(data)} bytes, expected {needed} from the {source}")
            return


def _u32(data: Data, at: int, order: str = "<") -> int:
    return struct.unpack_from(f"{order}I", data, at)[0]


def _u64(data: Data, at: int) -> int:
    return struct.unpack_from("<Q", data, at)[0]


Needed = tuple[int, str]  # how many bytes there should be at least (0: not known), and what says so


def _padded(data: Data, needed: int) -> int:
    """How many bytes there should be; some writers count a padding byte that they leave out."""
    return needed if needed > len(data) + 1 else 0


def _wav(data: Data) -> Needed:
    size = _u32(data, 4)
    return (0 if size in UNKNOWN else _padded(data, size + 8)), "WAV header"


def _rf64(data: Data) -> Needed:
    return (_padded(data, _u64(data, 20) + 8) if data[12:16] == b"ds64" else 0), "ds64 chunk"


def _w64(data: Data) -> Needed:
    size = _u64(data, 16)
    return (0 if size in UNKNOWN else size), "W64 header"


def _aiff(data: Data) -> Needed:
    size = _u32(data, 4, ">")
    return (0 if size in UNKNOWN else _padded(data, size + 8)), "FORM header"


def _au(data: Data) -> Needed:
    size = _u32(data, 8, ">")
    return (0 if size in UNKNOWN else _u32(data, 4, ">") + size), "AU header"


def _caf(data: Data) -> Needed:
    """Chunks one after the other; that of the samples may be of unknown size, as the last."""
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">q", data, at + 4)[0]
        if size < 0:
            return 0, ""
        at += 12 + size
    return _padded(data, at), "chunks"


def _avi(data: Data) -> Needed:
    """RIFF chunks one after the other; a writer that counts the 8 bytes of their heads is believed."""
    at = 0
    while data[at : at + 4] == b"RIFF" and (size := _u32(data, at + 4)) not in UNKNOWN:
        end = at + 8 + size
        if end > len(data) + 8:
            return end, "RIFF header"
        at = end + size % 2
    return 0, ""


def _flv(data: Data) -> Needed:
    """Tags of 11 bytes, content, and 4 bytes of their size; duration and size in the first one, onMetaData."""
    at, last, duration = _u32(data, 5, ">") + 4, 0.0, 0.0
    while at < len(data):
        if data[at] & 0x1F not in (8, 9, 18):  # sound, pictures, metadata; else what follows is no tag
            break
        if len(data) - at < 11:
            return at + 11, "last tag"
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + 11 + size
        if end > len(data):
            return end, "last tag"
        if data[at] == 18 and not duration:
            text = data[at + 11 : end]
            duration, whole = _amf_number(text, b"duration"), _amf_number(text, b"filesize")
            if whole > len(data):
                return int(whole), "metadata"
        elif data[at] in (8, 9):
            last = max(last, (int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24) / 1000)
        at = end + 4
    if last + max(FLV_SLACK[0], FLV_SLACK[1] * duration) < duration:
        return len(data) + 1, f"metadata: {duration:g} s, of which {last:g} are there"
    return 0, ""


def _amf_number(text: bytes, name: bytes) -> float:
    """The number of that name, 0 if there is none or it is none that a file can have."""
    at = text.find(len(name).to_bytes(2, "big") + name + b"\0")
    if at < 0 or at + len(name) + 11 > len(text):
        return 0.0
    value = struct.unpack_from(">d", text, at + len(name) + 3)[0]
    return value if 0 < value < 1 << 50 else 0.0


def _matroska(data: Data) -> Needed:
    """The EBML header, then the Segment, whose size is known unless the file is a stream."""
    at = 0
    for expected in (0x1A45DFA3, 0x18538067):
        if int.from_bytes(data[at : at + 4], "big") != expected:
            return 0, ""
        length = 9 - data[at + 4].bit_length()  # of the size: as many bytes as leading zeros, and one
        if length > 8 or len(data) < at + 4 + length:
            return (0, "") if length > 8 else (at + 4 + length, "header")
        size = int.from_bytes(data[at + 4 : at + 4 + length], "big") - (1 << 7 * length)
        if size == (1 << 7 * length) - 1:
            return 0, ""
        start, at = at + 4 + length, at + 4 + length + size
    return start + size, "Segment"


def _mp4(data: Data) -> Needed:
    """Boxes one after the other."""
    at = 0
    while at + 8 <= len(data):
        size, kind = _u32(data, at, ">"), data[at + 4 : at + 8]
        if size == 1:
            size = struct.unpack_from(">Q", data, at + 8)[0]
        if size == 0 or size < 8 or not all(32 <= c < 127 or c == 0xA9 for c in kind):  # to the end, or no box
            return 0, ""
        at += size
    return at, "boxes"


def _program_stream(data: Data) -> Needed:
    """Packs and packets, each with its length; padding at the end."""
    at = 0
    while at + 6 <= len(data) and data[at : at + 3] == b"\0\0\1":
        code = data[at + 3]
        if code == 0xB9:
            return 0, ""
        if code == 0xBA:
            at += 14 + (data[at + 13] & 7) if data[at + 4] >> 6 == 1 else 12
        elif code >= 0xBB:
            at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
        else:
            return 0, ""
    return at, "last packet"


def _transport_stream(data: Data) -> Needed:
    packet = 188 if data[0] == 0x47 else 192
    return -(-len(data) // packet) * packet, f"packets of {packet} bytes"


def _ogg(data: Data) -> Needed:
    """Pages, each with the lengths of its segments."""
    at = 0
    while data[at : at + 4] == b"OggS":
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return (at, "last page") if at else (0, "")


def _asf(data: Data) -> Needed:
    """Objects in the header; that of the file's properties has its size, unless it was broadcast."""
    at, end = 30, min(_u64(data, 16), len(data))
    while at + 24 <= end:
        size = _u64(data, at + 16)
        if data[at : at + 16] == ASF_PROPERTIES:
            return (0 if _u32(data, at + 88) & 1 else _u64(data, at + 40)), "file properties"
        if size < 24:
            break
        at += size
    return _u64(data, 16), "header"


def _starts(*magics: bytes) -> Callable[[Data], bool]:
    return lambda data: any(data[: len(magic)] == magic for magic in magics)


def _is_transport_stream(data: Data) -> bool:
    return any(all(data[k : k + 1] == b"\x47" for k in range(at, at + 3 * n, n)) for at, n in ((0, 188), (4, 192)))


CHECKS: tuple[tuple[Callable[[Data], bool], Callable[[Data], Needed]], ...] = (
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"AVI ", _avi),
    (_starts(b"RIFF"), _wav),
    (_starts(b"RF64", b"BW64"), _rf64),
    (_starts(W64), _w64),
    (_starts(b"FORM"), _aiff),
    (_starts(b".snd"), _au),
    (_starts(b"caff"), _caf),
    (_starts(b"FLV\1"), _flv),
    (_starts(b"\x1a\x45\xdf\xa3"), _matroska),
    (lambda data: data[4:8] in MP4_FIRST, _mp4),
    (_starts(b"\0\0\1\xba"), _program_stream),
    (_starts(b"OggS"), _ogg),
    (_starts(ASF), _asf),
    (_is_transport_stream, _transport_stream),
)
