"""Clips read as the sets of event cameras and silicon cochleas read theirs."""

from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.clips.finding import Clip
from misnet.datasets.clips.reading import Reading
from misnet.datasets.formats.ntidigits import read_labels, read_spikes
from misnet.datasets.registry import REGISTRY
from misnet.datasets.sets.event_cameras import EventClip
from misnet.datasets.sets.event_recordings import DVS_NAME, Recording, read_recording
from misnet.datasets.sets.event_vision import Cifar10Dvs, EventVision
from misnet.datasets.sets.mnist_dvs_ntidigits import MnistDvsNtidigits

__all__ = ["event_digit_streams", "event_streams"]


def event_streams(kind: type[EventVision], clip: Clip, reading: Reading) -> dict[str, np.ndarray]:
    """Return visual, [T, size, size, 2 or 1], of an AEDAT file, as the sets of an event camera alone have it.

    `start` and `stop` are seconds of the camera's clock.
    """
    assert clip.seen is not None
    start, stop = (None if x is None else round(1e6 * x) for x in (reading.start, reading.stop))
    if (start is None) != (stop is None):
        start, stop = start or 0, 1 << 62 if stop is None else stop
    found = EventClip(clip.seen, 0, clip.name, start=start, stop=stop, on_its_side=issubclass(kind, Cifar10Dvs))
    one = type("OneRecording", (kind,), {"find": staticmethod(lambda folder, split: [found])})
    options = {name: reading.option(name) for name in ("slicing", "polarity", "values")}
    data = one("test", data_dir=Path(), timesteps=reading.timesteps, size=reading.side, seed=reading.seed, **options)
    return {"visual": data[0][0]}


def event_digit_streams(kind: type[MnistDvsNtidigits], clip: Clip, reading: Reading) -> dict[str, np.ndarray]:
    """Return audio and visual, [T, size, size, C], of what there is of a clip, as `MnistDvsNtidigits` has them.

    What is seen: N-MNIST (.bin) or MNIST-DVS (.aedat), whose name says the scale unless nothing is cropped. What is
    heard: a recording in the HDF5 file of N-TIDIGITS, looked for in both of its splits.
    """
    if reading.start is not None or reading.stop is not None:
        raise DataError(f"{clip.name}: found --start or --stop; {reading.name} takes recordings whole")
    data, found = _OneRecording(reading), {}
    if clip.heard is not None:
        found["audio"] = data._map(*_spikes(clip.heard, clip.take))
    if clip.seen is not None:
        recording = _recording(clip.seen, reading.option("crop"))
        found["visual"] = data._frames(read_recording(recording), recording.scale)
    return found


def _spikes(path: Path, take: str) -> tuple[np.ndarray, np.ndarray]:
    for split in ("test", "train"):
        if take in read_labels(path, split):
            return read_spikes(path, split, take)
    raise DataError(f"{path}: found no recording {take!r}, expected a name such as {read_labels(path, 'test')[0]!r}")


def _recording(path: Path, crop: bool) -> Recording:
    if path.suffix.lower() == ".bin":
        return Recording(path, 0, 0)
    name = DVS_NAME.fullmatch(path.name)
    if name is None and crop:
        raise DataError(
            f"{path}: expected a name like mnist_{{digit}}_scale{{04,08,16}}_{{number}}.aedat: the scale says what is "
            "cut out around the digit"
        )
    return Recording(path, 0, 1 if name is None else int(name["scale"]))


class _OneRecording(MnistDvsNtidigits):
    """The reading of a set without any of its files."""

    def __init__(self, reading: Reading) -> None:
        self.timesteps, self.size = reading.timesteps, reading.side
        self.options: dict[str, Any] = {name: reading.option(name) for name in REGISTRY[reading.name].options}
