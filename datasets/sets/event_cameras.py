"""CIFAR10-DVS and DVS128 Gesture: their recordings, classes and splits, and frames of events; neither has sound."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.event_files import AEDAT2_MAGIC, DVS128, read_aedat
from misnet.datasets.formats.files import check_head, is_hidden, read_lines
from misnet.datasets.media.events import Events, event_frames
from misnet.datasets.sets.cifar10_images import CLASSES as CIFAR10_CLASSES

__all__ = [
    "CIFAR10_CLASSES",
    "GESTURES",
    "NEEDS_CIFAR10_DVS",
    "NEEDS_GESTURES",
    "EventClip",
    "clip_frames",
    "find_cifar10_dvs",
    "find_gestures",
]

NEEDS_CIFAR10_DVS = """\
<class>/cifar10_<class>_<number>.aedat, from https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671
(<class>: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck)"""
NEEDS_GESTURES = """\
trials_to_train.txt, trials_to_test.txt, user01_fluorescent.aedat, user01_fluorescent_labels.csv, ...
(DvsGesture.tar.gz unpacked), from https://research.ibm.com/interactive/dvsgesture"""

GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
CIFAR10_FOLDERS = (".", "CIFAR10-DVS", "CIFAR10DVS", "cifar10-dvs", "extract")
CIFAR10_NAME = re.compile(rf"cifar10_(?P<name>{'|'.join(CIFAR10_CLASSES)})_(?P<number>[0-9]+)\.aedat")
CIFAR10_TRAIN = 900  # of a class, by number
GESTURE_FOLDERS = (".", "DvsGesture", "DVS128Gesture", "dvs128-gesture", "extract/DvsGesture")
GESTURE_NAME = re.compile(r"(?P<user>user[0-9]+)_(?P<light>\w+)\.aedat")
GESTURE_ROWS = "rows of class (1 to 11), startTime_usec, endTime_usec"


@dataclass(frozen=True)
class EventClip:
    """A labelled recording of an event camera, or the part of it from `start` to before `stop` microseconds.

    key tells it from all others; group is who is seen, None if that is not known. on_its_side: the camera stood so that
    an upright picture has x' = 127 - y, y' = 127 - x, where the file is AEDAT 2.0, as the camera sent it.
    """

    path: Path
    label: int
    key: str
    group: str | None = None
    start: int | None = None
    stop: int | None = None
    on_its_side: bool = False

    def read(self) -> Events:
        """Return its events; raises DataError as `read_aedat` does, and for a clip without events."""
        if self.start is None or self.stop is None:
            events = read_aedat(self.path)
            if self.on_its_side and check_head(self.path, "an AEDAT file").startswith(AEDAT2_MAGIC):
                events = replace(events, x=DVS128 - 1 - events.y, y=DVS128 - 1 - events.x)
        else:
            whole = _recording(self.path)
            place = slice(*np.searchsorted(whole.t, [self.start, self.stop]))
            parts = (a[place] for a in (whole.t, whole.x, whole.y, whole.p))
            events = Events(*parts, whole.height, whole.width)
        if not len(events):
            raise DataError(f"{self.path}: found no events of {self.key}, expected some")
        return events


@lru_cache(maxsize=2)
def _recording(path: Path) -> Events:
    """The whole recording, kept for its other clips."""
    return read_aedat(path)


def clip_frames(clip: EventClip, timesteps: int, slicing: str = "time", polarity: bool = True) -> np.ndarray:
    """Return the counts of events in each of T slices, as `event_frames`: integers [T, height, width, 2 or 1]."""
    return event_frames(clip.read(), timesteps, slicing, polarity)


def find_cifar10_dvs(data_dir: str | Path, split: str) -> list[EventClip]:
    """Return the recordings of CIFAR10-DVS in a split, by class and number.

    split: "train" for those whose number is below 900 in each class, "test" for the others. The authors published no
    split; 9,000 and 1,000 is what comparisons use, though not all with the same recordings.
    The pictures lie on their side in the recordings and are set upright, as SpikingJelly and other readers do.
    Raises DataError if there are none. Source: H. Li et al., "CIFAR10-DVS", Frontiers in Neuroscience, 2017.
    """
    _check(split)
    for root in (Path(data_dir) / folder for folder in CIFAR10_FOLDERS):
        paths = [p for p in root.glob("*/cifar10_*.aedat") if not is_hidden(p, root)]
        names = [CIFAR10_NAME.fullmatch(path.name) for path in paths]
        for path, name in zip(paths, names, strict=True):
            if name is None or name["name"] != path.parent.name:
                raise DataError(f"{path}: expected a name like airplane/cifar10_airplane_0.aedat")
        if paths:
            found = [
                (CIFAR10_CLASSES.index(n["name"]), int(n["number"]), p) for n, p in zip(names, paths, strict=True) if n
            ]
            wanted = sorted(f for f in found if (f[1] >= CIFAR10_TRAIN) == (split == "test"))
            return [
                EventClip(path, label, f"{path.parent.name}/{path.name}", on_its_side=True) for label, _, path in wanted
            ]
    raise DataError(f"{data_dir}: found no recordings of CIFAR10-DVS; expected\n{NEEDS_CIFAR10_DVS}")


def find_gestures(data_dir: str | Path, split: str) -> list[EventClip]:
    """Return the gestures of DVS128 Gesture in a split: each a part of a recording, in the order of lists and tables.

    split: "train" for the recordings that trials_to_train.txt lists (users 1 to 23), "test" for those of
    trials_to_test.txt (24 to 29). group: the user.
    Raises DataError for a list, a recording or a table that is missing, and for rows that are none.
    Source: A. Amir et al., "A low power, fully event-based gesture recognition system", CVPR 2017.
    """
    _check(split)
    for root in (Path(data_dir) / folder for folder in GESTURE_FOLDERS):
        trials = root / f"trials_to_{split}.txt"
        if trials.is_file():
            return [
                clip for name in read_lines(trials, "names of recordings") for clip in _gestures(trials, name.strip())
            ]
    raise DataError(f"{data_dir}: found no trials_to_{split}.txt of DVS128 Gesture; expected\n{NEEDS_GESTURES}")


def _gestures(trials: Path, name: str) -> list[EventClip]:
    match = GESTURE_NAME.fullmatch(name)
    if match is None:
        raise DataError(f"{trials}: found {name[:60]!r}, expected names like user01_fluorescent.aedat")
    path, table = trials.parent / name, trials.parent / f"{name.removesuffix('.aedat')}_labels.csv"
    if not path.is_file():
        raise DataError(f"{path}: no such file; {trials.name} lists it")
    clips = []
    for number, line in enumerate(read_lines(table, GESTURE_ROWS), start=1):
        fields = [field.strip() for field in line.split(",")]
        if number == 1 and fields[0] == "class":
            continue
        if len(fields) != 3 or not all(re.fullmatch("[0-9]{1,18}", field) for field in fields):
            raise DataError(f"{table}: found {line[:60]!r} in row {number}, expected {GESTURE_ROWS}")
        label, start, stop = map(int, fields)
        if not 1 <= label <= len(GESTURES) or start >= stop:
            raise DataError(f"{table}: found {line[:60]!r} in row {number}, expected {GESTURE_ROWS}")
        clips.append(EventClip(path, label - 1, f"{name} {start}-{stop}", match["user"], start, stop))
    return clips


def _check(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split: expected 'train' or 'test', found {split!r}")
