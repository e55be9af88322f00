"""From a sound file to one channel of samples: decoding, resampling, level, and cutting to a length."""

import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # its parts load when they are first used: scipy.signal takes half a second

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import described, read_bytes
from misnet.datasets.formats.lengths import check_complete
from misnet.datasets.formats.mp3 import is_mpeg_sound, sound_frames
from misnet.datasets.formats.packages import require

__all__ = ["AUDIO_SUFFIXES", "check_samples", "normalise_level", "read_audio", "resample", "trim_silence", "window"]

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc",
    ".au", ".snd", ".caf", ".m4a", ".mka", ".wma",
})
# fmt: on
SAMPLE_RATES = range(1000, 384_001)  # Hz; a rate outside is a damaged header
MAX_SECONDS = 600  # that a sample's sound may last: compressed silence can stand for hours
BLOCK = 1 << 18  # values decoded at a time, so that memory follows the samples found and not those announced


def read_audio(
    path: str | Path, start: float = 0.0, stop: float | None = None, power: list[float] | None = None
) -> tuple[np.ndarray, int]:
    """Read a sound file that libsndfile decodes (WAV, FLAC, OGG, MP3, ...) as one channel.

    start, stop: seconds from the beginning; by default the whole file. power: a list to which the mean square of the
    channels of each block is added, and how many samples that is the mean of.
    Returns `(samples, sample_rate)`: float32 [n] with full scale 1.0, the mean of the channels, and an int in Hz.
    Junk between the frames of an MP3 is left out, as players do.
    Raises DataError for a missing or empty file, a Git LFS pointer, text or anything else that is no audio, a file
    shorter than its header says (`check_complete`, `sound_frames`), a rate outside 1 to 384 kHz, more than 600 s, no
    samples, and samples that are NaN or infinite; MissingPackage if soundfile is not installed.
    """
    soundfile = require("soundfile", "reading sound")
    expected = "an audio file (WAV, FLAC, OGG, ...)"
    data = read_bytes(path, expected)
    check_complete(data, path)  # libsndfile decodes what is left of a cut file without a word
    if is_mpeg_sound(data, path):
        data = sound_frames(data, path)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = int(file.samplerate)
            if rate not in SAMPLE_RATES:
                raise DataError(f"{path}: found a sample rate of {rate} Hz, expected 1000 to 384000")
            samples = _decode(file, path, rate, start, stop, power)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:  # TypeError: a format of no known number
        raise DataError(
            f"{path}: found {len(data)} bytes starting with {described(data)}, expected {expected}"
        ) from error
    return check_samples(samples, path, start), rate


def check_samples(samples: np.ndarray, path: str | Path, start: float = 0.0) -> np.ndarray:
    """Return `samples` if there are any and all are finite.

    samples: float [n], read from `path` from `start` seconds on, which the message names. Raises DataError otherwise.
    """
    if not len(samples):
        where = f" from {start:g} s on" if start else ""
        raise DataError(f"{path}: found no samples{where}, expected at least one")
    bad = int(samples.size - np.isfinite(samples).sum())
    if bad:
        raise DataError(f"{path}: found {bad} samples that are NaN or infinite among {samples.size}, expected none")
    return samples


def _decode(
    file: Any,
    path: str | Path,
    rate: int,
    start: float,
    stop: float | None,
    power: list[float] | None,
) -> np.ndarray:
    """The mean of the channels from `start` to `stop` seconds, float32 [n]."""
    first, last = round(start * rate), math.inf if stop is None else round(stop * rate)
    frames = max(1, BLOCK // file.channels)
    blocks, position = [], 0
    while position < last:
        block = file.read(frames, dtype="float32", always_2d=True)
        if not len(block):
            break
        mono = block.mean(axis=1, dtype=np.float64).astype(np.float32)  # float64: the sum may not fit float32
        blocks.append(mono[max(0, first - position) : None if last == math.inf else max(0, int(last) - position)])
        position += len(block)
        if power is not None:
            power += [float(np.mean(np.square(block, dtype=np.float64))), len(block)]
        if position > MAX_SECONDS * rate:
            raise DataError(f"{path}: found more than {MAX_SECONDS} s of sound, expected a clip; cut it into pieces")
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def resample(x: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Return sound at `target` samples a second instead of `rate`, by a polyphase low-pass filter.

    A ratio of numbers above 2000, which no usual rate has, is replaced by the nearest of smaller ones: that keeps the
    filter short and is off by at most 1 in 4000, 0.4 hundredths of a semitone.

    x: float [..., n] at `rate` Hz. Returns the same dtype, [..., ceil(n * target / rate)] for the ratio taken.
    Raises ValueError if a rate is below 1. Source: scipy.signal.resample_poly (Kaiser window, beta 5).
    """
    if rate < 1 or target < 1:
        raise ValueError(f"rate, target: expected at least 1 Hz, found {rate} and {target}")
    if rate == target:
        return x
    ratio = Fraction(target, rate)
    up, down = (ratio if ratio <= 1 else 1 / ratio).limit_denominator(2000).as_integer_ratio()
    if ratio > 1:
        up, down = down, up
    return scipy.signal.resample_poly(x, up, down, axis=-1).astype(x.dtype, copy=False)


def normalise_level(x: np.ndarray, rms: float = 0.1) -> np.ndarray:
    """Scale each sound to the root mean square `rms`; silence stays silence.

    x: float [..., n], full scale 1.0. Returns the same shape and dtype.
    """
    level = np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True))
    gain = np.divide(rms, level, out=np.zeros_like(level), where=level > 0)
    return (x * gain).astype(x.dtype, copy=False)


def trim_silence(x: np.ndarray, range_db: float = 60.0) -> np.ndarray:
    """Return x without the beginning and the end that are below its peak by more than `range_db`.

    x: float [n]. Returns a view of it, at least one sample; all of it if it is silent.
    """
    magnitude = np.abs(x)
    loud = np.flatnonzero(magnitude > magnitude.max() * 10 ** (-range_db / 20))
    return x[loud[0] : loud[-1] + 1] if len(loud) else x


def window(x: np.ndarray, length: int, centre: float) -> np.ndarray:
    """Return `length` samples around sample `centre`, moved to lie within x; a shorter sound is repeated.

    x: float [n], n at least 1. Returns float [length].
    """
    if len(x) < length:
        return np.resize(x, length)
    start = min(max(0, round(centre - length / 2)), len(x) - length)
    return x[start : start + length]
