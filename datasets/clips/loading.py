"""A clip as a sample of a data set: decoded as the samples of that set are, to the same bits."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from misnet.datasets.base import DataError, Dataset
from misnet.datasets.clips.arrays import read_arrays
from misnet.datasets.clips.digits import dialpad_streams, mnist_fsdd_streams
from misnet.datasets.clips.events import event_digit_streams, event_streams
from misnet.datasets.clips.finding import Clip
from misnet.datasets.clips.media import media_streams
from misnet.datasets.clips.reading import Reading
from misnet.datasets.registry import REGISTRY
from misnet.datasets.sets.dialpad import Dialpad
from misnet.datasets.sets.event_vision import EventVision
from misnet.datasets.sets.media import MediaDataset
from misnet.datasets.sets.mnist_dvs_ntidigits import MnistDvsNtidigits
from misnet.datasets.sets.mnist_fsdd import MnistFsdd

__all__ = ["OneClip", "load_clip"]


class Part(NamedTuple):
    """What a stream is read from: in words, and as kinds of file."""

    words: str
    kinds: tuple[str, ...]


class Family(NamedTuple):
    """Sets whose samples files of one's own can be: their base class, what reads a clip, what each stream is from."""

    base: type
    read: Callable[[Any, Clip, Reading], dict[str, np.ndarray]]
    parts: dict[str, Part]


SOUND, IMAGE = Part("a sound (.wav, ...)", ("sound",)), Part("an image (.png, .jpg, ...)", ("image",))
EVENTS = Part("events (.aedat)", ("events",))
FAMILIES = (
    Family(
        MediaDataset,
        media_streams,
        {
            "audio": Part("a sound (.wav, ...) or a video with one", ("sound", "video")),
            "visual": Part("an image, a folder of frames or a video", ("image", "frames", "video")),
        },
    ),
    Family(MnistFsdd, mnist_fsdd_streams, {"audio": SOUND, "visual": IMAGE}),
    Family(Dialpad, dialpad_streams, {"audio": SOUND, "visual": IMAGE}),
    Family(EventVision, event_streams, {"visual": EVENTS}),
    Family(
        MnistDvsNtidigits,
        event_digit_streams,
        {"audio": Part("spikes of a cochlea (FILE.hdf5:NAME)", ("spikes",)), "visual": EVENTS},
    ),
)


class OneClip(Dataset):
    """A data set of one sample, whose streams are there already; its label means nothing."""

    split = "clip"

    def __init__(self, name: str, arrays: dict[str, np.ndarray], class_names: Collection[str]) -> None:
        self.name, self.arrays, self.class_names = name, arrays, tuple(class_names)
        self.timesteps = next(iter(arrays.values())).shape[0]
        self.events = tuple(stream for stream, x in arrays.items() if x.dtype.kind == "u")
        self._labels = np.zeros(1, np.int64)
        self._labels.setflags(write=False)

    @property
    def streams(self) -> Mapping[str, tuple[int, ...]]:
        return {name: x.shape for name, x in self.arrays.items()}

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        self.checked(index)
        return (*(x.copy() for x in self.arrays.values()), 0)

    def fingerprint(self) -> str:
        raise NotImplementedError("a clip is of no split, which a fingerprint would be of")


def load_clip(clip: Clip, reading: Reading, class_names: Collection[str]) -> OneClip:
    """Return a clip as a data set of one sample, read as test samples of the set are.

    Raises DataError, naming the file, for what cannot be decoded, for a clip that lacks a stream which the network
    takes, and for a set that reads no files but its own.
    """
    _check_changes(clip, reading)
    if clip.arrays is not None:
        return OneClip(clip.name, read_arrays(clip.arrays, reading.needed), class_names)
    loader = _loader(reading)
    for family in FAMILIES:
        if issubclass(loader, family.base):
            _check_parts(clip, reading, family.parts)
            return OneClip(clip.name, family.read(loader, clip, reading), class_names)
    raise DataError(
        f"{clip.name}: {reading.name} reads no files but its own; expected an .npz file with the arrays "
        f"{', '.join(reading.needed)}, or a sample of the set by its number"
    )


def _check_changes(clip: Clip, reading: Reading) -> None:
    """Raise DataError for a change that would be asked for in vain."""
    changed = reading.start is not None or reading.stop is not None
    if clip.arrays is not None and (changed or reading.invert):
        raise DataError(
            f"{clip.name}: found arrays, which are taken as they are; expected no --start, --stop, --invert"
        )
    if reading.invert and not issubclass(_loader(reading), (MnistFsdd, Dialpad)):
        raise DataError(f"{clip.name}: found --invert for a run on {reading.name}, which shows no digits in grey")


def _loader(reading: Reading) -> type:
    loader = REGISTRY[reading.name].loader
    return loader if isinstance(loader, type) else object


def _check_parts(clip: Clip, reading: Reading, parts: Mapping[str, Part]) -> None:
    """Raise DataError unless all files are of kinds that the set reads, and there is one for each stream it takes."""
    there = {"audio": clip.heard_as, "visual": clip.seen_as}
    taken = f"for a run on {reading.name}, whose network takes {' and '.join(reading.needed)}"
    words = " and ".join(parts[name].words for name in reading.needed if name in parts)
    for stream, kind in there.items():
        if kind and (stream not in parts or kind not in parts[stream].kinds):
            raise DataError(f"{clip.name}: found {_a(kind)}; expected {words}, {taken}")
    for stream in reading.needed:
        if not there.get(stream):
            found = " and ".join(_a(kind) for kind in there.values() if kind)
            more = f"{parts[stream].words} too" if stream in parts else f"the stream {stream}, which no file is read as"
            raise DataError(f"{clip.name}: found {found} alone; expected {more}, {taken}")


def _a(kind: str) -> str:
    """With an article where the word wants one."""
    return kind if kind in ("events", "frames", "spikes") else f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"
