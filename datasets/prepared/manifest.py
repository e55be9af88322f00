"""The manifest of a prepared cache: what is in the folder, with which settings it was made, and how far it got.

    cache-manifest.json   this file, replaced in one step after each chunk of samples
    train-audio.npy       float32 [n, T, size, size, audio_channels], and so on for video, labels and the test split

A chunk is a range of samples that has been decoded, written and put on disk; samples outside the chunks are not there
yet, whatever the arrays hold. A checksum over the manifest's own content tells damage from what was written.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from misnet.datasets.base import DataError
from snncore.files import replace_file

__all__ = ["ARRAYS", "MANIFEST", "Chunk", "Manifest", "SplitRecord", "is_cache"]

MANIFEST = "cache-manifest.json"
FORMAT = "snncore prepared cache"
VERSION = 1
ARRAYS = ("audio", "video", "labels")


@dataclass(frozen=True)
class Chunk:
    """Samples `start` to `stop` - 1: SHA-256 of their rows in each array, and those that could not be read."""

    start: int
    stop: int
    audio: str
    video: str
    skipped: dict[str, str] = field(default_factory=dict)  # index -> why, for samples that were left out


@dataclass
class SplitRecord:
    """One split: what it is, the chunks that are done, and once all are the SHA-256 of each array's file."""

    samples: int
    fingerprint: str
    class_names: list[str]
    audio_channels: int
    visual_channels: int
    left_out: list[str] = field(default_factory=list)  # why, for samples that the data set left out by itself
    chunks: list[Chunk] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def skipped(self) -> dict[int, str]:
        """Samples that could not be read, by index, each with the reason."""
        return {int(i): why for chunk in self.chunks for i, why in chunk.skipped.items()}

    def done(self) -> int:
        """Samples that are decoded and on disk."""
        return sum(chunk.stop - chunk.start for chunk in self.chunks)


@dataclass
class Manifest:
    """The whole folder. settings: timesteps, size, seed, on_bad_sample. options: those of the data set, all of them."""

    dataset: str
    settings: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]
    complete: bool = False
    splits: dict[str, SplitRecord] = field(default_factory=dict)

    def shape(self, split: str, array: str) -> tuple[int, ...]:
        """Shape of an array of a split."""
        record = self.splits[split]
        if array == "labels":
            return (record.samples,)
        channels = record.audio_channels if array == "audio" else record.visual_channels
        return (record.samples, self.settings["timesteps"], self.settings["size"], self.settings["size"], channels)

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
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise DataError(
                f"{path}: no such file; expected the manifest of a cache made by tools/prepare.py"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: cannot be read as JSON ({error}); expected the manifest of a cache") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f'{path}: found no "format": "{FORMAT}", expected the manifest of a cache')
        if content.get("version") != VERSION:
            raise DataError(f"{path}: found version {content.get('version')!r}, expected {VERSION}; prepare it again")
        if content.pop("checksum", None) != _checksum(content):
            raise DataError(f"{path}: the content does not match its checksum: damaged, or changed by hand")
        try:
            del content["format"], content["version"]
            splits = {split: _record(record) for split, record in content.pop("splits").items()}
            return cls(**content, splits=splits)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{path}: does not hold what a manifest holds: {error}") from None


def is_cache(folder: str | Path) -> bool:
    """Return True if the folder holds the manifest of a cache."""
    return (Path(folder) / MANIFEST).is_file()


def _record(content: dict[str, Any]) -> SplitRecord:
    chunks = [Chunk(**chunk) for chunk in content.pop("chunks")]
    return SplitRecord(**content, chunks=chunks)


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 over everything but the checksum itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
