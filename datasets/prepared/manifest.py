"""The manifest of a prepared cache: what is in the folder, with which settings it was made, and how far it got.

    cache-manifest.json   this file, replaced in one step after each chunk of samples
    train-audio.npy       float32 [n, T, ...], and so on for each stream of the data set, by its name, and each split
    train-labels.npy      int64 [n]

A chunk is a range of samples that has been decoded, written and put on disk; samples outside the chunks are not there
yet, whatever the arrays hold. A checksum over the manifest's own content tells damage from what was written.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from misnet.datasets.base import DataError
from misnet.datasets.prepared.first_version import FIRST, upgraded
from snncore.files import read_file, replace_file

__all__ = ["LABELS", "MANIFEST", "Chunk", "Manifest", "SplitRecord", "check_streams", "is_cache"]

MANIFEST = "cache-manifest.json"
FORMAT = "snncore prepared cache"
VERSION = 2
LABELS = "labels"  # the array beside those of the streams
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # what can be a part of a file's name on any system


@dataclass(frozen=True)
class Chunk:
    """Samples `start` to `stop` - 1: SHA-256 of their rows in each stream, and those that could not be read."""

    start: int
    stop: int
    hashes: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)  # index -> why, for samples that were left out


@dataclass
class SplitRecord:
    """One split: what it is, the chunks that are done, and once all are the SHA-256 of each array's file.

    streams: shape [T, ...] of each stream of a sample, in the data set's order. events: those of them that are counts
    of events, and come back as unsigned integers.
    """

    samples: int
    fingerprint: str
    class_names: list[str]
    streams: dict[str, list[int]]
    events: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # why, for samples that the data set left out by itself
    chunks: list[Chunk] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays: the streams, then the labels."""
        return (*self.streams, LABELS)

    def skipped(self) -> dict[int, str]:
        """Samples that could not be read, by index, each with the reason."""
        return {int(i): why for chunk in self.chunks for i, why in chunk.skipped.items()}

    def done(self) -> int:
        """Samples that are decoded and on disk."""
        return sum(chunk.stop - chunk.start for chunk in self.chunks)


@dataclass
class Manifest:
    """The whole folder. settings: timesteps, size, seed, on_bad_sample. options: those of the data set, all of them.

    file_names: of arrays whose files are not called like their stream, as in a cache of the first version.
    """

    dataset: str
    settings: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]
    complete: bool = False
    splits: dict[str, SplitRecord] = field(default_factory=dict)
    file_names: dict[str, str] = field(default_factory=dict)

    def shape(self, split: str, array: str) -> tuple[int, ...]:
        """Shape of an array of a split."""
        record = self.splits[split]
        return (record.samples, *(() if array == LABELS else record.streams[array]))

    def path(self, folder: Path, split: str, array: str) -> Path:
        """Where an array of a split lies."""
        return folder / f"{split}-{self.file_names.get(array, array)}.npy"

    def write(self, folder: Path) -> None:
        """Put the manifest into the folder in one step; raises OSError and leaves the earlier one if that fails."""
        content = {"format": FORMAT, "version": VERSION} | asdict(self)
        content["checksum"] = _checksum(content)
        replace_file(folder / MANIFEST, (json.dumps(content, indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest":
        """Return the manifest in a folder; raises DataError if it is missing, damaged, or of another version."""
        path = Path(folder) / MANIFEST
        try:
            content = json.loads(read_file(path))
        except FileNotFoundError:
            raise DataError(
                f"{path}: no such file; expected the manifest of a cache made by tools/prepare.py"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: cannot be read as JSON ({error}); expected the manifest of a cache") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f'{path}: found no "format": "{FORMAT}", expected the manifest of a cache')
        if content.get("version") not in (FIRST, VERSION):
            raise DataError(
                f"{path}: found version {content.get('version')!r}, expected {FIRST} or {VERSION}; prepare it again"
            )
        if content.pop("checksum", None) != _checksum(content):
            raise DataError(f"{path}: the content does not match its checksum: damaged, or changed by hand")
        try:
            if content.pop("version") == FIRST:
                content = upgraded(content)
            del content["format"]
            for name in content["file_names"].values():
                check_name(name)
            splits = {split: _record(record) for split, record in content.pop("splits").items()}
            return cls(**content, splits=splits)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{path}: does not hold what a manifest holds: {error}") from None


def is_cache(folder: str | Path) -> bool:
    """Return True if the folder holds the manifest of a cache."""
    return (Path(folder) / MANIFEST).is_file()


def check_streams(streams: Mapping[str, Any]) -> None:
    """Raise ValueError unless the names can be those of files, and the shapes are shapes [T, ...] of samples.

    streams: shape of each stream, by name.
    """
    for name, shape in streams.items():
        check_name(name)
        if not shape or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in shape):
            raise ValueError(f"streams: expected a shape of whole numbers from 1 for {name}, found {list(shape)}")


def check_name(name: str) -> None:
    """Raise ValueError unless an array of a stream can be called that."""
    if PLAIN.fullmatch(name) is None or name == LABELS:
        raise ValueError(f"streams: expected names of letters, digits, - and _, and none {LABELS!r}; found {name!r}")


def _record(content: dict[str, Any]) -> SplitRecord:
    chunks = [Chunk(**chunk) for chunk in content.pop("chunks")]
    record = SplitRecord(**content, chunks=chunks)
    check_streams(record.streams)
    return record


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 over everything but the checksum itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
