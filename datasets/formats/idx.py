"""IDX files, the format of MNIST: a big-endian header with type and dimensions, then the values."""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import described, read_bytes, refuse_text

__all__ = ["find_idx", "read_idx"]

_UINT8 = 0x08  # the third byte of the magic number: unsigned bytes, the only type MNIST and its kin use
_GZIP_MAGIC = b"\x1f\x8b"
RATIO, SLACK = 64, 1 << 20  # images of digits unpack to seven times their size


def read_idx(path: str | Path, expected_dims: int) -> np.ndarray:
    """Return the array in an IDX file, plain or gzip-compressed as its content (not its name) says.

        bytes 0-3   0, 0, 8 (uint8), number of dimensions
        then        one big-endian uint32 for each dimension
        then        the values, last dimension fastest

    path: if there is no such file, the same name with or without `.gz` is taken.
    Returns uint8 with `expected_dims` dimensions, whose sizes are the header's.
    Raises DataError if both names are missing, and for an empty file, a damaged gzip stream, another magic number, and
    fewer or more bytes than the header announces.
    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", file format.
    """
    path = _existing(Path(path))
    what = f"an IDX file of uint8 with {expected_dims} dimensions"
    data = read_bytes(path, what)
    if data.startswith(_GZIP_MAGIC):
        limit = RATIO * len(data) + SLACK
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(limit + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: the gzip stream is corrupt or cut short ({error}); expected {what}") from error

        if len(data) > limit:
            raise DataError(f"{path}: unpacks to more than {limit} bytes, more than {what} of this size")
    refuse_text(data, path, what)
    magic = bytes((0, 0, _UINT8, expected_dims))
    if data[:4] != magic:
        raise DataError(
            f"{path}: found magic number {int.from_bytes(data[:4], 'big')} ({described(data, 4)}), "
            f"expected {int.from_bytes(magic, 'big')} (bytes {magic.hex(' ')}) for {what}"
        )
    header = 4 + 4 * expected_dims
    if len(data) < header:
        raise DataError(f"{path}: truncated, found {len(data)} bytes, expected a header of {header}")
    shape = struct.unpack(f">{expected_dims}I", data[4:header])
    expected = header + math.prod(shape)
    if len(data) != expected:
        fault = "truncated" if len(data) < expected else "extra bytes at the end"
        raise DataError(f"{path}: {fault}, found {len(data)} bytes, expected {expected} for dimensions {shape}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()


def find_idx(folders: Sequence[Path], name: str) -> Path:
    """Return the first file called `name`, or a usual variant of that name, in the first folder that has one.

    name: as on the MNIST site, "train-images-idx3-ubyte"; also tried: `.idx3` for `-idx3`, and each with `.gz`.
    Raises DataError naming every file name and every folder tried.
    """
    names = [variant + end for variant in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    for folder in folders:
        for candidate in names:
            if (folder / candidate).is_file():
                return folder / candidate
    places = ", ".join(str(folder) for folder in folders)
    raise DataError(f"{name}: no such file; tried {', '.join(names)} in {places}")


def _existing(path: Path) -> Path:
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    for candidate in (path, other):
        if candidate.exists():
            return candidate
    raise DataError(f"{path}: no such file, nor {other}")
