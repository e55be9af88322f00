"""Which array module and which device: probed once, with errors that say what to do."""

import functools
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Array", "BackendError", "array_module", "asnumpy", "parse_device", "to_device"]

Array = Any
"""A `numpy.ndarray` or a `cupy.ndarray`."""


class BackendError(RuntimeError):
    """A device or a set of kernels that was asked for is not there."""


@functools.cache
def _cupy() -> ModuleType:
    """Return the `cupy` module with a usable device, or raise BackendError with the reason."""
    try:
        import cupy
    except ImportError:
        raise BackendError('device "cuda": CuPy is not installed; install it with: pip install -e ".[cuda]"') from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own types, which exist only where CuPy does
        raise BackendError(f'device "cuda": CuPy is installed but the CUDA driver does not answer: {error}') from None
    if count == 0:
        raise BackendError('device "cuda": CuPy is installed but no CUDA device was found')
    return cupy


def array_module(*arrays: Array) -> Any:
    """Return `cupy` if any of `arrays` lives on a GPU, else `numpy`."""
    for x in arrays:
        if type(x).__module__.partition(".")[0] == "cupy":
            return _cupy()
    return np


def asnumpy(x: Array) -> np.ndarray:
    """Return `x` as a NumPy array, copied from the GPU if it lives there."""
    xp = array_module(x)
    return np.asarray(x) if xp is np else xp.asnumpy(x)


def parse_device(device: str) -> tuple[str, int]:
    """Return ("cpu", 0) or ("cuda", index) for `auto`, `cpu`, `cuda` or `cuda:1`.

    `auto` is the first GPU if there is a usable one, else the CPU. Raises ValueError for any other text and
    BackendError if a GPU is asked for and there is none.
    """
    kind, colon, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:<index>, found {device!r}")
    if kind == "auto":
        try:
            _cupy()
        except BackendError:
            return "cpu", 0
        return "cuda", 0
    if kind == "cuda":
        count = _cupy().cuda.runtime.getDeviceCount()
        if int(index or 0) >= count:
            raise BackendError(f"device {device!r}: found {count} CUDA device(s)")
    return kind, int(index or 0)


def to_device(x: Array, device: str) -> Array:
    """Return `x` on `device` (see `parse_device`), without a copy if it is there already."""
    kind, index = parse_device(device)
    if kind == "cpu":
        return asnumpy(x)
    cupy = _cupy()
    with cupy.cuda.Device(index):
        return cupy.asarray(x)
