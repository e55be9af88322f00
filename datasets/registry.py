"""The data sets that can be loaded by name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from misnet.datasets.base import DataError, Dataset, Subset
from misnet.datasets.prepared.cache import open_cache
from misnet.datasets.prepared.manifest import is_cache
from misnet.datasets.sets import (
    ave,
    cifar10_av,
    crema_d,
    event_cameras,
    event_recordings,
    folder,
    mnist_fsdd,
    urbansound8k_av,
)
from misnet.datasets.sets.ave import Ave
from misnet.datasets.sets.cifar10_av import Cifar10Av
from misnet.datasets.sets.crema_d import CremaD
from misnet.datasets.sets.dialpad import Dialpad
from misnet.datasets.sets.event_vision import Cifar10Dvs, Dvs128Gesture
from misnet.datasets.sets.folder import FolderDataset
from misnet.datasets.sets.mnist_dvs_ntidigits import MnistDvsNtidigits
from misnet.datasets.sets.mnist_fsdd import MnistFsdd
from misnet.datasets.sets.urbansound8k_av import UrbanSound8kAv
from snncore.nearest import nearest_words
from snncore.rng import named_rng

__all__ = [
    "DATASET_NAMES",
    "REGISTRY",
    "Entry",
    "data_options",
    "data_splits",
    "default_epochs",
    "describe",
    "existing_dir",
    "load_dataset",
    "register",
]

SPLITS = ("train", "test")
COMMON = frozenset({"split", "data_dir", "timesteps", "size", "seed"})  # what load_dataset passes by itself


@dataclass(frozen=True)
class Entry:
    """A data set's class, what it is in a line, its usual size, and how many epochs a run on it has by default.

    needs: what `data_dir` must hold (None: nothing).
    """

    loader: Callable[..., Dataset]
    help: str
    default_size: int
    default_epochs: int
    needs: str | None = None
    splits: tuple[str, ...] = SPLITS

    @property
    def options(self) -> dict[str, object]:
        """The options of this data set alone, with their defaults."""
        parameters = inspect.signature(self.loader).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in COMMON}


REGISTRY = {
    "dialpad": Entry(
        Dialpad, "scikit-learn's handwritten digits with their telephone tones; a small fixture, no download", 8, 5
    ),
    "mnist-fsdd": Entry(
        MnistFsdd, "MNIST's handwritten digits with recordings of spoken ones", 16, 8, mnist_fsdd.NEEDS
    ),
    "cifar10-av": Entry(Cifar10Av, "CIFAR-10's photographs with environmental sounds of ESC", 32, 30, cifar10_av.NEEDS),
    "urbansound8k-av": Entry(
        UrbanSound8kAv, "UrbanSound8K's recordings with images of their classes", 32, 30, urbansound8k_av.NEEDS
    ),
    "crema-d": Entry(CremaD, "videos of actors who say a sentence in one of six emotions", 96, 60, crema_d.NEEDS),
    "ave": Entry(Ave, "ten-second videos of 28 audio-visual events", 96, 60, ave.NEEDS, (*SPLITS, "val")),
    "folder": Entry(FolderDataset, "your own videos, or sounds and images, in a folder a class", 64, 30, folder.NEEDS),
    "mnist-dvs-ntidigits": Entry(
        MnistDvsNtidigits,
        'digits of an event camera (MNIST-DVS or N-MNIST) with those of a silicon cochlea (N-TIDIGITS): "M&N"',
        32,
        10,
        event_recordings.NEEDS,
    ),
    "cifar10-dvs": Entry(
        Cifar10Dvs,
        "CIFAR-10's photographs before an event camera; no sound",
        48,
        60,
        event_cameras.NEEDS_CIFAR10_DVS,
    ),
    "dvs128-gesture": Entry(
        Dvs128Gesture, "gestures of 29 people before an event camera; no sound", 48, 60, event_cameras.NEEDS_GESTURES
    ),
}
"""Every data set by its name, those that were registered too."""

DATASET_NAMES = tuple(REGISTRY)
"""The data sets that are part of this package."""


def register(name: str, entry: Entry) -> None:
    """Add a data set of one's own; raises ValueError for a name that is taken."""
    if name in REGISTRY:
        raise ValueError(f"name: expected one that is not taken, found {name!r}")
    REGISTRY[name] = entry


def load_dataset(
    name: str,
    split: str,
    *,
    data_dir: str | Path | None = None,
    timesteps: int = 4,
    size: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    **options: object,
) -> Dataset:
    """Return a split of a data set.

    name: one of `DATASET_NAMES`. split: "train" or "test", and for ave also "val". data_dir: the folder with the files
    of a data set that needs some (`describe` says which), or a cache that tools/prepare.py made of the data set, with
    these settings. timesteps: T. size: height and width of image and spectrogram, by default the data set's own. limit:
    take that many samples, drawn with the seed (not the first ones, as some sets are sorted by class), in the data
    set's order; all of them if there are no more. A smaller limit takes a part of what a larger one takes. options:
    those of the data set.
    Raises ValueError for an unknown name, split or option and a limit below 1, DataError for files that are missing or
    wrong, and for a folder that is no cache where the data set needs no files.
    """
    entry = _entry(name)
    if split not in entry.splits:
        raise ValueError(f"split: expected one of {', '.join(entry.splits)} for {name}, found {split!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 sample, found {limit}")
    unknown = sorted(set(options) - set(entry.options))
    if unknown:
        known = ", ".join(entry.options)
        near = nearest_words(unknown[0], entry.options)
        raise ValueError(f"options: {name} has no option {', '.join(unknown)}; expected some of {known}{near}")
    if data_dir is not None and is_cache(data_dir):
        dataset: Dataset = open_cache(data_dir, split, name, timesteps, size, seed, options)
    else:
        if entry.needs is not None:
            options["data_dir"] = existing_dir(name, data_dir, entry.needs)
        elif data_dir is not None:
            raise DataError(f"{data_dir}: no prepared cache; expected one, or none at all: {name} needs no files")
        size = entry.default_size if size is None else size
        dataset = entry.loader(split, timesteps=timesteps, size=size, seed=seed, **options)
    if limit is None or limit >= len(dataset):
        return dataset
    chosen = named_rng(seed, "limit", name, split).permutation(len(dataset))[:limit]
    return Subset(dataset, sorted(chosen))


def describe(name: str) -> str:
    """Return what a data set is, what it needs on disk and its options, as lines of text. Raises ValueError."""
    entry = _entry(name)
    lines = [f"{name}: {entry.help}", f"size {entry.default_size}; splits {', '.join(entry.splits)}"]
    lines += ["options: " + ", ".join(f"{option}={default!r}" for option, default in entry.options.items())]
    lines += [f"data_dir must hold\n{entry.needs}" if entry.needs else "needs no files"]
    return "\n".join(lines)


def data_options(name: str) -> dict[str, object]:
    """Return the options of a data set alone, with their defaults; raises ValueError for an unknown name."""
    return _entry(name).options


def data_splits(name: str) -> tuple[str, ...]:
    """Return the splits of a data set, "train" first; raises ValueError for an unknown name."""
    return _entry(name).splits


def default_epochs(name: str) -> int:
    """Return how many epochs a run on a data set has by default; raises ValueError for an unknown name."""
    return _entry(name).default_epochs


def _entry(name: str) -> Entry:
    if name not in REGISTRY:
        near = nearest_words(name, REGISTRY)
        raise ValueError(f"name: expected a data set among {', '.join(REGISTRY)}, found {name!r}{near}")
    return REGISTRY[name]


def existing_dir(name: str, data_dir: str | Path | None, needs: str) -> Path:
    """Return the folder of a data set that needs one; raises DataError, with what it needs, if there is none."""
    if data_dir is None:
        raise DataError(f"{name}: data_dir is not given; expected a folder with\n{needs}")
    if not Path(data_dir).is_dir():
        found = "found a file, no folder" if Path(data_dir).exists() else "no such folder"
        raise DataError(f"{data_dir}: {found}; {name} expects one with\n{needs}")
    return Path(data_dir)
