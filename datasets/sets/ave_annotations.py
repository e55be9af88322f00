"""AVE's annotations and official splits: a text file of events, and HDF5 files of line numbers into it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, read_lines, reason, refuse_text
from misnet.datasets.formats.packages import require

__all__ = ["CLASSES", "SECONDS", "Event", "read_annotations", "read_order"]

CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)
SECONDS = 10.0  # of a video
EXPECTED = "lines Category&VideoID&Quality&Start&End"


@dataclass(frozen=True)
class Event:
    """A line of the annotations: what happens in which video, from `start` to `stop` seconds."""

    label: int
    video: str
    start: float
    stop: float


def read_annotations(path: Path) -> list[Event]:
    """Return the events in the lines of a file, a header left out; raises DataError for a line that is none."""
    events = []
    for number, line in enumerate(read_lines(path, EXPECTED), start=1):
        fields = line.strip().split("&")
        if number == 1 and fields[0] == "Category":
            continue
        try:
            category, video, _, start, stop = fields
            event = Event(CLASSES.index(category), video, float(start), float(stop))
        except ValueError:
            raise DataError(f"{path}: found {line[:80]!r} in line {number}, expected {EXPECTED}") from None
        if not 0 <= event.start <= event.stop <= SECONDS or not video:
            raise DataError(f"{path}: found an event from {start} to {stop} s in line {number}, expected 0 to 10")
        events.append(event)
    return events


def read_order(path: Path, lines: int) -> list[int]:
    """Return the line numbers, from 0 to below `lines`, in the data set `order` of an HDF5 file.

    Raises DataError for a file that is damaged, numbers out of range or twice, and if h5py is not installed.
    """
    expected = f"an HDF5 file with a data set 'order' of line numbers below {lines}"
    h5py = require("h5py", f"{path}: reading it", extra="video")
    refuse_text(check_head(path, expected), path, expected)
    try:
        with h5py.File(path, "r") as file:
            link = file.get("order", getlink=True)
            order = file["order"] if isinstance(link, h5py.HardLink) else None  # others lead to another file
            inside = isinstance(order, h5py.Dataset) and not order.external and not order.is_virtual
            if not inside or order.ndim != 1 or order.dtype.kind not in "iu" or not 0 < order.size <= lines:
                raise DataError(f"{path}: found no usable data set 'order', expected {expected}")
            numbers = order[:].astype(np.int64)
    except DataError:
        raise
    except Exception as error:  # h5py raises nearly anything when a file is damaged
        raise DataError(f"{path}: damaged ({reason(error)}); expected {expected}") from error
    if numbers.min() < 0 or numbers.max() >= lines or len(np.unique(numbers)) != len(numbers):
        raise DataError(f"{path}: found line numbers out of range or twice, expected {expected}")
    return numbers.tolist()
