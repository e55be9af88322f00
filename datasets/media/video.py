"""From a video file to key frames and the sound track, by PyAV (FFmpeg)."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from misnet.datasets.base import DataError
from misnet.datasets.media.audio import MAX_SECONDS, SAMPLE_RATES, check_samples
from misnet.datasets.media.tracks import EXPECTED, chosen_stream, has_pictures, opened, picture_track, require_pyav

__all__ = ["VIDEO_SUFFIXES", "oriented", "read_frames", "read_sound_track", "require_pyav"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".flv", ".mpg", ".mpeg", ".mpe", ".ts", ".mts", ".m2ts", ".avi", ".mkv",
    ".webm", ".ogv", ".wmv", ".asf",
})
# fmt: on
MAX_PIXELS = 36_000_000  # in a frame: 8K has 33 million
ASPECTS = (Fraction(1, 8), Fraction(8))  # of a pixel, width to height; those in use are from 1/2 to 3
FULL_SCALE = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "flt": 1, "dbl": 1}  # of FFmpeg's formats of samples
JITTER = 0.1  # seconds by which time stamps of sound may be off, as in FFmpeg; more is a hole or an overlap


def read_frames(
    path: str | Path, moments: Sequence[float], start: float = 0.0, stop: float | None = None
) -> tuple[list[np.ndarray], float]:
    """Return the frames that are shown at some moments of a clip.

    The frame at moment m is the last whose time is at most start + m * duration; times count from the first frame that
    is shown: what an edit list cuts off is not. Of several tracks of pictures, the one that players show is taken: not
    a cover, and the default one if there is any.

    moments: from 0 to below 1, ascending. start, stop: seconds, by default the whole video.
    Returns the frames, uint8 [H, W, 3] each in RGB, in the proportions of players where pixels are not square, turned
    and mirrored as the file notes, and the clip's duration in seconds.
    Raises DataError for a file that is missing, empty, a Git LFS pointer, no video, shorter than it announces, or
    damaged before the last moment, frames beyond 36 million pixels, pixels eight times as wide as high or the reverse,
    a clip without length, and if PyAV is not installed.
    """
    track = picture_track(path)
    stop = track.seconds if stop is None else min(stop, track.seconds)
    if not start < stop:
        raise DataError(f"{path}: found {track.seconds:.2f} s of video, expected some from {start:g} to {stop:g} s")
    wanted = [start + m * (stop - start) for m in moments]
    frames: list[np.ndarray] = []
    current: Any = None
    with opened(path) as container:
        stream = container.streams[track.index]
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        rate = float(stream.average_rate or 25)
        aspect = stream.sample_aspect_ratio or Fraction(1)  # 0: not said
        for k, frame in enumerate(container.decode(stream)):
            time = float(frame.pts * stream.time_base) - track.start if frame.pts is not None else k / rate
            while len(frames) < len(wanted) and current is not None and time > wanted[len(frames)]:
                frames.append(_rgb(current, aspect, path))
            if len(frames) == len(wanted):
                break
            current = frame
        if current is None:
            raise DataError(f"{path}: found no frame that can be decoded, expected {EXPECTED}")
        while len(frames) < len(wanted):
            frames.append(_rgb(current, aspect, path))
    return frames, stop - start


def read_sound_track(
    path: str | Path, start: float = 0.0, stop: float | None = None, power: list[float] | None = None
) -> tuple[np.ndarray, int]:
    """Read the sound of a video as one channel, in time with its frames.

    Time 0 is that of the first frame that is shown: sound before it is left out. Sound that begins later follows on
    silence, and so does what comes after a hole in the time stamps; where they overlap, the later sound replaces the
    earlier. Of several tracks, the default one is taken, or the first.

    start, stop: seconds, by default the whole video. power, and what is returned: as of
    `misnet.datasets.media.audio.read_audio`.
    Raises DataError as `read_frames` does, and for a video without sound.
    """
    with opened(path) as container:
        index = chosen_stream(container, "audio", path).index
        first = picture_track(path).start if has_pictures(container) else None
    with opened(path) as container:
        stream = container.streams[index]
        rate = int(stream.rate or 0)
        if rate not in SAMPLE_RATES:
            raise DataError(f"{path}: found a sample rate of {rate} Hz in the sound track, expected 1000 to 384000")
        placed = _Placed(path, rate, MAX_SECONDS if stop is None else stop)
        channels_of = _Channels(rate)
        for frame in container.decode(stream):
            time = None if frame.pts is None else float(frame.pts * frame.time_base)
            if first is None:
                first = time or 0.0
            channels = channels_of(frame)
            if power is not None:
                power += [float(np.mean(np.square(channels, dtype=np.float64))), channels.shape[1]]
            placed.add(
                None if time is None else time - first, channels.mean(axis=0, dtype=np.float64).astype(np.float32)
            )
            if placed.full:
                break
    if stop is None and placed.full:
        raise DataError(f"{path}: found more than {MAX_SECONDS} s of sound, expected a clip; cut it into pieces")
    samples = placed.samples()[round(start * rate) : None if stop is None else round(stop * rate)]
    return check_samples(samples, path, start), rate


class _Channels:
    """Frames of sound as float32 [channels, n], full scale 1.0, at the rate of the stream."""

    def __init__(self, rate: int):
        self.rate = rate
        self.resampler: Any = None

    def __call__(self, frame: Any) -> np.ndarray:
        full = FULL_SCALE.get(frame.format.name.removesuffix("p"))
        if full is None or frame.sample_rate != self.rate:
            if self.resampler is None:  # not for every file: it holds threads until Python looks for circles
                self.resampler = require_pyav().AudioResampler(format="fltp", rate=self.rate)
            return np.concatenate([f.to_ndarray() for f in self.resampler.resample(frame)], axis=1)
        x = frame.to_ndarray()
        if not frame.format.is_planar:
            x = x.reshape(-1, len(frame.layout.channels)).T
        zero = 128 if x.dtype == np.uint8 else 0
        return (x.astype(np.float32) - np.float32(zero)) * np.float32(1 / full)


class _Placed:
    """Blocks of samples, each at its time."""

    def __init__(self, path: str | Path, rate: int, seconds: float):
        self.path, self.rate, self.limit = path, rate, seconds * rate
        self.blocks: list[tuple[int, np.ndarray]] = []
        self.end = 0

    @property
    def full(self) -> bool:
        """Whether there is sound beyond the seconds that are asked for."""
        return self.end > self.limit

    def add(self, time: float | None, block: np.ndarray) -> None:
        """Put a block at its time, or after the one before if it has none or one that is nearly that."""
        at = self.end
        if time is not None:
            if abs(time) > 2 * MAX_SECONDS:
                raise DataError(f"{self.path}: found sound {time:.0f} s from the first frame, expected a clip")
            at = round(time * self.rate)
            if self.blocks and abs(at - self.end) <= JITTER * self.rate:
                at = self.end
        self.blocks.append((at, block))
        self.end = at + len(block)

    def samples(self) -> np.ndarray:
        """All of it from time 0 on, with silence where there is nothing: float32 [n]."""
        length = max((at + len(block) for at, block in self.blocks), default=0)
        found = np.zeros(max(0, length), np.float32)
        for at, block in self.blocks:
            part = block[max(0, -at) :]
            found[max(0, at) : max(0, at) + len(part)] = part
        return found


def _rgb(frame: Any, aspect: Fraction, path: str | Path) -> np.ndarray:
    if frame.width * frame.height > MAX_PIXELS:
        raise DataError(f"{path}: found frames of {frame.width}x{frame.height}, expected at most {MAX_PIXELS} pixels")
    # In PyAV, side data and their frame hold each other, and the frame its decoder with all threads, until Python looks
    # for such circles; so they are taken from a small copy.
    matrix = frame.reformat(width=16, height=16, format="gray").side_data.get("DISPLAYMATRIX")
    image = frame.to_ndarray(format="rgb24")
    if aspect != 1:
        image = _square_pixels(image, aspect, path)
    return np.ascontiguousarray(image if matrix is None else oriented(image, struct.unpack("<9i", bytes(matrix)[:36])))


def _square_pixels(image: np.ndarray, aspect: Fraction, path: str | Path) -> np.ndarray:
    """The image as wide as players show it, or as high where pixels are higher than wide: nothing is made smaller."""
    if not ASPECTS[0] <= aspect <= ASPECTS[1]:
        raise DataError(f"{path}: found pixels of {aspect.numerator}:{aspect.denominator}, expected nearly square ones")
    height, width = image.shape[:2]
    size = (round(width * max(1, aspect)), round(height * max(1, 1 / aspect)))
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(f"{path}: found frames of {size[0]}x{size[1]}, expected at most {MAX_PIXELS} pixels")
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def oriented(image: np.ndarray, matrix: Sequence[int]) -> np.ndarray:
    """Return an image turned and mirrored as the display matrix of a track says.

        (x', y') = (a x + c y, b x + d y)        matrix = a, b, u, c, d, v, x0, y0, w

    The nearest of the four quarter turns and their mirror images is taken; a determinant below 0 mirrors.
    image: [H, W, 3]. Returns a view. Source: ISO 14496-12, matrix of the track header.
    """
    a, b, _, c, d = matrix[:5]
    if abs(b) + abs(c) > abs(a) + abs(d):  # x' follows y and y' follows x
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
