"""What a sample is decoded from: a sound, and a video, a folder of frames or a still image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from misnet.datasets.formats.files import read_bytes
from misnet.datasets.media.audio import read_audio
from misnet.datasets.media.images import EXPECTED, decode_image
from misnet.datasets.media.video import VIDEO_SUFFIXES, read_frames, read_sound_track

__all__ = ["FrameFolder", "Pixels", "Sound", "Still", "Video", "Vision"]

SILENT = 2.0**-14  # of full scale: two steps of 16 bits
CANCELLED = 1e-6  # -60 dB, as powers: less than this is left of channels that cancel out
CONTAINED = VIDEO_SUFFIXES | {".m4a", ".mka", ".wma"}


@dataclass(frozen=True)
class Sound:
    """A sound file or the sound track of a video, or of either the part from `start` to `stop` seconds."""

    path: Path
    start: float = 0.0
    stop: float | None = None

    @property
    def in_container(self) -> bool:
        """Whether it is in a file that FFmpeg reads, and libsndfile does not."""
        return self.path.suffix.lower() in CONTAINED

    def read(self, power: list[float] | None = None) -> tuple[np.ndarray, int]:
        """Return the samples, float32 [n], and their rate in Hz; power: as of `read_audio`. Raises DataError."""
        reader = read_sound_track if self.in_container else read_audio
        return reader(self.path, self.start, self.stop, power)

    def remarks(self) -> tuple[float, list[str]]:
        """Return how many seconds it lasts, and what a person should look at: silence, channels that cancel out."""
        seconds, found = _remarks(self)
        return seconds, list(found)

    def _remarks(self) -> tuple[float, list[str]]:
        power: list[float] = []
        samples, rate = self.read(power)
        mean = float(np.mean(np.square(samples, dtype=np.float64)))
        channels = float(np.average(power[::2], weights=power[1::2]))
        found = []
        if samples.min() == samples.max() or np.abs(samples).max() < SILENT:
            if channels > SILENT**2:
                found.append(f"{self.path}: channels of opposite phase, whose mean is silence")
            else:
                found.append(f"{self.path}: silent sound")
        elif mean < CANCELLED * channels:
            decibels = 10 * np.log10(channels / mean)
            found.append(f"{self.path}: channels of opposite phase, whose mean is {decibels:.0f} dB below them")
        return len(samples) / rate, found


@lru_cache(maxsize=10_000)
def _remarks(sound: Sound) -> tuple[float, list[str]]:
    """What a sound's `remarks` are: thousands of images may share it."""
    return sound._remarks()


class Vision(Protocol):
    """Something that is seen."""

    still: bool  # the same at any moment

    def frames(self, moments: Sequence[float]) -> tuple[list[np.ndarray], float | None]:
        """Return what is seen at `moments`, and how long the whole lasts.

        moments: from 0, the beginning, to below 1, the end; ascending.
        Returns a frame for each moment, uint8 [H, W, 3], and seconds, None if that is not known. Raises DataError.
        """
        ...

    def files(self, moments: Sequence[float]) -> tuple[Path, ...]:
        """Return the files that `frames(moments)` reads; an archive that holds other images too is none of them."""
        ...


@dataclass(frozen=True)
class Video:
    """A video file, or the part of it from `start` to `stop` seconds."""

    path: Path
    start: float = 0.0
    stop: float | None = None
    still = False

    def frames(self, moments: Sequence[float]) -> tuple[list[np.ndarray], float | None]:
        return read_frames(self.path, moments, self.start, self.stop)

    def files(self, moments: Sequence[float]) -> tuple[Path, ...]:
        return (self.path,)


@dataclass(frozen=True)
class FrameFolder:
    """Image files that are frames at equal distances, in order; the part from `start` to `stop`, each from 0 to 1."""

    paths: tuple[Path, ...]
    start: float = 0.0
    stop: float = 1.0
    still = False

    def frames(self, moments: Sequence[float]) -> tuple[list[np.ndarray], float | None]:
        return [decode_image(read_bytes(path, EXPECTED), path) for path in self._at(moments)], None

    def files(self, moments: Sequence[float]) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self._at(moments)))

    def _at(self, moments: Sequence[float]) -> list[Path]:
        places = [self.start + m * (self.stop - self.start) for m in moments]
        return [self.paths[min(int(place * len(self.paths)), len(self.paths) - 1)] for place in places]


@dataclass(frozen=True)
class Still:
    """An image file, or the content of one that was read from an archive."""

    path: Path
    content: bytes | None = field(default=None, repr=False)
    still = True

    def frames(self, moments: Sequence[float]) -> tuple[list[np.ndarray], float | None]:
        content = read_bytes(self.path, EXPECTED) if self.content is None else self.content
        return [decode_image(content, self.path)] * len(moments), None

    def files(self, moments: Sequence[float]) -> tuple[Path, ...]:
        return () if self.content is not None else (self.path,)


@dataclass(frozen=True, eq=False)
class Pixels:
    """An image in memory, uint8 [H, W, 3]."""

    pixels: np.ndarray
    still = True

    def frames(self, moments: Sequence[float]) -> tuple[list[np.ndarray], float | None]:
        return [self.pixels] * len(moments), None

    def files(self, moments: Sequence[float]) -> tuple[Path, ...]:
        return ()
