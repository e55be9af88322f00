"""Checkpoints: named arrays and a little metadata in one safetensors file, whole or not there at all."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from snncore import backend
from snncore.backend import Array
from snncore.files import replace_file
from snncore.nearest import nearest_path

__all__ = ["FORMAT_VERSION", "CheckpointError", "check_tensors", "load_checkpoint", "save_checkpoint"]

FORMAT_VERSION = 1
"""Raise it when a file written from then on cannot be read by the code before."""

_KEY = "snncore"


class CheckpointError(Exception):
    """A checkpoint that cannot be written, read, or used for this model."""


def save_checkpoint(
    path: str | os.PathLike, tensors: Mapping[str, Array], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write arrays and metadata to a file so that at every moment the old file or the new one is there, whole.

    tensors: arrays by name, on any device, of booleans, integers or floats up to 64 bits; every bit is kept.
    metadata: what JSON holds (dict with str keys, list, str, number, bool, None; a tuple comes back as a list); nothing
    by default.
    The safetensors metadata key `snncore` holds one JSON object: `format_version`; `sha256` over names, types,
    shapes, bytes and metadata; `metadata`.
    Raises CheckpointError, with the earlier file as it was, for a NaN or infinite value (a run that has diverged
    must not replace its last good checkpoint), or if the file cannot be written; TypeError for an array or
    metadata of another type; ValueError for a name that safetensors reserves.
    """
    path = Path(path)
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors: expected arrays by name, as state_dict() gives, found a {type(tensors).__name__}")
    arrays = {name: _storable(name, x) for name, x in tensors.items()}
    _check_finite(arrays, f"checkpoint {path}: not written")
    try:
        stored = json.loads(json.dumps(dict(metadata or {})))  # as it will be read, so that both sides digest the same
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata: expected what JSON can hold: {error}") from None
    header = {"format_version": FORMAT_VERSION, "sha256": _digest(arrays, stored), "metadata": stored}
    try:
        replace_file(path, *_file(arrays, {_KEY: json.dumps(header)}))
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(
            f"checkpoint {path}: cannot be written to folder {path.parent}: {reason}; any earlier file is intact"
        ) from error


def load_checkpoint(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays, bit for bit and writable, and the metadata that `save_checkpoint` wrote.

    Raises CheckpointError if the file is missing, empty, truncated or changed in any byte that matters, if it is
    not of this format or of a newer version of it, or if a value is NaN or infinite.
    """
    what = f"checkpoint {Path(path)}"
    try:
        status = os.stat(path)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # opening a pipe waits for ever
            raise CheckpointError(f"{what}: expected a file, found a pipe, a socket or a device")
        size = status.st_size
        with open(path, "rb"):  # a folder or a forbidden file says so here, in the words of the system
            pass
    except FileNotFoundError:
        raise CheckpointError(f"{what}: no such file{nearest_path(path)}") from None
    except OSError as error:
        raise CheckpointError(f"{what}: cannot be opened: {error.strerror or error}") from None
    if size == 0:
        raise CheckpointError(f"{what}: expected a safetensors file, found an empty file")
    try:
        with safetensors.safe_open(os.fspath(path), framework="np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except Exception as error:  # which types a damaged file raises differs between versions of safetensors
        raise CheckpointError(
            f"{what}: expected a safetensors file, found {size} bytes that are not one, or a truncated one: {error}"
        ) from None
    if _KEY not in header:
        raise CheckpointError(
            f"{what}: expected the metadata key {_KEY!r}, found {sorted(header) or 'no metadata'}: "
            "a safetensors file, but not one written by snncore"
        )
    try:
        content = json.loads(header[_KEY])
        version, sha256, metadata = content["format_version"], content.get("sha256"), content.get("metadata")
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"format_version: expected an integer >= 1, found {version!r}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{what}: corrupt: its metadata cannot be read: {error!r}") from None
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{what}: expected format version {FORMAT_VERSION} or older, found {version}: use a newer snncore"
        )
    try:
        whole = isinstance(metadata, dict) and sha256 == _digest(arrays, metadata)
    except RecursionError:  # nested deeper than anything that was written
        whole = False
    if not whole:
        raise CheckpointError(f"{what}: corrupt: the SHA-256 of its content is not the one that was stored")
    _check_finite(arrays, what)
    return arrays, metadata


def check_tensors(found: Mapping[str, Array], expected: Mapping[str, Array], what: str) -> None:
    """Raise CheckpointError, listing the differences, unless both hold the same names, shapes and dtypes.

    found: arrays that were loaded. expected: arrays of the model that is to take them. what: what the message
    calls them, such as the file or the model.
    """
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{what}: expected arrays by name, found a {type(found).__name__}")
    common = [name for name in expected if name in found]
    for name in common:
        if not hasattr(found[name], "dtype") or np.ma.is_masked(found[name]):
            kind = type(found[name]).__name__
            raise CheckpointError(f"{what}: {name}: expected an array without a mask, found a {kind}")
    wrong_shapes = [n for n in common if tuple(found[n].shape) != tuple(expected[n].shape)]
    wrong_dtypes = [n for n in common if found[n].dtype != expected[n].dtype]
    problems = [
        _some("missing", (n for n in expected if n not in found)),
        _some("unexpected", (n for n in found if n not in expected)),
        _some("wrong shape", (f"{n} (expected {expected[n].shape}, found {found[n].shape})" for n in wrong_shapes)),
        _some("wrong dtype", (f"{n} (expected {expected[n].dtype}, found {found[n].dtype})" for n in wrong_dtypes)),
    ]
    if any(problems):
        raise CheckpointError(f"{what}: checkpoint of another architecture: {'; '.join(filter(None, problems))}")


def _some(kind: str, items: Iterable[str], limit: int = 5) -> str:
    """Return the number of items and the first few, or nothing if there are none."""
    items = list(items)
    more = ", ..." if len(items) > limit else ""
    return f"{len(items)} {kind}: {', '.join(items[:limit])}{more}" if items else ""


def _storable(name: str, x: Array) -> np.ndarray:
    """Return x as a C-contiguous NumPy array in the byte order of this machine."""
    if name == "__metadata__":
        raise ValueError(f"tensors: the name {name!r} is reserved by the safetensors format")
    if backend.array_module(x) is np and not isinstance(x, (np.ndarray, np.generic)):
        raise TypeError(f"tensors: {name!r}: expected an array, found {type(x).__name__}")
    if np.ma.is_masked(x):
        raise TypeError(f"tensors: {name!r}: expected an array without a mask; say what is masked with .filled(value)")
    x = np.asarray(x) if isinstance(x, np.generic) else backend.asnumpy(x)
    if x.dtype.kind not in "buif" or x.dtype.itemsize > 8:  # bool, unsigned, int, float
        raise TypeError(f"tensors: {name!r}: expected booleans, integers or floats, found {x.dtype}")
    # not np.ascontiguousarray, which turns shape () into (1,)
    return np.asarray(x, dtype=x.dtype.newbyteorder("="), order="C")


def _file(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """Yield a safetensors file piece by piece, so that it is never in memory beside the arrays.

        length of the header (8 bytes, little-endian), header (JSON, blanks to a multiple of 8), bytes of the arrays

    Wide types come first, so that every array is aligned. (`safetensors.numpy.save` copies everything twice.)
    """
    layout: dict[str, Any] = {"__metadata__": metadata}
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    at = 0
    for name in ordered:
        x = arrays[name]
        kind = "BOOL" if x.dtype.kind == "b" else f"{x.dtype.kind.upper()}{8 * x.itemsize}"
        layout[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(layout, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in ordered:
        x = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        yield x.reshape(-1).view(np.uint8).data


def _check_finite(arrays: Mapping[str, np.ndarray], what: str) -> None:
    bad = {n: x.size - int(np.isfinite(x).sum()) for n, x in arrays.items() if x.dtype.kind == "f"}
    listed = _some(
        "tensor(s) with NaN or infinite values", (f"{n} ({k} of {arrays[n].size})" for n, k in bad.items() if k)
    )
    if listed:
        raise CheckpointError(f"{what}: expected finite values, found {listed}")


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything stored: a flipped bit in a safetensors file goes unnoticed otherwise."""
    names = sorted(arrays)
    layout = [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([layout, metadata], sort_keys=True).encode())
    for name in names:
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
