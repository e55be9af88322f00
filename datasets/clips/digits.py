"""Clips read as the sets of digits read theirs: an image of a digit, and its name spoken or the tone of its key."""

import numpy as np
from PIL import Image

from misnet.datasets.clips.finding import Clip
from misnet.datasets.clips.reading import Reading
from misnet.datasets.formats.files import read_bytes
from misnet.datasets.media.audio import resample, window
from misnet.datasets.media.images import EXPECTED, decode_image, resize_bilinear
from misnet.datasets.sets import dialpad, mnist_fsdd

__all__ = ["dialpad_streams", "mnist_fsdd_streams"]

LIGHT = 0.5  # a border lighter than this, of 1, is that of dark ink on paper


def mnist_fsdd_streams(kind: type, clip: Clip, reading: Reading) -> dict[str, np.ndarray]:
    """Return audio and visual, float32 [T, size, size, 1], of what there is of a clip, as `MnistFsdd` has them."""
    found = {}
    if clip.heard is not None:
        samples, rate = reading.sound(clip).read()
        sounding = mnist_fsdd.sounding_clip(resample(samples, rate, mnist_fsdd.SAMPLE_RATE))
        found["audio"] = _repeat(mnist_fsdd.spectrogram(sounding[None], reading.side)[0], reading)
    if clip.seen is not None:
        image = _gray(clip, reading)
        if image.shape != (reading.side, reading.side):
            image = resize_bilinear(image, reading.side)
        found["visual"] = _repeat((image - mnist_fsdd.IMAGE_MEAN) / mnist_fsdd.IMAGE_STD, reading)
    return found


def dialpad_streams(kind: type, clip: Clip, reading: Reading) -> dict[str, np.ndarray]:
    """Return audio and visual, float32 [T, size, size, 1], of what there is of a clip, as `Dialpad` has them.

    Timestep i hears the 160 ms around the moment (i + 1/2) / T of the sound, which is taken as loud as it is. Nothing
    is added or drawn: no noise, no shift, no missing frame.
    """
    found = {}
    if clip.heard is not None:
        samples, rate = reading.sound(clip).read()
        line = resample(samples, rate, dialpad.SAMPLE_RATE)
        moments = [(i + 0.5) / reading.timesteps for i in range(reading.timesteps)]
        stretches = np.stack([window(line, dialpad.STRETCH, moment * len(line)) for moment in moments])
        decibels = dialpad.spectrogram(stretches, reading.side)
        found["audio"] = ((decibels - dialpad.AUDIO_MEAN_DB) / dialpad.AUDIO_STD_DB)[..., None]
    if clip.seen is not None:
        image = resize_bilinear(_gray(clip, reading), reading.side)
        found["visual"] = _repeat((image - dialpad.IMAGE_MEAN) / dialpad.IMAGE_STD, reading)
    return found


def _gray(clip: Clip, reading: Reading) -> np.ndarray:
    """The middle square of an image, float32 [side, side] from 0 (black) to 1."""
    assert clip.seen is not None
    pixels = decode_image(read_bytes(clip.seen, EXPECTED), clip.seen)
    gray = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32) / 255
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    gray = gray[top : top + side, left : left + side]
    if reading.invert:
        gray = 1 - gray
    border = np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]))
    if border > LIGHT:
        reading.notes.append(
            f"{clip.seen}: its border is light; {reading.name} shows digits light on dark: --invert turns them"
        )
    return np.ascontiguousarray(gray)


def _repeat(frame: np.ndarray, reading: Reading) -> np.ndarray:
    """[size, size] as [T, size, size, 1]."""
    return np.repeat(frame.astype(np.float32)[None, :, :, None], reading.timesteps, axis=0)
