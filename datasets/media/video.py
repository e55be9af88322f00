"""From a video file to key frames and the sound track, by PyAV (FFmpeg)."""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, reason
from misnet.datasets.formats.packages import require
from misnet.datasets.media.audio import MAX_SECONDS, SAMPLE_RATES, check_samples

__all__ = ["VIDEO_SUFFIXES", "read_frames", "read_sound_track", "require_pyav"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".flv", ".mpg", ".mpeg", ".mpe", ".ts", ".mts", ".m2ts", ".avi", ".mkv",
    ".webm", ".ogv", ".wmv", ".asf",
})
# fmt: on
MAX_PIXELS = 36_000_000  # in a frame: 8K has 33 million
EXPECTED = "a video file (mp4, flv, mpg, avi, mkv, ...)"

# Containers that hold their own streams. Playlists and the like, which FFmpeg would take for a video whatever the
# file's name, make it open other files or addresses; "" leaves no protocol to open them by.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,flv,mpeg,mpegvideo,mpegts,avi,matroska,webm,ogg,asf"
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": ""}


def read_frames(
    path: str | Path, moments: Sequence[float], start: float = 0.0, stop: float | None = None
) -> tuple[list[np.ndarray], float]:
    """Return the frames that are shown at some moments of a clip.

    The frame at moment m is the last whose time is at most start + m * duration; times count from the first frame.

    moments: from 0 to below 1, ascending. start, stop: seconds, by default the whole video.
    Returns the frames, uint8 [H, W, 3] each in RGB, turned as the camera noted, and the clip's duration in seconds.
    Raises DataError for a file that is missing, empty, a Git LFS pointer, no video or damaged before the last moment,
    frames beyond 36 million pixels, a clip without length, and if PyAV is not installed.
    """
    shown, last = _extent(path)
    stop = last if stop is None else min(stop, last)
    if not start < stop:
        raise DataError(f"{path}: found {last:.2f} s of video, expected some from {start:g} to {stop:g} s")
    wanted = [start + m * (stop - start) for m in moments]
    frames: list[np.ndarray] = []
    current: Any = None
    with _opened(path) as container:
        stream = _stream(container, "video", path)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        rate = float(stream.average_rate or 25)
        for k, frame in enumerate(container.decode(stream)):
            time = float(frame.pts * stream.time_base) - shown if frame.pts is not None else k / rate
            while len(frames) < len(wanted) and current is not None and time > wanted[len(frames)]:
                frames.append(_rgb(current, path))
            if len(frames) == len(wanted):
                break
            current = frame
        if current is None:
            raise DataError(f"{path}: found no frame that can be decoded, expected {EXPECTED}")
        while len(frames) < len(wanted):
            frames.append(_rgb(current, path))
    return frames, stop - start


def read_sound_track(path: str | Path, start: float = 0.0, stop: float | None = None) -> tuple[np.ndarray, int]:
    """Read the sound of a video as one channel, in time with its frames.

    Time 0 is that of the first frame: sound before it is left out, and sound that begins later follows on silence.

    start, stop: seconds, by default the whole video. Returns `(samples, sample_rate)` as
    `misnet.datasets.media.audio.read_audio`.
    Raises DataError as `read_frames` does, and for a video without sound.
    """
    blocks: list[np.ndarray] = []
    with _opened(path) as container:
        stream = _stream(container, "audio", path)
        rate = int(stream.rate or 0)
        if rate not in SAMPLE_RATES:
            raise DataError(f"{path}: found a sample rate of {rate} Hz in the sound track, expected 1000 to 384000")
        resampler = require_pyav().AudioResampler(
            format="fltp", rate=rate
        )  # the format alone: channels are mixed below
        shift = _shift(container, stream)
        if abs(shift) > MAX_SECONDS:
            raise DataError(f"{path}: found {shift:.0f} s between the first sound and the first frame, expected none")
        count = 0
        limit = rate * (MAX_SECONDS if stop is None else stop - shift)
        for frame in container.decode(stream):
            for converted in resampler.resample(frame):
                blocks.append(converted.to_ndarray().mean(axis=0, dtype=np.float64).astype(np.float32))
                count += len(blocks[-1])
            if count > limit:
                break
        if stop is None and count > limit:
            raise DataError(f"{path}: found more than {MAX_SECONDS} s of sound, expected a clip; cut it into pieces")
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    silent = round(shift * rate)
    samples = np.concatenate([np.zeros(silent, np.float32), samples]) if silent > 0 else samples[-silent:]
    samples = samples[round(start * rate) : None if stop is None else round(stop * rate)]
    return check_samples(samples, path, start), rate


def require_pyav() -> Any:
    """Return PyAV; raises MissingPackage with the command that installs it."""
    return require("av", "reading videos")


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """The container in a file, with every error of FFmpeg as a DataError that names the file."""
    av = require_pyav()
    check_head(path, EXPECTED)
    try:
        # An open file, not a name: FFmpeg reads a name such as "concat:a" or "-" as something else than a file.
        with open(path, "rb") as file, av.open(file, options=OPTIONS) as container:
            yield container
    except (av.FFmpegError, ValueError, OverflowError, IndexError, MemoryError) as error:
        raise DataError(f"{path}: cannot be decoded ({reason(error)}); expected {EXPECTED}") from error


def _stream(container: Any, kind: str, path: str | Path) -> Any:
    streams = [s for s in container.streams if s.type == kind and s.codec_context is not None]
    if not streams:
        what = {"video": "picture", "audio": "sound"}[kind]
        raise DataError(f"{path}: found no {what} in the file, expected a video with {what}")
    return streams[0]


def _extent(path: str | Path) -> tuple[float, float]:
    """Time of the first frame and seconds from there to the end of the last, from the packets, nothing decoded."""
    with _opened(path) as container:
        stream = _stream(container, "video", path)
        rate = float(stream.average_rate or 25)
        step = float(stream.time_base or Fraction(1, 1000))
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = [packet.pts * step for packet in packets if packet.pts is not None]
        if not packets:
            raise DataError(f"{path}: found no frames, expected {EXPECTED}")
        if not times:
            return 0.0, len(packets) / rate
        return min(times), max(times) - min(times) + 1 / rate


def _shift(container: Any, sound: Any) -> float:
    """Seconds from the first frame to the first sound."""
    pictures = [s for s in container.streams if s.type == "video" and s.start_time is not None]
    if not pictures or sound.start_time is None:
        return 0.0
    return float(sound.start_time * sound.time_base) - float(pictures[0].start_time * pictures[0].time_base)


def _rgb(frame: Any, path: str | Path) -> np.ndarray:
    if frame.width * frame.height > MAX_PIXELS:
        raise DataError(f"{path}: found frames of {frame.width}x{frame.height}, expected at most {MAX_PIXELS} pixels")
    turns = round(getattr(frame, "rotation", 0) / 90)  # quarters, counter-clockwise: how the camera was held
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
