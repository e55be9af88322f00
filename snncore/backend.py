"""Which array module and which device: probed once, with errors that say what to do."""

import ctypes
import functools
import os
import re
from importlib import metadata
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "BackendError",
    "array_module",
    "asnumpy",
    "cupy_module",
    "memory_message",
    "parse_device",
    "to_device",
    "use_device",
]

Array = Any
"""A `numpy.ndarray` or a `cupy.ndarray`."""

EXTRAS = {12: "cuda12", 13: "cuda13"}
"""Of this project, by the version of CUDA that CuPy is built for."""

NO_DRIVER, NO_DEVICE = 35, 100  # of cudaError_t


class BackendError(RuntimeError):
    """A device or a set of kernels that was asked for is not there."""


@functools.cache
def cupy_module() -> Any:
    """Return the `cupy` module, with a driver and a device, or raise BackendError with the reason in one sentence."""
    try:
        import cupy
    except ImportError as error:
        missing = getattr(error, "name", None) == "cupy"
        what = "CuPy is not installed" if missing else f"CuPy cannot be imported ({_first_line(error)})"
        raise BackendError(f'device "cuda": {what}; {_install(broken=not missing)}') from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own types, which exist only where CuPy does
        raise BackendError(f'device "cuda": {_no_device(error)}') from None
    if count == 0:
        raise BackendError('device "cuda": CuPy is installed but no CUDA device was found')
    return cupy


@functools.cache
def _try_device(cupy: Any, index: int) -> None:
    """Compute a product and a sum of 2 x 2 numbers on a device, once; raises BackendError if that fails.

    cuBLAS and the compiler are looked for only when they are first used. No other device is touched.
    """
    try:
        with cupy.cuda.Device(index):
            a = cupy.ones((2, 2), np.float64)  # not float32: the first product of those decides on TF32
            result = float((a @ a + 1).sum())
    except Exception as error:  # ImportError, RuntimeError or CuPy's own
        what = f"there is a device, but a library of CUDA is missing or fails ({_first_line(error)})"
        raise BackendError(f'device "cuda": {what}; {_install(broken=True)}') from None
    if result != 12:
        raise BackendError(f'device "cuda": there is a device, but it computes wrongly: 12 came out as {result}')


def _install(broken: bool) -> str:
    """How to install CuPy: for the CUDA of the one that is here but broken, else for that of the driver."""
    here = [version for version in EXTRAS if broken and _is_installed(f"cupy-cuda{version}x")]
    driver = driver_version() // 1000
    known = here or [version for version in EXTRAS if version <= driver]
    return f'install it with: pip install -e ".[{EXTRAS[known[-1]] if known else "cuda"}]"'


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def driver_version() -> int:
    """Return the newest CUDA that the driver runs, such as 13000; 0 without a driver. CuPy is not needed."""
    version = ctypes.c_int(0)
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value


def _no_device(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status == NO_DRIVER:
        return "CuPy is installed but there is no NVIDIA driver, or one too old for it; install NVIDIA's current driver"
    if status == NO_DEVICE:
        return "CuPy is installed but the driver finds no NVIDIA GPU"
    return f"CuPy is installed but the CUDA driver does not answer: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def array_module(*arrays: Array) -> Any:
    """Return `cupy` if any of `arrays` lives on a GPU, else `numpy`."""
    for x in arrays:
        if type(x).__module__.partition(".")[0] == "cupy":
            return cupy_module()
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
    kind, colon, index = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:<index>, found {device!r}")
    if kind == "auto":
        try:
            _try_device(cupy_module(), 0)
        except BackendError:
            return "cpu", 0
        return "cuda", 0
    if kind == "cuda":
        cupy = cupy_module()
        count = cupy.cuda.runtime.getDeviceCount()
        if int(index or 0) >= count:
            raise BackendError(f"device {device!r}: found {count} CUDA device(s)")
        _try_device(cupy, int(index or 0))
    return kind, int(index or 0)


def use_device(device: str, memory_limit: float | None = None, tf32: bool = False) -> str:
    """Make a device the current one and return its canonical name, `cpu` or `cuda:<index>`.

    memory_limit: GiB that arrays on a GPU may take together; None for all there is. tf32: let cuBLAS round the factors
    of float32 products to 10 bits of mantissa, which is faster; off unless asked, whatever CUPY_TF32 says.
    Raises ValueError and BackendError as `parse_device`, and ValueError for a limit that is not positive.
    """
    if memory_limit is not None and not memory_limit > 0:
        raise ValueError(f"memory-limit: expected a positive number of GiB, found {memory_limit:g}")
    os.environ["CUPY_TF32"] = "1" if tf32 else "0"  # read by CuPy at the first product
    kind, index = parse_device(device)
    if kind == "cpu":
        return "cpu"
    cupy = cupy_module()
    cupy.cuda.Device(index).use()
    if memory_limit is not None:
        cupy.get_default_memory_pool().set_limit(size=int(memory_limit * 2**30))
    return f"cuda:{index}"


def to_device(x: Array, device: str) -> Array:
    """Return `x` on `device` (see `parse_device`), without a copy if it is there already."""
    kind, index = parse_device(device)
    if kind == "cpu":
        return asnumpy(x)
    cupy = cupy_module()
    with cupy.cuda.Device(index):
        return cupy.asarray(x)


def memory_message(error: MemoryError) -> str:
    """Return, in one sentence, what was asked for when memory ran out and what to lower."""
    lower = "lower --batch-size, --size or --timesteps"
    numbers = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) bytes", str(error))]
    if not type(error).__module__.startswith("cupy") or len(numbers) < 2:
        return f"out of memory: {_first_line(error)}; {lower}"
    asked, taken = (f"{n / 2**20:,.0f} MiB" for n in numbers[:2])
    limit = f" of a limit of {numbers[2] / 2**20:,.0f} MiB" if len(numbers) > 2 else ""
    more = ", or raise --memory-limit" if limit else ""
    return f"out of GPU memory: {asked} were asked for with {taken}{limit} in use; {lower}{more}"
