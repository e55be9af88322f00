"""A data set that was decoded once, read from memory-mapped arrays; `datasets/prepared/preparing.py` writes it."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError, Dataset, Stream, content_hash, file_stamps
from misnet.datasets.media.events import whole_counts
from misnet.datasets.prepared.manifest import LABELS, Manifest
from snncore.files import read_file, sha256_of

__all__ = [
    "CachedDataset",
    "array_header",
    "as_json",
    "mapped",
    "open_cache",
    "verify_cache",
]


class CachedDataset(Dataset):
    """A split of a prepared cache: the samples of the data set it was made from, bit for bit, without those left out.

    folder: has a finished manifest. `size` is what its samples were asked for with. Sizes and headers of the arrays are
    checked here; their content by `fingerprint` and `verify_cache`, as that reads all of it. The arrays are mapped, not
    read: a sample costs its own bytes.
    The fingerprint is that of the data set itself where no sample was left out, so that a run that began on one goes on
    with the other.
    Raises DataError if the cache is unfinished, damaged or of another version.
    """

    def __init__(self, folder: str | Path, split: str):
        folder = Path(folder)
        manifest = _finished(folder)
        self.folder, self.manifest = folder, manifest
        if split not in manifest.splits:
            raise DataError(f"{folder}: holds no {split} split, but {', '.join(manifest.splits)}")
        self.record = manifest.splits[split]
        self.name, self.split = manifest.dataset, split
        self.class_names = tuple(self.record.class_names)
        self.timesteps, self.size = manifest.settings["timesteps"], manifest.settings["size"]
        shapes = self.record.streams.items()
        self._streams = {
            name: Stream(*shape) if len(shape) == len(Stream._fields) else (*shape,) for name, shape in shapes
        }
        *self._arrays, labels = (mapped(folder, manifest, split, array) for array in self.record.arrays)
        self.events = tuple(self.record.events)
        left_out = self.record.skipped()
        self._rows = np.delete(np.arange(self.record.samples), np.array(sorted(left_out), dtype=np.int64))
        self.skipped = len(left_out) + len(self.record.left_out)
        self.skipped_reasons = (*self.record.left_out, *left_out.values())
        self._labels = labels[self._rows]
        if len(self._labels) and not 0 <= self._labels.min() <= self._labels.max() < len(self.class_names):
            raise DataError(
                f"{manifest.path(folder, split, LABELS)}: found labels beyond {len(self.class_names)} classes"
            )
        self._labels.setflags(write=False)

    @property
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        return self._streams

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        row = self._rows[self.checked(index)]
        streams = (np.array(array[row]) for array in self._arrays)
        named = zip(self._streams, streams, strict=True)
        return (*(whole_counts(x) if name in self.events else x for name, x in named), int(self._labels[index]))

    def fingerprint(self) -> str:
        """That of the data set, or if samples were left out SHA-256 over it and their indices.

        It stands for the content, so the content is read and compared with what was prepared. Raises DataError naming
        the arrays that changed since.
        """
        if wrong := changed_arrays(self.folder, self.manifest, self.split):
            raise DataError(words_on_changed(self.folder, wrong))
        left_out = sorted(self.record.skipped())
        if not left_out:
            return self.record.fingerprint
        return content_hash({"prepared_from": self.record.fingerprint, "left_out": left_out})

    def stamp(self) -> str:
        """SHA-256 over the manifest's entry of the split, and size and times of each array."""
        paths = [self.manifest.path(self.folder, self.split, array) for array in self.record.arrays]
        return content_hash({"prepared": asdict(self.record), "files": file_stamps(paths)})


def open_cache(
    folder: str | Path,
    split: str,
    name: str,
    timesteps: int,
    size: int | None,
    seed: int,
    options: dict[str, Any],
) -> CachedDataset:
    """Return a split of a cache if it was prepared as asked for.

    size: None takes the cache's. options: those given, of which each must be the cache's (`on_bad_sample` is of no
    matter here). Raises ValueError naming the first setting that differs; DataError as CachedDataset does.
    """
    manifest = _finished(Path(folder))
    _of_this_set(folder, manifest, name)
    asked = {"timesteps": timesteps, "size": size, "seed": seed}
    asked = {key: value for key, value in asked.items() if value is not None}
    asked |= {key: value for key, value in options.items() if key != "on_bad_sample"}
    made = manifest.settings | manifest.options
    for key, value in asked.items():
        if made.get(key) != as_json(value):
            raise ValueError(
                f"{key}: {folder} was prepared with {made.get(key)!r}, found {value!r}; ask for the same, or prepare "
                "another cache"
            )
    return CachedDataset(folder, split)


def verify_cache(folder: str | Path, name: str | None = None) -> int:
    """Compare every byte of a cache's arrays with its manifest and return how many there are.

    name: of the data set, if the cache must be one of it, which is a ValueError otherwise.
    Raises DataError naming all files that differ, and as CachedDataset does.
    """
    folder = Path(folder)
    manifest = _finished(folder)
    _of_this_set(folder, manifest, manifest.dataset if name is None else name)
    total, wrong = 0, []
    for split, record in manifest.splits.items():
        total += sum(manifest.path(folder, split, array).stat().st_size for array in record.arrays)
        wrong += changed_arrays(folder, manifest, split)
    if wrong:
        raise DataError(words_on_changed(folder, wrong))
    return total


def changed_arrays(folder: Path, manifest: Manifest, split: str) -> list[str]:
    """Return the names of the arrays of a split whose bytes are not those that were prepared; reads all of them."""
    wrong = []
    record = manifest.splits[split]
    for array in record.arrays:
        path = manifest.path(folder, split, array)
        mapped(folder, manifest, split, array)
        wrong += [path.name] if sha256_of(path) != record.files.get(array) else []
    return wrong


def words_on_changed(folder: Path, names: Iterable[str]) -> str:
    """Return a message on arrays that changed."""
    return f"{folder}: {', '.join(names)} changed since preparing: the content differs from the manifest"


def array_header(shape: tuple[int, ...], array: str) -> bytes:
    """Return the bytes that a .npy file of this shape starts with: float32, and int64 for labels."""
    header = io.BytesIO()
    descr = "<i8" if array == LABELS else "<f4"
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue()


def as_json(value: Any) -> Any:
    """Return the value as it comes back from JSON: tuples as lists."""
    return json.loads(json.dumps(value))


def _finished(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    if not manifest.complete:
        done = ", ".join(f"{r.done()} of {r.samples} {split} samples" for split, r in manifest.splits.items())
        raise DataError(f"{folder}: was not finished ({done}); go on with the tools/prepare.py command that began it")
    return manifest


def _of_this_set(folder: str | Path, manifest: Manifest, name: str) -> None:
    if name != manifest.dataset:
        raise ValueError(f"{folder} is a prepared cache of {manifest.dataset}, found {name}")


def mapped(folder: Path, manifest: Manifest, split: str, array: str) -> np.ndarray:
    """Return an array of a cache, mapped read-only; raises DataError unless its size and header are right."""
    path, shape = manifest.path(folder, split, array), manifest.shape(split, array)
    header = array_header(shape, array)
    dtype = np.dtype("<i8" if array == LABELS else "<f4")
    expected = len(header) + int(np.prod(shape, dtype=object)) * dtype.itemsize
    try:
        found = path.stat().st_size
        start = read_file(path, len(header))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected an array of the cache") from None
    if found != expected:
        raise DataError(f"{path}: found {found} bytes, expected {expected} for shape {shape}")
    if start != header:
        raise DataError(f"{path}: does not start with the header of a .npy file of shape {shape} and type {dtype}")
    if not shape[0]:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", len(header), shape))
