"""How a clip becomes the arrays of T timesteps: moments, key frames, and a spectrogram for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from misnet.datasets.media.audio import normalise_level, resample, window
from misnet.datasets.media.images import FITS, fit_square
from misnet.datasets.media.spectrogram import log_mel, mel_spectrogram, standardise
from snncore.nearest import one_of
from snncore.rng import named_rng

__all__ = ["KEY_FRAMES", "SPECTROGRAMS", "View"]

SPECTROGRAMS = ("aligned", "whole")
KEY_FRAMES = ("even", "random", "paper")
PAPER_FRAMES = 10
SAMPLE_RATE = 16000  # Hz
BAND = (50.0, 8000.0)  # Hz
RANGE_DB = 80.0  # a spectrogram reaches this far below its maximum
SIZES = range(8, 257)
SECONDS = (0.2, 60.0)


@dataclass(frozen=True)
class View:
    """What of a clip is seen and heard in each of T timesteps.

    timesteps: T. size: height and width of image and spectrogram, 8 to 256. seed: of random moments.
    key_frames: "even" takes the moments (i + 1/2) / T of the clip, "random" T moments drawn uniformly, "paper" T of the
    ten moments (i + 1/2) / 10 drawn (Section 4.1: ten frames, of which four at random). What is drawn is in order of
    time, and the same each time for the same clip and seed.
    spectrogram: "aligned" gives each timestep the sound around its key frame, "whole" the middle of the sound to all.
    seconds: of sound in a spectrogram, 0.2 to 60. A shorter sound is repeated; a window that would reach beyond an end
    is moved inside.
    fit: "crop" takes the middle square of an image, "stretch" all of it.
    Raises ValueError for a value that is none of these.
    """

    timesteps: int
    size: int
    seed: int
    spectrogram: str
    seconds: float
    key_frames: str
    fit: str

    def __post_init__(self) -> None:
        for name, choices in (("spectrogram", SPECTROGRAMS), ("key_frames", KEY_FRAMES), ("fit", FITS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: {one_of(getattr(self, name), choices)}")
        for name in ("timesteps", "size"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name}: expected a whole number, found {getattr(self, name)!r}")
        if self.timesteps < 1:
            raise ValueError(f"timesteps: expected at least 1, found {self.timesteps}")
        if self.key_frames == "paper" and self.timesteps > PAPER_FRAMES:
            raise ValueError(
                f"timesteps: expected at most {PAPER_FRAMES} with key_frames=paper, found {self.timesteps}"
            )
        if self.size not in SIZES:
            raise ValueError(f"size: expected {SIZES[0]} to {SIZES[-1]}, found {self.size}")
        seconds = self.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not SECONDS[0] <= seconds <= SECONDS[1]:
            raise ValueError(f"window: expected {SECONDS[0]} to {SECONDS[1]} seconds, found {seconds!r}")

    def moments(self, key: str) -> tuple[float, ...]:
        """Return T moments of a clip, ascending, from 0 (its beginning) to below 1 (its end).

        key: tells clips apart, for random moments.
        """
        if self.key_frames == "even":
            return tuple((i + 0.5) / self.timesteps for i in range(self.timesteps))
        rng = named_rng(self.seed, "key frames", key)
        if self.key_frames == "random":
            return tuple(sorted(rng.random(self.timesteps).tolist()))
        chosen = rng.choice(PAPER_FRAMES, self.timesteps, replace=False)
        return tuple((i + 0.5) / PAPER_FRAMES for i in sorted(chosen.tolist()))

    def video(self, frames: Sequence[np.ndarray], mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
        """Return key frames, fitted to a square, as (x / 255 - mean) / std for each colour.

        frames: T of uint8 [h, w, 3], any h and w. Returns float32 [T, size, size, 3].
        """
        scale = 1 / (255 * np.asarray(std, np.float32))
        shift = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
        return np.stack([fit_square(frame, self.size, self.fit) for frame in frames]) * scale - shift

    def audio(
        self, samples: np.ndarray, rate: int, moments: Sequence[float], duration: float | None = None
    ) -> np.ndarray:
        """Return a spectrogram for each timestep: `size` mel bands, low first, by `size` stretches of time.

        The sound is brought to 16 kHz and, as a whole, to an RMS of 0.1, for recordings of one set differ ten-fold in
        level. Power in mel bands from 50 to 8000 Hz, averaged over each stretch, in decibels down to 80 below the
        maximum; then mean 0 and variance 1 over all timesteps together, so that a silent moment stays a silent one.

        samples: float32 [n] at `rate` Hz. moments: as `moments()`. duration: seconds of the video that the moments are
        parts of; by default that of the sound.
        Returns float32 [T, size, size, 1].
        """
        sound = normalise_level(resample(samples, rate, SAMPLE_RATE))
        length = round(self.seconds * SAMPLE_RATE)
        if self.spectrogram == "whole":
            windows = window(sound, length, len(sound) / 2)[None]
        else:
            whole = len(sound) if duration is None else duration * SAMPLE_RATE
            windows = np.stack([window(sound, length, moment * whole) for moment in moments])
        spectrograms = self._log_mel(windows)
        return np.repeat(spectrograms, self.timesteps // len(windows), axis=0)[..., None]

    def _log_mel(self, windows: np.ndarray) -> np.ndarray:
        """Spectrograms of [w, length] samples, float32 [w, size, size]."""
        length = windows.shape[1]
        n_fft = 1024 if self.size <= 128 else 2048  # narrow bands need a fine transform
        frames = -(-length // (self.size * n_fft // 2))  # in a stretch, so that they overlap by half or more
        hop = (length - n_fft) // (self.size * frames - 1)
        power = mel_spectrogram(windows, SAMPLE_RATE, n_fft, hop, self.size, *BAND, center=False)
        power = power[..., : self.size * frames].reshape(-1, self.size, frames).mean(axis=-1)  # [w * bands, stretches]
        decibels = log_mel(power, top_db=RANGE_DB)
        return standardise(decibels.reshape(len(windows), self.size, self.size), axis=(0, 1, 2))
