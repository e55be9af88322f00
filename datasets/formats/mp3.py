"""The frames of an MP3 file: whether all that it announces are there, and what between them is no sound."""

from pathlib import Path
from typing import NamedTuple

from misnet.datasets.base import DataError

__all__ = ["is_mpeg_sound", "sound_frames"]

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
KBITS = {  # by version 1 or not, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
KBITS[False, 3] = KBITS[False, 2]
OTHER_MAGICS = (b"RIFF", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"RF64")
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # what may follow the last frame


class Frame(NamedTuple):
    """A frame's place and size, and what is the same in all of a file: version, layer and rate."""

    start: int
    size: int
    kind: tuple[int, int, int]


def is_mpeg_sound(data: bytes, path: str | Path) -> bool:
    """Whether a file is an MP3 (or MP2) by its content, or by its name if its content is nothing else that is known."""
    start = _after_id3(data)  # which others may have, too
    if data.startswith(OTHER_MAGICS, start):
        return False
    return start > 0 or _frame(data, 0) is not None or Path(path).suffix.lower() in (".mp3", ".mp2")


def sound_frames(data: bytes, path: str | Path) -> bytes:
    """Return the content of an MP3 file without what decoders stumble over: zeros and junk before and between frames.

    A file without junk, of free bit rate or without a frame is returned as it is.
    Raises DataError for a last frame that is cut short, and for fewer frames than the Xing or VBRI header announces.
    Source: ISO 11172-3, ISO 13818-3; Xing and VBRI headers as LAME and Fraunhofer's encoder write them.
    """
    start, end = _after_id3(data), len(data)
    first = _next(data, start, None)
    if first is None:
        return data
    frames, junk = [], first.start > start
    frame: Frame | None = first
    while frame is not None:
        if frame.start + frame.size > end:
            break
        frames.append(frame)
        start = frame.start + frame.size
        if start >= end or data.startswith(TAGS, start) or not data[start : start + 4096].strip(b"\0"):
            frame = None
            break
        frame = _frame(data, start)
        if frame is None or frame.kind != first.kind:
            frame = _next(data, start, first.kind)
            junk |= frame is not None
    announced, by = _announced(data, first)
    found = len(frames) - 1  # the first is the header, which some writers count
    if announced and found < announced - (frame is None):
        raise DataError(f"{path}: truncated, found {found} frames, expected {announced} from the {by} header")
    if not announced and frame is not None:
        raise DataError(f"{path}: truncated, found {len(data) - frame.start} bytes of the last frame, not {frame.size}")
    return b"".join(data[f.start : f.start + f.size] for f in frames) if junk else data


def _after_id3(data: bytes) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    return at


def _frame(data: bytes, at: int) -> Frame | None:
    """The frame whose header is at a place; None if there is none, or one of free bit rate."""
    if len(data) < at + 4 or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bits, rate, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hertz = RATES[version][rate]
    kbits = KBITS[version == 3, layer][bits - 1]
    if layer == 1:
        size = (12000 * kbits // hertz + padding) * 4
    else:
        size = (72000 if layer == 3 and version != 3 else 144000) * kbits // hertz + padding
    return Frame(at, size, (version, layer, hertz))


def _next(data: bytes, at: int, kind: tuple[int, int, int] | None) -> Frame | None:
    """The first frame from a place on that others of its kind, or the end of the data, follow.

    One of a kind that is known, two otherwise, as what looks like a frame may be chance.
    """
    while (at := data.find(b"\xff", at)) >= 0:
        frame = _frame(data, at)
        if frame is not None and kind in (None, frame.kind):
            end, after = frame.start + frame.size, frame
            for _ in range(1 if kind else 2):
                following = _frame(data, end)
                if following is None or following.kind != frame.kind:
                    break
                end, after = following.start + following.size, following
            else:
                return frame
            if after.start + after.size == len(data) or data.startswith(TAGS, end):
                return frame
        at += 1
    return None


def _announced(data: bytes, first: Frame) -> tuple[int, str]:
    """How many frames follow the first, which then holds no sound, and which header says so; 0 if none does."""
    mono = data[first.start + 3] >> 6 == 3
    side = (17 if mono else 32) if first.kind[0] == 3 else (9 if mono else 17)
    for at, name in ((first.start + 4 + side, "Xing"), (first.start + 36, "VBRI")):
        head = data[at : at + 18]
        if name == "VBRI" and head[:4] == b"VBRI":
            return int.from_bytes(head[14:18], "big"), name
        if name == "Xing" and head[:4] in (b"Xing", b"Info") and head[7:8] and head[7] & 1:
            return int.from_bytes(head[8:12], "big"), name
    return 0, ""
