"""Products of float32 matrices by cuBLAS, through a handle of our own.

CuPy's own products cannot be recorded into a CUDA graph, and cost the host more. Here the library that CuPy has loaded
is called directly: one handle a device and stream, with a workspace that stays where it is, so that a product may be
recorded, and is the same to the bit whether it was or not. Where the library is not found, CuPy's product runs.
"""

import ctypes
import functools
import os
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, cupy_module

__all__ = ["can_record", "linear_backward_weight", "linear_forward", "matmul"]

WORKSPACE = 32 << 20  # bytes: what cuBLAS takes by itself on a Hopper; on older cards it takes less
PLAIN, TURNED = 0, 1  # of cublasOperation_t
FLOAT32 = 0  # CUDA_R_32F
COMPUTE_FLOAT32, COMPUTE_TF32 = 68, 77  # of cublasComputeType_t
DEFAULT_ALGORITHM = -1
ONE, ZERO = ctypes.c_float(1.0), ctypes.c_float(0.0)
ONE_AT, ZERO_AT = ctypes.addressof(ONE), ctypes.addressof(ZERO)


class Handle:
    """A handle of cuBLAS for one stream, with its workspace. Raises OSError if the library refuses."""

    def __init__(self, library: Any, cupy: Any, stream: int) -> None:
        handle = ctypes.c_void_p()
        _must(library.cublasCreate_v2(ctypes.byref(handle)), "cublasCreate")
        _must(library.cublasSetStream_v2(handle, ctypes.c_void_p(stream)), "cublasSetStream")
        self.workspace = cupy.cuda.memory.alloc(WORKSPACE)  # after the stream, which takes it away again
        _must(
            library.cublasSetWorkspace_v2(handle, ctypes.c_void_p(self.workspace.ptr), ctypes.c_size_t(WORKSPACE)),
            "cublasSetWorkspace",
        )
        self.value = handle.value
        self.compute = COMPUTE_TF32 if os.environ.get("CUPY_TF32", "0") == "1" else COMPUTE_FLOAT32
        self.multiply = library.cublasGemmEx


_handles: dict[tuple[Any, int, int], Handle | None] = {}


def load_library() -> Any:
    """Return the cuBLAS that this process has loaded, as CuPy does at its first product; None if it is not found."""
    try:
        with open("/proc/self/maps") as file:
            paths = sorted({line.split()[-1] for line in file if "/libcublas.so" in line})
    except OSError:  # not Linux
        return None
    major = cupy_module().cuda.runtime.runtimeGetVersion() // 1000
    for path in (*paths, f"libcublas.so.{major}"):
        try:
            return ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)  # never another copy
        except OSError:
            continue
    return None


@functools.cache
def _library(cupy: Any) -> Any:
    library = load_library()
    if library is not None:
        number, pointer = ctypes.c_int, ctypes.c_void_p
        matrix = [pointer, number, number]
        library.cublasGemmEx.argtypes = [
            *(pointer, number, number, number, number, number, pointer),
            *(*matrix, *matrix, pointer, *matrix, number, number),
        ]
    return library


def _must(status: int, what: str) -> None:
    if status:
        raise OSError(f"{what} of cuBLAS returned status {status}")


def _handle(cupy: Any) -> Handle | None:
    stream = cupy.cuda.get_current_stream()
    key = (cupy, cupy.cuda.runtime.getDevice(), stream.ptr)
    if key not in _handles:
        library = _library(cupy)
        try:
            _handles[key] = None if library is None else Handle(library, cupy, stream.ptr)
        except (OSError, AttributeError):  # an old library without one of the calls
            _handles[key] = None
    return _handles[key]


def can_record() -> bool:
    """Whether products on the current stream may be recorded into a CUDA graph."""
    return _handle(cupy_module()) is not None


def _laid_out(x: Array) -> tuple[Array, int, int] | None:
    """Return (matrix, whether cuBLAS must turn it, entries from row to row), or None if it has other strides.

    cuBLAS counts along columns: to it a C-contiguous matrix is its transpose.
    """
    if x.flags.c_contiguous:
        return x, PLAIN, x.shape[1]
    return (x, TURNED, x.shape[0]) if x.flags.f_contiguous else None


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a [m, k] @ b [k, n], written to `out`, C-contiguous, if that is given."""
    xp = array_module(a)
    handle = None
    if a.dtype == b.dtype == np.float32 and a.ndim == b.ndim == 2 and a.size and b.size:
        handle = _handle(xp)
    if handle is None or (out is not None and not out.flags.c_contiguous):
        return xp.matmul(a, b) if out is None else xp.matmul(a, b, out=out)
    (m, k), n = a.shape, b.shape[1]
    if out is None:
        out = xp.empty((m, n), np.float32)
    left = _laid_out(a) or (xp.ascontiguousarray(a), PLAIN, k)
    right = _laid_out(b) or (xp.ascontiguousarray(b), PLAIN, n)
    # out^T = b^T a^T, which is what lies in memory to one who counts along columns
    status = handle.multiply(
        *(handle.value, right[1], left[1], n, m, k, ONE_AT),
        *(right[0].data.ptr, FLOAT32, right[2], left[0].data.ptr, FLOAT32, left[2]),
        *(ZERO_AT, out.data.ptr, FLOAT32, n, handle.compute, DEFAULT_ALGORITHM),
    )
    _must(status, "cublasGemmEx")
    return out


def linear_forward(x: Array, w: Array) -> Array:
    """As `reference.linear_forward`: one product for all rows."""
    x = x.astype(w.dtype, copy=False)
    return matmul(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[1])


def linear_backward_weight(x: Array, gy: Array) -> Array:
    """As `reference.linear_backward_weight`."""
    x = x.reshape(-1, x.shape[-1]).astype(gy.dtype, copy=False)
    return matmul(x.T, gy.reshape(-1, gy.shape[-1]))
