"""What is in a container of FFmpeg: opening it safely, and which of its tracks players play."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, reason
from misnet.datasets.formats.lengths import check_file
from misnet.datasets.formats.packages import require

__all__ = ["EXPECTED", "MAX_HOLE", "Track", "chosen_stream", "has_pictures", "opened", "picture_track", "require_pyav"]

EXPECTED = "a video file (mp4, flv, mpg, avi, mkv, ...)"
MAX_HOLE = 600  # seconds between two frames, which in a clip is damage
# Containers that hold their own streams. Playlists and the like, which FFmpeg would take for a video whatever the
# file's name, make it open other files or addresses; "" leaves no protocol to open them by.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,flv,mpeg,mpegvideo,mpegts,avi,matroska,webm,ogg,asf"
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": ""}
DEFAULT, ATTACHED = 0x1, 0x400 | 0x800 | 0x100000  # a track's disposition; attached: covers, thumbnails, still images


def require_pyav() -> Any:
    """Return PyAV; raises MissingPackage with the command that installs it."""
    return require("av", "reading videos")


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Open the container in a file, with every error of FFmpeg as a DataError that names the file.

    Raises DataError for a file that is missing, empty, a Git LFS pointer, shorter than it announces, or no video.
    """
    av = require_pyav()
    check_head(path, EXPECTED)
    check_file(path)  # FFmpeg decodes what is left of a cut file without a word
    try:
        # An open file, not a name: FFmpeg reads a name such as "concat:a" or "-" as something else than a file.
        with open(path, "rb") as file, av.open(file, options=OPTIONS) as container:
            yield container
    except (av.FFmpegError, ValueError, OverflowError, IndexError, MemoryError) as error:
        raise DataError(f"{path}: cannot be decoded ({reason(error)}); expected {EXPECTED}") from error


class Track(NamedTuple):
    """The pictures of a video: number of the stream, seconds at the first that is shown, and from there to the end."""

    index: int
    start: float
    seconds: float


def has_pictures(container: Any) -> bool:
    """Return whether a container has a track of pictures, other than a cover or the like."""
    return any(s.type == "video" and not _is_attached(s) for s in container.streams)


def chosen_stream(container: Any, kind: str, path: str | Path, packets: Mapping[int, int] | None = None) -> Any:
    """Return the stream of a kind that players take: no cover, the default one before others, then the first.

    packets: how many each stream has, if that is known; a cover that is not marked as one has a single packet.
    Raises DataError if there is none.
    """
    streams = [s for s in container.streams if s.type == kind and s.codec_context is not None and not _is_attached(s)]
    if not streams:
        what = {"video": "picture", "audio": "sound"}[kind]
        raise DataError(f"{path}: found no {what} in the file, expected a video with {what}")
    count = packets or {}
    return max(streams, key=lambda s: (count.get(s.index, 0) > 1, bool(int(s.disposition) & DEFAULT), -s.index))


def picture_track(path: str | Path) -> Track:
    """Return what the packets say of the pictures that players show; nothing is decoded.

    Packets that an edit list discards are none. The last frame is shown for as long as its packet says, or as a frame
    on average. Raises DataError for a video without pictures, and for a hole of more than 600 s between two.
    """
    with opened(path) as container:
        streams = [s for s in container.streams if s.type == "video" and s.codec_context is not None]
        chosen_stream(container, "video", path)  # there is one
        packets: dict[int, list[tuple[int | None, int]]] = {s.index: [] for s in streams}
        for packet in container.demux(streams):
            if packet.size and not packet.is_discard:
                packets[packet.stream_index].append((packet.pts, packet.duration or 0))
        stream = chosen_stream(container, "video", path, {index: len(found) for index, found in packets.items()})
        index, rate = stream.index, float(stream.average_rate or 25)
        step = float(stream.time_base or Fraction(1, 1000))
    shown = packets[index]
    if not shown:
        raise DataError(f"{path}: found no frames, expected {EXPECTED}")
    timed = sorted((pts * step, duration * step) for pts, duration in shown if pts is not None)
    if not timed:
        return Track(index, 0.0, len(shown) / rate)
    hole = max((later[0] - sooner[0] for sooner, later in itertools.pairwise(timed)), default=0.0)
    if hole > MAX_HOLE:
        raise DataError(f"{path}: found a hole of {hole:.0f} s in the time stamps of frames, expected a clip")
    (first, _), (last, lasts) = timed[0], timed[-1]
    return Track(index, first, last - first + (lasts if 0 < lasts <= MAX_HOLE else 1 / rate))


def _is_attached(stream: Any) -> bool:
    return bool(int(stream.disposition) & ATTACHED)
