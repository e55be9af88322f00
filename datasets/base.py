"""What every data set offers: named streams of arrays and a label for each sample, and a fingerprint of its content."""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snncore.files import refuse_pipe

__all__ = [
    "AudioVisualDataset",
    "DataError",
    "Dataset",
    "MissingPackage",
    "Stream",
    "Subset",
    "content_hash",
    "file_stamps",
]


class DataError(Exception):
    """Data on disk cannot be used; the message names the file or folder, what was found and what was expected."""


class MissingPackage(DataError):
    """A package that reads a kind of file is not installed: no fault of a sample, and so never skipped."""


class Stream(NamedTuple):
    """Shape of one sample of a stream of images or spectrograms; other streams may have any shape [T, ...]."""

    timesteps: int
    height: int
    width: int
    channels: int


class Dataset(ABC):
    """Samples that each have some streams of T timesteps, and one label.

    `dataset[i]` is `(stream, ..., label)`: float32 arrays in the order and with the shapes of `streams`, and an int, an
    index into `class_names`. Indices run from 0 to `len(dataset) - 1`; any other raises IndexError.
    Streams named in `events` are counts of events: the smallest of uint8, uint16 and uint32 that holds those of the
    sample, as integers are what a network accumulates.
    `skipped` counts the corrupt samples that were left out, which is 0 unless the data set was told to skip them;
    `skipped_reasons` says of each, in a sentence that names it, what was wrong. `notes` are sentences on the whole that
    a person should read: how sounds and images were paired, which files were passed over.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    timesteps: int
    events: tuple[str, ...] = ()
    skipped: int = 0
    skipped_reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        """Shape [T, ...] of each stream of a sample, by the name that models ask for."""

    @property
    @abstractmethod
    def labels(self) -> np.ndarray:
        """All labels, int64 [n], read-only."""

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Sample `index` as `(stream, ..., label)`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) over what determines every sample: files and settings, or the seed and settings."""

    def stamp(self) -> str | None:
        """What a fingerprint was taken of, told without reading a file: it changes when a file is written to.

        None where a fingerprint is quick, or cannot be spared.
        """
        return None

    def files(self, index: int) -> tuple[Path, ...]:
        """The files that sample `index` is decoded from, in no particular order; none if it is made from a seed.

        Files that hold many samples (archives, batches, tables) are not among them; the fingerprint covers those, too.
        Raises IndexError for an index that is no sample's.
        """
        self.checked(index)
        return ()

    def group(self, index: int) -> str | None:
        """Who or what sample `index` shows, None if that is not known.

        An actor, a speaker, a Freesound or a video id: samples of one group in two splits are a leak.
        Raises IndexError for an index that is no sample's.
        """
        self.checked(index)
        return None

    def __len__(self) -> int:
        return len(self.labels)

    def checked(self, index: int) -> int:
        """Return `index` if it is a sample's, else raise IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} {self.split}: expected an index from 0 to {len(self) - 1}, found {index}")
        return int(index)


class AudioVisualDataset(Dataset):
    """Samples with a spectrogram and an image for each of T timesteps, and one label.

    `dataset[i]` is `(audio, video, label)`:

        audio   float32 [T, H, W, audio_channels], roughly zero mean and unit variance; H is mel band (low first),
                W is time within the timestep
        video   float32 [T, H, W, visual_channels], roughly zero mean and unit variance
        label   int, an index into `class_names`

    with T = `timesteps` and H = W = `size`. The streams are called "audio" and "visual".
    """

    size: int
    audio_channels: int = 1
    visual_channels: int

    @property
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        pixels = (self.timesteps, self.size, self.size)
        return {"audio": Stream(*pixels, self.audio_channels), "visual": Stream(*pixels, self.visual_channels)}

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Sample `index` as `(audio, video, label)`."""


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order, and nothing copied.

    What else the data set says of itself, such as `size`, the subset says too.
    indices: integers, [m]. Raises IndexError for an index that is not in `dataset`.
    """

    def __init__(self, dataset: Dataset, indices: Iterable[int]):
        self.dataset = dataset
        self.indices = np.array([dataset.checked(int(i)) for i in indices], dtype=np.int64)
        self.name, self.split, self.class_names = dataset.name, dataset.split, dataset.class_names
        self.timesteps = dataset.timesteps
        self.skipped, self.skipped_reasons = dataset.skipped, dataset.skipped_reasons
        self.notes, self.events = dataset.notes, dataset.events
        self._labels = dataset.labels[self.indices]
        self._labels.setflags(write=False)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # asked for before __init__ has set it, as copying does
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        return self.dataset.streams

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.dataset[int(self.indices[self.checked(index)])]

    def files(self, index: int) -> tuple[Path, ...]:
        return self.dataset.files(int(self.indices[self.checked(index)]))

    def group(self, index: int) -> str | None:
        return self.dataset.group(int(self.indices[self.checked(index)]))

    def stamp(self) -> str | None:
        whole = self.dataset.stamp()
        return None if whole is None else content_hash({"subset_of": whole, "indices": self.indices.tolist()})

    def fingerprint(self) -> str:
        """SHA-256 over the whole data set's fingerprint and the indices taken from it."""
        return content_hash({"subset_of": self.dataset.fingerprint(), "indices": self.indices.tolist()})


def file_stamps(paths: Iterable[Path]) -> list[list[Any]]:
    """Return name, size and times of the last change of each file, of its content and of its entry, in nanoseconds.

    A copy with the old date of its content has a new one of its entry. Raises OSError if a file is missing.
    """
    found = []
    for path in paths:
        status = os.stat(path)
        found.append([path.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return found


def content_hash(settings: dict, files: Iterable[Path] = (), arrays: Iterable[np.ndarray] = ()) -> str:
    """Return the SHA-256 (64 hex digits) over settings, files and arrays, each with its length before it.

    settings: JSON values, order of keys does not matter. files: name (not folder), size and full content of each, in
    the order given, so that moving a folder changes nothing. arrays: dtype, shape and bytes of each.
    Raises OSError if a file cannot be read.
    """
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    add(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        add(os.fsencode(path.name))
        refuse_pipe(path)
        digest.update(path.stat().st_size.to_bytes(8, "big"))
        with open(path, "rb") as file:
            while block := file.read(1 << 20):  # a file may be larger than memory
                digest.update(block)
    for array in arrays:
        add(f"{array.dtype.str} {array.shape}".encode())
        add(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
