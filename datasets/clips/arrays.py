"""Clips that are arrays already: an .npz file with one for each stream of a network."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import check_head, described, reason

__all__ = ["read_arrays"]

EXPECTED = "an .npz file that numpy.savez wrote"
ZIP = b"PK"
# What NumPy and zipfile raise for a file that is damaged, by where the damage is.
FAULTS = (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, MemoryError, OverflowError) + (
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: Path, needed: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file that are called as the streams of `needed`, as the network takes them.

    Floats become float32, unsigned integers stay: counts of events. Raises DataError for a file that is no .npz, one
    that lacks a stream, another shape than that of the stream, and values that are not finite.
    """
    head = check_head(path, EXPECTED)
    if not head.startswith(ZIP):
        raise DataError(f"{path}: found bytes starting with {described(head)}, expected {EXPECTED}")
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = list(file.files)
            found = {name: file[name] for name in needed if name in names}
    except FAULTS as error:
        raise DataError(f"{path}: cannot be read ({reason(error)}); expected {EXPECTED}") from None
    for name, shape in needed.items():
        if name not in found:
            raise DataError(f"{path}: found {', '.join(names) or 'no array'}, expected {name} too, of shape {shape}")
        x = found[name]
        if x.shape != tuple(shape) or x.dtype.kind not in "fuib":
            raise DataError(f"{path}: {name}: found {x.dtype} of shape {x.shape}, expected numbers of shape {shape}")
        if not np.isfinite(x).all():
            raise DataError(f"{path}: {name}: found values that are NaN or infinite, expected none")
        found[name] = np.ascontiguousarray(x if x.dtype.kind == "u" else x.astype(np.float32))
    return found
