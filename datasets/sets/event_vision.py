"""Data sets of an event camera alone, as frames of events: CIFAR10-DVS and DVS128 Gesture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError, Dataset, MissingPackage, Stream, content_hash, file_stamps
from misnet.datasets.media.events import SLICINGS, VALUES, event_values
from misnet.datasets.media.images import resize_bilinear
from misnet.datasets.sets.event_cameras import (
    CIFAR10_CLASSES,
    GESTURES,
    EventClip,
    clip_frames,
    find_cifar10_dvs,
    find_gestures,
)
from snncore.nearest import one_of

__all__ = ["Cifar10Dvs", "Dvs128Gesture", "EventVision"]

SENSOR = 128  # pixels a side of the cameras of both sets
SIZES = range(8, SENSOR + 1)


class EventVision(Dataset):
    """Recordings of an event camera as T frames of events; there is no sound: the one stream is "visual".

    A frame counts the events of each pixel in one of T slices of the recording, OFF and ON as two channels, brought to
    `size` by Pillow's bilinear filter. `slicing`: "time" for slices of equal duration, "count" for slices of equally
    many events. polarity: keep OFF and ON apart. `values`: as of `event_values`. on_bad_sample: "error", or "skip" to
    read every recording at the start, leave out those that are damaged, and count them in `skipped`.
    A subclass says its name and classes, and finds its clips.
    Raises DataError for files that are missing or damaged; ValueError for options.
    """

    find: Callable[[Path, str], list[EventClip]]

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 48,
        seed: int = 0,
        slicing: str = "time",
        polarity: bool = True,
        values: str = "log",
        on_bad_sample: str = "error",
    ):
        choices = {
            "slicing": (slicing, SLICINGS),
            "values": (values, VALUES),
            "polarity": (polarity, (True, False)),
            "on_bad_sample": (on_bad_sample, ("error", "skip")),
        }
        for name, (given, allowed) in choices.items():
            if given not in allowed:
                raise ValueError(f"{name}: {one_of(given, allowed)}")
        if timesteps < 1:
            raise ValueError(f"timesteps: expected at least 1, found {timesteps}")
        if size not in SIZES:
            raise ValueError(f"size: expected {SIZES[0]} to {SIZES[-1]} for {self.name}, found {size}")
        self.split, self.timesteps, self.size, self.seed = split, timesteps, size, seed
        self.slicing, self.polarity, self.values = slicing, polarity, values
        self.events = ("visual",) if values == "binary" or (values == "count" and size == SENSOR) else ()
        self.clips = type(self).find(Path(data_dir), split)
        if on_bad_sample == "skip":
            self.clips = [clip for clip in self.clips if self._is_readable(clip)]
        if not self.clips:
            raise DataError(f"{data_dir}: found no recording of the {split} split of {self.name}")
        self._labels = np.array([clip.label for clip in self.clips], dtype=np.int64)
        self._labels.setflags(write=False)

    @property
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        return {"visual": Stream(self.timesteps, self.size, self.size, 2 if self.polarity else 1)}

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        clip = self.clips[self.checked(index)]
        counts = clip_frames(clip, self.timesteps, self.slicing, self.polarity)
        if counts.shape[1:3] != (self.size, self.size):
            # [T, H, W, C] -> [T, C, H, W] -> [T, C, size, size] -> [T, size, size, C]
            planes = counts.transpose(0, 3, 1, 2).astype(np.float32)
            counts = resize_bilinear(planes, self.size).transpose(0, 2, 3, 1)
        return event_values(counts, self.values), clip.label

    def files(self, index: int) -> tuple[Path, ...]:
        return (self.clips[self.checked(index)].path,)

    def group(self, index: int) -> str | None:
        return self.clips[self.checked(index)].group

    def fingerprint(self) -> str:
        """SHA-256 over settings, clips and labels, and over the whole content of every file of the split."""
        return content_hash(self._settings(), dict.fromkeys(clip.path for clip in self.clips))

    def stamp(self) -> str:
        """SHA-256 over what `fingerprint` covers, with size and times of each file in place of its content."""
        files = file_stamps(dict.fromkeys(clip.path for clip in self.clips))
        return content_hash(self._settings() | {"files": files})

    def _settings(self) -> dict[str, Any]:
        names = ("name", "split", "timesteps", "size", "seed", "slicing", "polarity", "values")
        return {name: getattr(self, name) for name in names} | {
            "clips": [(clip.key, clip.label) for clip in self.clips]
        }

    def _is_readable(self, clip: EventClip) -> bool:
        try:
            clip.read()
        except MissingPackage:
            raise
        except DataError as error:
            self.skipped, self.skipped_reasons = self.skipped + 1, (*self.skipped_reasons, str(error))
            return False
        return True


class Cifar10Dvs(EventVision):
    """CIFAR-10's photographs moved before an event camera: 10 classes of 900 training and 100 test recordings.

    Split and source: `find_cifar10_dvs`.
    """

    name = "cifar10-dvs"
    class_names = CIFAR10_CLASSES
    find = staticmethod(find_cifar10_dvs)


class Dvs128Gesture(EventVision):
    """Gestures of 29 people before an event camera: 11 classes, the users 24 to 29 for testing. group: the user.

    Split and source: `find_gestures`.
    """

    name = "dvs128-gesture"
    class_names = GESTURES
    find = staticmethod(find_gestures)
