"""cuBLAS as `snncore.kernels.cuda.gemm` calls it, by address, on the buffers of the double."""

import ctypes
import itertools
from typing import Any

import numpy as np

from tests.support.double import ledger

FLOAT32, NO_TF32, TF32, DEFAULT = 0, 68, 77, -1
INVALID_VALUE = 7


class Entry:
    """A function of a library: it takes attributes, as those of ctypes do."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def __call__(self, *args: Any) -> int:
        return self.run(*args)


class Library:
    """Handles with a stream and a workspace, and products of matrices that lie column by column."""

    def __init__(self) -> None:
        self.streams: dict[int, int | None] = {}
        self.spaces: dict[int, int] = {}
        self.numbers = itertools.count(1)
        self.cublasCreate_v2 = Entry(self.create)
        self.cublasSetStream_v2 = Entry(self.set_stream)
        self.cublasSetWorkspace_v2 = Entry(self.set_workspace)
        self.cublasGemmEx = Entry(self.multiply)

    def create(self, handle: Any) -> int:
        """A new handle; it allocates, which nobody may while a stream is recorded."""
        ledger.refuse_capture("creating a handle of cuBLAS")
        handle._obj.value = next(self.numbers)
        return 0

    def set_stream(self, handle: Any, stream: Any) -> int:
        """Choose the stream, which takes the workspace away."""
        self.streams[handle.value] = stream.value or 0
        self.spaces.pop(handle.value, None)
        return 0

    def set_workspace(self, handle: Any, pointer: Any, size: Any) -> int:
        """Give it memory that stays."""
        self.spaces[handle.value] = size.value
        return 0

    def multiply(self, handle: int, ta: int, tb: int, m: int, n: int, k: int, alpha: int, *rest: Any) -> int:
        """C [m, n] = op(A) [m, k] op(B) [k, n], column by column, with alpha 1 and beta 0."""
        a, a_kind, lda, b, b_kind, ldb, beta, c, c_kind, ldc, compute, algorithm = rest
        one, zero = (ctypes.c_float.from_address(x).value for x in (alpha, beta))
        kinds = {a_kind, b_kind, c_kind}
        if (one, zero, kinds, algorithm) != (1, 0, {FLOAT32}, DEFAULT) or compute not in (NO_TF32, TF32):
            return INVALID_VALUE
        if lda < (k if ta else m) or ldb < (n if tb else k) or ldc < m or min(m, n, k) < 1:
            return INVALID_VALUE
        if ledger.capturing is not None and handle not in self.spaces:
            raise RuntimeError("cuBLAS would allocate a workspace while a stream is capturing")

        def run() -> None:
            left = _columns(a, lda, k, m).T if ta else _columns(a, lda, m, k)
            right = _columns(b, ldb, n, k).T if tb else _columns(b, ldb, k, n)
            out = _columns(c, ldc, m, n)
            np.matmul(right.T, left.T, out=out.T)  # as the rows of the caller

        run()
        ledger.operations["matmul"] += 1
        ledger.note(run)
        return 0


def _columns(address: int, ld: int, rows: int, columns: int) -> np.ndarray:
    """The matrix [rows, columns] that lies there column by column, `ld` entries from one to the next."""
    flat = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), (ld * (columns - 1) + rows,))
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (4, 4 * ld))
