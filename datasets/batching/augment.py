"""Random changes of training samples that leave the label as it is: flip, crop, time shift, SpecAugment."""

from collections.abc import Callable, Sequence

import numpy as np

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
                raise ValueError(f"augment: expected some of {', '.join(AUGMENTATIONS)}, found {name!r}")
        if len(set(names)) < len(names):
            raise ValueError(f"augment: expected each name once, found {', '.join(names)}")
        self.names, self.seed = tuple(names), seed

    def __call__(self, audio: np.ndarray, video: np.ndarray, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a changed sample; the arrays given stay as they are.

        audio, video: float [T, H, W, C]. Returns the same shapes and dtypes.
        """
        for name in self.names:
            audio, video = AUGMENTATIONS[name](audio, video, named_rng(self.seed, "augment", epoch, index, name))
        return audio, video


def flip(audio: np.ndarray, video: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mirror the frames left to right with probability 1/2."""
    return audio, video[:, :, ::-1] if rng.random() < 0.5 else video


def crop(audio: np.ndarray, video: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Move the frames by up to 1/8 of their size down and right, or up and left, repeating the edge."""
    down, right = (int(rng.integers(-(n // REACH), n // REACH + 1)) for n in video.shape[1:3])
    rows = np.clip(np.arange(video.shape[1]) - down, 0, video.shape[1] - 1)
    columns = np.clip(np.arange(video.shape[2]) - right, 0, video.shape[2] - 1)
    return audio, video[:, rows][:, :, columns]


def timeshift(audio: np.ndarray, video: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Move the spectrograms by up to 1/8 of their width in time."""
    n = audio.shape[2]
    by = int(rng.integers(-(n // REACH), n // REACH + 1))
    moved = np.full_like(audio, audio.min())
    moved[:, :, max(by, 0) : n + min(by, 0)] = audio[:, :, max(-by, 0) : n - max(by, 0)]
    return moved, video


def specaugment(audio: np.ndarray, video: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Set a stripe of bands and a stripe of columns to the mean of the sample."""
    masked = audio.copy()
    mean = audio.mean(dtype=np.float64)
    for axis in (1, 2):
        n = audio.shape[axis]
        width = int(rng.integers(0, n // MASK + 1))
        start = int(rng.integers(0, n - width + 1))
        stripe = [slice(None)] * audio.ndim
        stripe[axis] = slice(start, start + width)
        masked[tuple(stripe)] = mean
    return masked, video


Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
AUGMENTATIONS: dict[str, Change] = {
    "flip": flip,
    "crop": crop,
    "timeshift": timeshift,
    "specaugment": specaugment,
}
