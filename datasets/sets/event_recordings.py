"""Where the recordings of MNIST-DVS, N-MNIST and N-TIDIGITS lie in a folder, and which split each belongs to."""

import re
from pathlib import Path
from typing import NamedTuple

from misnet.datasets.base import DataError
from misnet.datasets.formats.event_files import read_aedat, read_nmnist
from misnet.datasets.formats.files import is_hidden
from misnet.datasets.media.events import Events

__all__ = ["NEEDS", "Recording", "find_recordings", "find_spoken", "read_recording"]

NEEDS = """\
n-tidigits.hdf5:
    the cochlea's spikes, from the N-TIDIGITS18 page of the Institute of Neuroinformatics, Zurich
and one of
mnist-dvs/**/mnist_{digit}_scale{04,08,16}_{number}.aedat:
    MNIST-DVS (grabbed_data0.zip to grabbed_data9.zip, unpacked), from the page of IMSE-CNM, Sevilla
n-mnist/Train/{digit}/{number}.bin, n-mnist/Test/{digit}/{number}.bin:
    N-MNIST, from the page of G. Orchard"""

DVS_FOLDERS = ("mnist-dvs", "MNIST-DVS", "mnist_dvs", "MNIST_DVS", ".")
NMNIST_FOLDERS = ("n-mnist", "N-MNIST", "nmnist", "NMNIST", ".")
SPOKEN = ("n-tidigits.hdf5", "n-tidigits/n-tidigits.hdf5", "N-TIDIGITS/n-tidigits.hdf5", "ntidigits/n-tidigits.hdf5")
DVS_NAME = re.compile(
    r"mnist_(?P<digit>[0-9])_scale(?P<scale>04|08|16)_(?P<number>[0-9]+)(_qt[0-9])?\.aedat", re.IGNORECASE
)
TEST_EVERY = 10  # MNIST-DVS has no split of its own: of every digit, recordings 10, 20, 30, ... are for testing


class Recording(NamedTuple):
    """A visual recording: its file, its digit, and the scale it was shown at (0 for N-MNIST)."""

    path: Path
    digit: int
    scale: int


def read_recording(recording: Recording) -> Events:
    """Return the events of a recording; raises DataError as its reader does, and for a file without events."""
    events = read_aedat(recording.path) if recording.scale else read_nmnist(recording.path)
    if not len(events):
        raise DataError(f"{recording.path}: found no events, expected a recording of a digit")
    return events


def find_spoken(data_dir: Path) -> Path:
    """Return the path of the HDF5 file of N-TIDIGITS; raises DataError with the places tried."""
    for name in SPOKEN:
        if (data_dir / name).is_file():
            return data_dir / name
    raise DataError(f"{SPOKEN[0]}: no such file; tried {', '.join(SPOKEN)} in {data_dir}")


def find_recordings(data_dir: Path, split: str, sensor: str, scale: str) -> list[Recording]:
    """Return the visual recordings of a split, sorted by path.

    sensor: "mnist-dvs", "n-mnist", or "auto" for the first of them that is there. scale: of MNIST-DVS, or "all".
    Raises DataError if there is none, and for an .aedat file whose name does not say its digit.
    """
    found = _find_dvs(data_dir, split, scale) if sensor in ("auto", "mnist-dvs") else []
    if not found and sensor in ("auto", "n-mnist"):
        found = _find_nmnist(data_dir, split)
    if not found:
        raise DataError(
            f"{data_dir}: found no visual recording of the {split} split (sensor={sensor!r}, scale={scale!r}); "
            f"expected\n{NEEDS}"
        )
    return found


def _find_dvs(data_dir: Path, split: str, scale: str) -> list[Recording]:
    for folder in DVS_FOLDERS:
        root = data_dir / folder
        paths = sorted(path for path in root.rglob("mnist_*.aedat") if not is_hidden(path, root))
        if not paths:
            continue
        names = [DVS_NAME.fullmatch(path.name) for path in paths]
        for path, name in zip(paths, names, strict=True):
            if name is None:
                raise DataError(f"{path}: expected a name like mnist_{{digit}}_scale{{04,08,16}}_{{number}}.aedat")
        return [
            Recording(path, int(name["digit"]), int(name["scale"]))
            for path, name in zip(paths, names, strict=True)
            if (int(name["number"]) % TEST_EVERY == 0) == (split == "test") and scale in ("all", name["scale"])
        ]
    return []


def _find_nmnist(data_dir: Path, split: str) -> list[Recording]:
    for folder in NMNIST_FOLDERS:
        root = data_dir / folder / split.capitalize()
        paths = sorted(path for path in root.glob("[0-9]/*.bin") if not is_hidden(path, root))
        found = [Recording(path, int(path.parent.name), 0) for path in paths]
        if found:
            return found
    return []
