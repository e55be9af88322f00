"""Random changes of training samples that leave the label as it is: flip, crop, time shift, SpecAugment."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from snncore.nearest import nearest_words
from snncore.rng import named_rng

__all__ = ["AUGMENTATIONS", "Augmentation"]

REACH = 8  # crops and time shifts go up to 1 / REACH of the size; masks are up to 1 / MASK of it wide
MASK = 4


class Augmentation:
    """Apply the named changes to a sample, in the order they are given, each drawn from (seed, epoch, index, name).

        flip          frames mirrored left to right, in half of the samples
        crop          frames moved by up to size / 8 in both directions, what is uncovered filled with the edge
        timeshift     spectrograms moved in time by up to size / 8, what is uncovered filled with the sample's minimum
        specaugment   a stripe of up to size / 4 bands and one of up to size / 4 columns set to the sample's mean

    All timesteps of a sample are changed in the same way. The draws of one change do not depend on which others are
    made, nor on the order of samples, so that a run that was stopped repeats them bit for bit.

    names: some of AUGMENTATIONS. seed: that of the run.
    Raises ValueError for another name or one given twice.
    Source: flip and crop as usual on CIFAR-10; D. S. Park et al., "SpecAugment", 2019, with one mask of each kind.
    """

    def __init__(self, names: Sequence[str], seed: int = 0):
        for name in names:
            if name not in AUGMENTATIONS:
                near = nearest_words(name, AUGMENTATIONS)
                raise ValueError(f"augment: expected some of {', '.join(AUGMENTATIONS)}, found {name!r}{near}")
        if len(set(names)) < len(names):
            raise ValueError(f"augment: expected each name once, found {', '.join(names)}")
        self.names, self.seed = tuple(names), seed

    def check(self, streams: Mapping[str, tuple[int, ...]], name: str) -> None:
        """Raise ValueError if a stream that is to be changed is not among those of the data set `name`."""
        for change in self.names:
            stream = AUGMENTATIONS[change][0]
            if stream not in streams:
                raise ValueError(f"augment: {change} changes the stream {stream!r}, {name} has {', '.join(streams)}")

    def __call__(self, streams: Mapping[str, np.ndarray], epoch: int, index: int) -> dict[str, np.ndarray]:
        """Return a changed sample, float [T, H, W, C] by stream; the arrays given stay as they are.

        Shapes and dtypes stay, and streams that no change is for.
        """
        changed = dict(streams)
        for name in self.names:
            stream, change = AUGMENTATIONS[name]
            changed[stream] = change(changed[stream], named_rng(self.seed, "augment", epoch, index, name))
        return changed


def flip(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror the frames left to right with probability 1/2."""
    return video[:, :, ::-1] if rng.random() < 0.5 else video


def crop(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the frames by up to 1/8 of their size down and right, or up and left, repeating the edge."""
    down, right = (int(rng.integers(-(n // REACH), n // REACH + 1)) for n in video.shape[1:3])
    rows = np.clip(np.arange(video.shape[1]) - down, 0, video.shape[1] - 1)
    columns = np.clip(np.arange(video.shape[2]) - right, 0, video.shape[2] - 1)
    return video[:, rows][:, :, columns]


def timeshift(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the spectrograms by up to 1/8 of their width in time."""
    n = audio.shape[2]
    by = int(rng.integers(-(n // REACH), n // REACH + 1))
    moved = np.full_like(audio, audio.min())
    moved[:, :, max(by, 0) : n + min(by, 0)] = audio[:, :, max(-by, 0) : n - max(by, 0)]
    return moved


def specaugment(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set a stripe of bands and a stripe of columns to the mean of the sample."""
    masked = audio.copy()
    mean = audio.mean(dtype=np.float64)
    for axis in (1, 2):
        n = audio.shape[axis]
        width = int(rng.integers(0, n // MASK + 1))
        start = int(rng.integers(0, n - width + 1))
        stripe = [slice(None)] * audio.ndim
        stripe[axis] = slice(start, start + width)
        masked[tuple(stripe)] = mean if audio.dtype.kind == "f" else round(mean)
    return masked


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
AUGMENTATIONS: dict[str, tuple[str, Change]] = {
    "flip": ("visual", flip),
    "crop": ("visual", crop),
    "timeshift": ("audio", timeshift),
    "specaugment": ("audio", specaugment),
}
"""Each change by its name, with the stream that it changes."""
