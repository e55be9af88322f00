"""What a worker does: load a data set once, decode a range of samples, put them on disk at their place."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError, Dataset, MissingPackage
from misnet.datasets.prepared.cache import array_header
from misnet.datasets.prepared.manifest import LABELS, Chunk
from misnet.datasets.registry import data_options, load_dataset

__all__ = ["Request", "decode_chunk", "finite_sample", "forget", "loaded", "make_array", "write_rows"]


@dataclass(frozen=True)
class Request:
    """What to decode: the arguments of load_dataset, and whether a bad sample is an "error" or left out ("skip")."""

    name: str
    data_dir: str | None = None
    timesteps: int = 4
    size: int | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    on_bad_sample: str = "error"

    def load(self, split: str) -> Dataset:
        """Return the data set; with "skip", one that leaves out by itself what it could not even be made with.

        Raises what load_dataset raises.
        """
        settings = {"data_dir": self.data_dir, "timesteps": self.timesteps, "size": self.size, "seed": self.seed}
        try:
            return load_dataset(self.name, split, **settings, **self.options)
        except MissingPackage:
            raise
        except DataError:
            if self.on_bad_sample != "skip" or "on_bad_sample" not in data_options(self.name):
                raise
        return load_dataset(self.name, split, **settings, **self.options | {"on_bad_sample": "skip"})


_loaded: dict[str, Dataset] = {}  # of this process


def loaded(request: Request, split: str) -> Dataset:
    """Return the data set, loaded at the first call and kept in this process for the next."""
    key = f"{request!r} {split}"
    if key not in _loaded:
        _loaded[key] = request.load(split)
    return _loaded[key]


def forget() -> None:
    """Let go of what `loaded` kept."""
    _loaded.clear()


def decode_chunk(request: Request, split: str, paths: dict[str, str], start: int, stop: int) -> Chunk:
    """Decode samples `start` to `stop` - 1, write them to their rows, wait until they are on disk; return the record.

    paths: file of each stream's array. Raises DataError for a sample that cannot be read, is not finite or has another
    shape than the data set says (unless they are skipped), OSError for the disk.
    """
    dataset = loaded(request, split)
    rows = {name: np.zeros((stop - start, *shape), "<f4") for name, shape in dataset.streams.items()}
    skipped: dict[str, str] = {}
    for i in range(start, stop):
        try:
            streams = finite_sample(dataset, i)
        except MissingPackage:
            raise
        except DataError as error:
            if request.on_bad_sample != "skip":
                raise
            skipped[str(i)] = str(error)
            continue
        for name, x in streams.items():
            rows[name][i - start] = x
    for name, values in rows.items():
        write_rows(Path(paths[name]), name, start, values, len(dataset))
    return Chunk(start, stop, {name: hashlib.sha256(values).hexdigest() for name, values in rows.items()}, skipped)


def finite_sample(dataset: Dataset, index: int) -> dict[str, np.ndarray]:
    """Return the streams of a sample by name.

    Raises DataError as the data set does, for values that are NaN or infinite, and for another shape than it says.
    """
    *arrays, _ = dataset[index]
    streams = dict(zip(dataset.streams, arrays, strict=True))
    for name, x in streams.items():
        expected = tuple(dataset.streams[name])
        if x.shape == expected and np.isfinite(x).all():
            continue
        names = ", ".join(map(str, dataset.files(index))) or f"{dataset.name} {dataset.split} sample {index}"
        if x.shape != expected:
            raise DataError(f"{names}: found {name} values of shape {x.shape}, expected {expected}")
        raise DataError(f"{names}: found {name} values that are NaN or infinite, expected none")
    return streams


def make_array(path: Path, shape: tuple[int, ...], array: str) -> None:
    """Make the file of an array, of full size and with nothing in it, which takes no room on most disks."""
    header = array_header(shape, array)
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + int(np.prod(shape, dtype=object)) * (8 if array == LABELS else 4))


def write_rows(path: Path, array: str, start: int, values: np.ndarray, samples: int) -> None:
    """Write rows of an array of so many samples to their place in its file, and wait until they are on disk.

    Not through a memory map: on a full disk that would end the process instead of raising OSError.
    """
    header = array_header((samples, *values.shape[1:]), array)
    with open(path, "r+b") as file:
        file.seek(len(header) + start * values[:1].nbytes)
        file.write(np.ascontiguousarray(values).data)
        file.flush()
        os.fsync(file.fileno())
