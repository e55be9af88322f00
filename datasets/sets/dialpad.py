"""`dialpad`: handwritten digits seen while their telephone tones are heard; made on the spot, nothing downloaded."""

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy  # its parts load when they are first used

from misnet.datasets.base import AudioVisualDataset, content_hash
from misnet.datasets.media.images import resize_bilinear
from misnet.datasets.media.spectrogram import log_mel, mel_spectrogram
from snncore.rng import named_rng

__all__ = ["Dialpad", "tone_pair"]

ROW_HZ = (697.0, 770.0, 852.0, 941.0)
COLUMN_HZ = (1209.0, 1336.0, 1477.0)
KEYS = ("123", "456", "789", " 0 ")  # the keypad; star and hash are left out

SAMPLE_RATE = 8000  # Hz, that of a telephone line
STRETCH = 1280  # samples of sound in a timestep (160 ms)
BAND = (600.0, 1700.0)  # Hz, a little wider than the tones
FLOOR = 1e-7  # power at which the spectrogram stops, as the tones' is about 1e-2 and the noise's 1e-5
TEST_EVERY = 5  # every fifth image is a test image

# Ranges from which each sample draws, evenly.
TONE_DB = (-9.0, 0.0)  # level of the low tone, against amplitude 0.5
TWIST_DB = (-6.0, 4.0)  # high tone against low tone; Q.24 lets lines differ by about as much
DETUNE = 0.015  # either tone is off by up to 1.5 %, which Q.24 says a receiver must take
TONE_MS = (50.0, 120.0)  # how long the tone sounds in a timestep
CONTRAST = (0.7, 1.0)
MAX_SHIFT = 1 / 32  # of the image's size, in either direction

# Mean and standard deviation over the training split at size 16 (other sizes differ a little), to standardise inputs.
AUDIO_MEAN_DB, AUDIO_STD_DB = -51.7, 17.1
IMAGE_MEAN, IMAGE_STD = 0.192, 0.267


class Dialpad(AudioVisualDataset):
    """Digits 0 to 9 as an image and a two-tone sound, where neither alone is enough and both together are.

    This is a fixture for the first five minutes, not a benchmark: it is made so that fusing two senses pays, and
    results on it say nothing about any published number.

    The images are scikit-learn's 1,797 handwritten digits (8x8, 0 to 16), those whose index is a multiple of five in
    the test split (360) and the others in the training split (1,437). Each is resized to `size`, shifted, lowered in
    contrast, and gets fresh noise in every timestep. The sound is the key's DTMF pair (ITU-T Q.23) at 8 kHz, one
    stretch of 160 ms a timestep, with level, twist, frequency error, timing and line noise drawn for each sample; the
    spectrogram is in decibels, with `size` mel bands from 600 to 1700 Hz and `size` frames.

    What goes missing, drawn for each sample: with probability `lost` the sound is gone in all timesteps, with the same
    probability the image is, and never both; of what is left, every frame is missing with probability `frame_lost`,
    but one always stays. A missing image is black, a missing sound is a dead line. One sense alone can therefore be
    right in about 1 - 0.9 * lost of the samples at best.

    Sample i depends on (seed, split, i) and the settings alone.
    timesteps, size: at least 1, and 8 to 64. lost: 0 to 0.5. frame_lost: 0 to 1. image_noise: standard deviation
    against white = 1. noise_db: (low, high), line noise against amplitude 0.5, in decibels.
    Raises ValueError for a setting outside its range. Source: ITU-T Q.23 and Q.24; sklearn.datasets.load_digits.
    """

    name = "dialpad"
    class_names = tuple("0123456789")
    visual_channels = 1

    def __init__(
        self,
        split: str,
        *,
        timesteps: int = 4,
        size: int = 8,
        seed: int = 0,
        lost: float = 0.18,
        frame_lost: float = 0.1,
        image_noise: float = 0.1,
        noise_db: tuple[float, float] = (-40.0, -25.0),
    ):
        if timesteps < 1:
            raise ValueError(f"timesteps: expected at least 1, found {timesteps}")
        if not 8 <= size <= 64:
            raise ValueError(f"size: expected 8 to 64 for dialpad, found {size}")
        if not 0 <= lost <= 0.5:
            raise ValueError(f"lost: expected a probability from 0 to 0.5, found {lost}")
        if not 0 <= frame_lost <= 1:
            raise ValueError(f"frame_lost: expected a probability from 0 to 1, found {frame_lost}")
        if not image_noise >= 0:
            raise ValueError(f"image_noise: expected at least 0, found {image_noise}")
        if len(noise_db) != 2 or not noise_db[0] <= noise_db[1]:
            raise ValueError(f"noise_db: expected (low, high) in decibels, found {noise_db}")
        self.split, self.timesteps, self.size, self.seed = split, timesteps, size, seed
        self.lost, self.frame_lost, self.image_noise, self.noise_db = lost, frame_lost, image_noise, tuple(noise_db)

        images, labels = _digits()
        mine = (np.arange(len(labels)) % TEST_EVERY == 0) == (split == "test")
        self._images, self._labels = images[mine], labels[mine]
        self._labels.setflags(write=False)
        self._upright = resize_bilinear(self._images, size)
        shape = (len(self._labels), timesteps, size, size, 1)
        self._audio, self._video = (np.full(shape, 0, np.float32) for _ in range(2))  # taken now, not while it trains
        self._made = np.zeros(len(self._labels), bool)  # a sample is made when it is first asked for

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        index = self.checked(index)
        if not self._made[index]:
            self._make(index)  # two threads at once write the same numbers
            self._made[index] = True
        return self._audio[index].copy(), self._video[index].copy(), int(self._labels[index])

    def fingerprint(self) -> str:
        """SHA-256 over the split, the settings and the digits of the split."""
        settings = {
            key: getattr(self, key)
            for key in ("name", "split", "timesteps", "size", "seed", "lost", "frame_lost", "image_noise", "noise_db")
        }
        return content_hash(settings, arrays=(self._images, self._labels))

    def _make(self, i: int) -> None:
        """Put sample i into the arrays."""
        t, size = self.timesteps, self.size
        rng = named_rng(self.seed, self.name, self.split, i)
        hears, sees = self._present(rng)
        image = _shifted(self._upright[i], rng) * rng.uniform(*CONTRAST)
        frames = image + self.image_noise * rng.standard_normal((t, size, size), np.float32)
        self._video[i, ..., 0] = (frames * sees[:, None, None] - IMAGE_MEAN) / IMAGE_STD
        sound = (self._sound(int(self._labels[i]), rng) * hears[:, None]).astype(np.float32)
        self._audio[i, ..., 0] = (spectrogram(sound, size) - AUDIO_MEAN_DB) / AUDIO_STD_DB

    def _present(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which timesteps have a sound and which an image, bool [T] each."""
        fate = rng.random()
        present = rng.random((2, self.timesteps)) >= self.frame_lost
        kept = rng.integers(self.timesteps, size=2)
        present[(0, 1), kept] = True
        present[0] &= fate >= self.lost
        present[1] &= not self.lost <= fate < 2 * self.lost
        return present[0], present[1]

    def _sound(self, label: int, rng: np.random.Generator) -> np.ndarray:
        """The line in each timestep, float32 [T, STRETCH], full scale 1.0."""
        low_db, twist, noise_db = rng.uniform(*TONE_DB), rng.uniform(*TWIST_DB), rng.uniform(*self.noise_db)
        hz = np.array(tone_pair(label)) * (1 + rng.uniform(-DETUNE, DETUNE, 2))
        amplitude = 0.5 * 10 ** (np.array([low_db, low_db + twist]) / 20)
        phase = rng.uniform(0, 2 * np.pi, (2, self.timesteps, 1))
        length = rng.uniform(*TONE_MS, (self.timesteps, 1)) * (SAMPLE_RATE / 1000)
        start = rng.uniform(0, 1, (self.timesteps, 1)) * (STRETCH - length)

        i = np.arange(STRETCH, dtype=np.float32)
        radians = (2 * np.pi / SAMPLE_RATE) * hz
        tone = sum(a * np.sin(w * i + p) for a, w, p in zip(amplitude, radians, phase, strict=True))
        tone *= (i >= start) & (i < start + length)
        noise = 0.5 * 10 ** (noise_db / 20) * rng.standard_normal((self.timesteps, STRETCH), np.float32)
        return (tone + noise).astype(np.float32)


def tone_pair(digit: int) -> tuple[float, float]:
    """Return the two frequencies in Hz of a digit's key, that of its row and that of its column (ITU-T Q.23)."""
    for row, keys in zip(ROW_HZ, KEYS, strict=True):
        if str(digit) in keys:
            return row, COLUMN_HZ[keys.index(str(digit))]
    raise ValueError(f"digit: expected 0 to 9, found {digit}")


def spectrogram(sound: np.ndarray, size: int) -> np.ndarray:
    """Return `size` mel bands by `size` frames of each stretch of sound, in decibels against a tone of amplitude 2.

    sound: float32 [..., STRETCH] at SAMPLE_RATE. Returns float32 [..., size, size].
    """
    # The narrowest band is the lowest: linear in Hz below 1 kHz, 27 bands for each factor of 6.4 above (Slaney).
    mels = (1000.0 - BAND[0]) * 3 / 200 + 27 * np.log(BAND[1] / 1000.0) / np.log(6.4)
    band_hz = 200 / 3 * mels / (size + 1)
    n_fft = 2 ** int(np.ceil(np.log2(SAMPLE_RATE / band_hz)))
    hop = (STRETCH - n_fft) // (size - 1)
    # Peaks of 1 and a power divided by the window's sum make a tone equally loud whatever the size.
    power = mel_spectrogram(sound, SAMPLE_RATE, n_fft, hop, size, *BAND, norm=None, center=False)
    return log_mel(power[..., :size] / np.float32((n_fft / 2) ** 2), FLOOR)


def _shifted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move an image by up to MAX_SHIFT of its size, fractions of a pixel included, filling with black."""
    by = rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * image.shape[-1]
    # "grid-constant" goes over into black; "constant" would blacken a whole row for any shift at all.
    return scipy.ndimage.shift(image, by, order=1, mode="grid-constant")


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin).parent / "datasets/data/digits.csv.gz" if package and package.origin else Path()
    if file.is_file():  # what load_digits() reads: to import it takes a second at each start
        rows = np.loadtxt(file, delimiter=",")
        images, labels = rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]
    else:
        from sklearn.datasets import load_digits

        images, labels = (digits := load_digits()).images, digits.target
    return (images / 16).astype(np.float32), labels.astype(np.int64)
