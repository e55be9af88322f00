"""N-TIDIGITS: spoken digits as the spikes of a 64-channel silicon cochlea, in one HDF5 file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, reason, refuse_text
from misnet.datasets.formats.packages import require

__all__ = ["CHANNELS", "DIGITS", "read_labels", "read_spikes"]

CHANNELS = 64
DIGITS = {"z": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9}
_MAGIC = b"\x89HDF\r\n\x1a\n"
LONGEST = 600.0  # seconds; sequences of seven digits last some seconds
# What h5py raises for a file that is damaged, by where the damage is.
_FAULTS = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, AttributeError, MemoryError)


def read_labels(path: str | Path, split: str) -> list[str]:
    """Return the names of all recordings of a split ("train" or "test"), such as `woman-ae-a-3`, in the file's order.

    A name says gender, speaker, take and the digits spoken: `z` is "zero", `o` is "oh".
    Raises MissingPackage without h5py; DataError if the file is missing or damaged, has no `<split>_labels`, or a name
    is not of that form.
    Source: J. Anumula et al., "Feature representations for neuromorphic audio spike streams", 2018.
    """
    key = f"{split}_labels"
    with _opened(path, key) as file:
        labels = _array(file[key], path, key)
        if labels.ndim != 1:
            raise DataError(f"{path}: found {key} of shape {labels.shape}, expected a list of names")
        names = [x.decode("ascii") if isinstance(x, bytes) else str(x) for x in labels.tolist()]
    for name in names:
        parts = name.split("-")
        if len(parts) < 2 or not parts[-1] or set(parts[-1]) - set("zo123456789"):
            raise DataError(f"{path}: found {name!r} among {key}, expected names such as 'woman-ae-a-3'")
    return names


def read_spikes(path: str | Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return when and where the cochlea spiked in one recording.

    Returns `(t, channel)`: int64 [n] in microseconds and in the order of time, and uint8 [n] from 0 to 63, in the
    sensor's order of channels.
    Raises DataError if the recording is missing or damaged, is empty, or has times or channels that cannot be.
    """
    keys = f"{split}_addresses/{name}", f"{split}_timestamps/{name}"
    with _opened(path, keys[0]) as file:
        channel, seconds = [_array(file[key], path, key) for key in keys]
    if channel.ndim != 1 or channel.shape != seconds.shape or not len(channel):
        raise DataError(
            f"{path}: {name}: found addresses of shape {channel.shape} and timestamps of shape {seconds.shape}, "
            "expected one of each for every spike, and at least one"
        )
    if channel.dtype.kind not in "iuf" or seconds.dtype.kind not in "iuf":
        raise DataError(f"{path}: {name}: found {channel.dtype} and {seconds.dtype}, expected numbers")
    if not (channel.min() >= 0 and channel.max() < CHANNELS):  # also false for NaN
        raise DataError(
            f"{path}: {name}: found channels from {channel.min()} to {channel.max()}, expected 0 to {CHANNELS - 1}"
        )
    if not (seconds.min() >= 0 and seconds.max() < LONGEST):
        raise DataError(
            f"{path}: {name}: found times from {seconds.min()} to {seconds.max()} s, expected 0 to {LONGEST}"
        )
    whole = channel.astype(np.uint8)
    if (whole != channel).any():
        raise DataError(f"{path}: {name}: found channels that are no whole numbers")
    t = seconds * np.float64(1e6)
    del seconds
    t = np.rint(t, out=t).astype(np.int64)
    if (t[1:] < t[:-1]).any():
        order = np.argsort(t, kind="stable")
        t, whole = t[order], whole[order]
    return t, whole


@contextmanager
def _opened(path: str | Path, wanted: str) -> Iterator[Any]:
    h5py = require("h5py", f"{path}: reading HDF5")
    expected = "the HDF5 file of N-TIDIGITS"
    head = check_head(path, expected)
    refuse_text(head, path, expected)
    start = head[: len(_MAGIC)]
    if start != _MAGIC:
        raise DataError(f"{path}: found bytes {start.hex(' ')} at the start, expected {expected}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _FAULTS as error:
        raise DataError(f"{path}: cannot read {wanted} ({reason(error)}); expected {expected}, whole") from error


def _array(dataset: Any, path: str | Path, key: str) -> np.ndarray:
    """The content of an HDF5 data set; what it declares cannot be much larger than the file."""
    if not hasattr(dataset, "shape") or dataset.shape is None:
        raise DataError(f"{path}: found a group or nothing under {key}, expected an array")
    declared, there = dataset.size * dataset.dtype.itemsize, Path(path).stat().st_size
    if declared > there:  # compression does not reach this far: a recording is a thousandth of the file
        raise DataError(f"{path}: {key} declares {declared} bytes, more than the file's {there}")
    return dataset[()]
