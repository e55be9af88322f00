"""The arrays of recorded spikes: an .npz file, read one at a time, in whatever order of axes."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.layers_row import Row, TableError, Values

__all__ = ["LAYOUTS", "Recordings", "is_layout"]

AXES = {"conv": "TNHWC", "matmul": "TNGLC"}
"""Axes of an input as the engine has them: G heads, L rows or tokens; of other kinds by the size of the row."""

LAYOUTS = "axes such as TNHWC, TNCHW or TNF, each once"


def is_layout(text: str) -> bool:
    """Whether a text is an order of axes, or empty."""
    axes = text.upper()
    return not set(axes) - set("TNHWCFLG") and len({*axes}) == len(axes) and "T" in (axes or "T")


class Recordings:
    """The arrays of an .npz file, read one at a time.

    layout: axes of those whose row names none, such as TNCHW; "" for the engine's own order. Letters: T timesteps, N
    samples, H height, W width, C channels or features (also F), L tokens or rows, G heads; without N for one sample.
    Raises TableError if the file is no .npz, or names an array twice.
    """

    def __init__(self, path: Path, layout: str = "") -> None:
        self.path, self.layout = path, layout.upper()
        if not is_layout(layout):
            raise TableError(f"--layout: expected {LAYOUTS}, found {layout!r}")
        self.known: tuple[str, np.ndarray] | None = None  # the last that was read
        try:
            with zipfile.ZipFile(path) as file:
                self.names = [name.removesuffix(".npy") for name in file.namelist()]
        except zipfile.BadZipFile as error:
            raise TableError(f"{path}: expected a file of numpy.savez, found none ({error})") from None

    def read(self, name: str) -> np.ndarray:
        """Return one array; that which was read before is let go."""
        if self.known is None or self.known[0] != name:
            self.known = None
            try:
                with np.load(self.path, allow_pickle=False) as file:
                    self.known = name, file[name]
            except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
                raise TableError(
                    f"{self.path}, array {name}: expected numbers of numpy.savez, found: {error}"
                ) from None
        return self.known[1]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one array from its heading alone."""
        try:
            with zipfile.ZipFile(self.path) as file, file.open(f"{name}.npy") as member:
                old = np.lib.format.read_magic(member) == (1, 0)
                read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
                return read(member)[0]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise TableError(f"{self.path}, array {name}: expected numbers of numpy.savez, found: {error}") from None

    def axes(self, row: Row, name: str) -> str:
        """Return the axes of an array, one letter each, as the row or the option tells; ? for one that is flattened."""
        shape, own = self.shape(name), axes_of(row)
        told = row.layout or self.layout
        letters = [sorted(own), sorted("TNHWC") if row.kind == "linear" else sorted(own)]
        if told:
            told = told.replace("F", "C")
            fits = len(shape) in (len(told), len(told) - ("N" in told)) and sorted({*told, "N"}) in letters
            if not fits and row.layout:
                raise self.fail(row, name, f"axes {row.layout}, an order of {own}", f"an array of shape {shape}")
            told = told if fits else ""  # the option is for arrays with the axes that it names
        told = told or own
        if len(shape) == len(told) - 1:
            told = told.replace("N", "")
        if len(shape) == len(told):
            return told
        if row.kind == "linear" and len(shape) > 2:  # [T, N, ...], or [T, ...] if that alone has so many features
            alone = math.prod(shape[1:]) == row.channels[0] != math.prod(shape[2:])
            return ("T" if alone else "TN") + "?" * (len(shape) - 2 + alone)
        raise self.fail(row, name, f"axes {own}", f"an array of shape {shape}")

    def fail(self, row: Row, name: str, expected: str, found: Any) -> TableError:
        """Return the error for an array that does not fit a row."""
        return TableError(
            f"{self.path}, array {name}, for {row.name} (line {row.line}): expected {expected}, found {found}"
        )

    def cells(self, row: Row, name: str) -> tuple[int, int]:
        """Return the timesteps and samples of an array, from its heading."""
        axes, shape = self.axes(row, name), self.shape(name)
        return shape[axes.index("T")], shape[axes.index("N")] if "N" in axes else 1

    def array(self, row: Row, name: str, shape: tuple[int, ...], values: Values | None) -> np.ndarray:
        """Return an array as [T, N, ...] of `shape`: integers of at least 0, or floats if the values are analog.

        Raises TableError for another shape, or for values that are not what the table says.
        """
        axes = self.axes(row, name)
        x = self.read(name)
        if "N" not in axes:
            x, axes = (x[:, None], axes) if "?" in axes else (x[None], "N" + axes)
        if "?" not in axes:
            order = axes_of(row) if sorted(axes_of(row)) == sorted(axes) else "TNHWC"
            x = x.transpose([axes.index(letter) for letter in order])
        if row.kind == "linear" and x.shape[:2] == shape[:2] and x.size == math.prod(shape):
            x = x.reshape(shape)  # flattened: each event reaches every output, in whatever order
        if x.shape != shape:
            stored = f"{x.shape} (stored as {axes} {self.shape(name)})"
            raise self.fail(row, name, f"{axes_of(row)} {shape}", stored)
        return self.integers(row, name, np.ascontiguousarray(x), values)

    def integers(self, row: Row, name: str, x: np.ndarray, values: Values | None) -> np.ndarray:
        if x.dtype.kind not in "buif":
            raise self.fail(row, name, "numbers", f"type {x.dtype}")
        if values is not None and not values.events:
            for part in x:
                if not np.isfinite(part).all():
                    raise self.fail(row, name, "finite numbers", f"{part[~np.isfinite(part)][0]}")
            return x.astype(np.float32, copy=False)
        if x.dtype.kind == "b":
            return x.view(np.uint8)
        top = 255 if values is None else values.top
        for part in x:  # a timestep at a time: the checks need memory of the size of what they check
            wrong = part[(part < 0) | (part > top) | (part != np.rint(part))] if part.size else part
            if wrong.size:
                says = "0 to 255 (or values: analog)" if values is None else f"0 to {top} ({values.kind})"
                raise self.fail(row, name, f"whole numbers of {says}", f"{wrong.ravel()[0]:g}")
        return x.astype(np.uint8, copy=False)


def axes_of(row: Row) -> str:
    if row.kind == "matmul":
        return AXES["matmul"]
    return "TN" + {0: "", 1: "L", 2: "HW"}[len(row.size)] + "C"
