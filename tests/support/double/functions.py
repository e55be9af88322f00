"""The functions of the `cupy` module: those that make and move arrays, and every other that NumPy has too."""

import functools
from typing import Any

import numpy as np

from tests.support.double import ledger
from tests.support.double.array import inner, is_new, ndarray, outer, redone
from tests.support.double.truth import check_call, real

WAITS = {"nonzero", "flatnonzero", "argwhere", "unique", "bincount", "extract", "array_equal", "allclose"}
JOINED_ONE_BY_ONE = 8  # CuPy joins more small arrays by one kernel, and copies a table of their addresses to the device


def array(obj: Any, dtype: Any = None, copy: bool = True) -> ndarray:
    """A new array: on the device already, or copied from the host."""
    if isinstance(obj, ndarray):
        source = obj.buffer
        ledger.operations["copy"] += 1
    else:
        source = np.asarray(obj)
        ledger.event("h2d")
    r = empty(source.shape, source.dtype if dtype is None else dtype)
    return _filled(r, source)


def _filled(r: ndarray, source: Any) -> ndarray:
    r.buffer[...] = source
    ledger.note(functools.partial(np.copyto, r.buffer, source, casting="unsafe"))
    return r


def asarray(a: Any, dtype: Any = None) -> ndarray:
    """The array itself where nothing changes."""
    return a if isinstance(a, ndarray) and dtype in (None, a.dtype) else array(a, dtype)


def ascontiguousarray(a: ndarray, dtype: Any = None) -> ndarray:
    """The array itself if it is C-contiguous and has axes."""
    same = isinstance(a, ndarray) and a.flags.c_contiguous and dtype in (None, a.dtype) and a.ndim
    return a if same else array(a if a.ndim else a.reshape(1), dtype)


def asnumpy(a: Any) -> np.ndarray:
    """A copy on the host."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def empty(shape: Any, dtype: Any = float) -> ndarray:
    """Poisoned memory."""
    return ndarray(ledger.allocate(shape, dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> ndarray:
    """A number travels as an argument of the kernel, not by a copy."""
    value = inner(fill_value)
    ledger.operations["fill"] += 1
    r = empty(shape, np.asarray(value).dtype if dtype is None else dtype)
    return _filled(r, value)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    """Zeros."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = float) -> ndarray:
    """Ones."""
    return full(shape, 1, dtype)


def empty_like(a: ndarray, dtype: Any = None) -> ndarray:
    """Poisoned memory of the shape of a."""
    return empty(a.shape, a.dtype if dtype is None else dtype)


def zeros_like(a: ndarray, dtype: Any = None) -> ndarray:
    """Zeros of the shape of a."""
    return zeros(a.shape, a.dtype if dtype is None else dtype)


def ones_like(a: ndarray, dtype: Any = None) -> ndarray:
    """Ones of the shape of a."""
    return ones(a.shape, a.dtype if dtype is None else dtype)


def _from_numpy(name: str) -> Any:
    def make(*args: Any, **keywords: Any) -> ndarray:
        check_call(name, args, keywords)
        ledger.operations[name] += 1
        made = getattr(np, name)(*args, **keywords)
        r = empty(made.shape, made.dtype)
        return _filled(r, made)

    return make


arange, eye = _from_numpy("arange"), _from_numpy("eye")


def shared_function(name: str) -> Any:
    """NumPy's function `name` on device arrays, if CuPy has it; its keywords are checked against CuPy's."""
    f = getattr(np, name)
    if real is not None and not hasattr(real, name):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    if isinstance(f, type) or not callable(f):
        return f  # types, constants

    @functools.wraps(f, updated=())
    def call(*args: Any, **keywords: Any) -> Any:
        check_call(name, args, keywords)
        if isinstance(f, np.ufunc) and any(isinstance(a, list | tuple) for a in args):
            raise TypeError(f"{name}: lists are not arrays here")
        if name in WAITS:
            ledger.event("sync")
        if name in ("concatenate", "stack") and len(args[0]) > JOINED_ONE_BY_ONE:
            ledger.event("h2d")
        out = keywords.get("out")
        if out is not None and not isinstance(out, ndarray):
            raise TypeError("out must be a device array")
        if name in ("matmul", "dot", "tensordot", "einsum"):
            ledger.refuse_capture("calling cuBLAS API")

        plain, named = inner(args), {k: inner(v) for k, v in keywords.items()}

        def run() -> Any:
            result = f(*plain, **named)
            return np.asarray(result) if name == "count_nonzero" else result  # before NumPy 2.2 a number of Python

        r = run()
        if out is not None or is_new(r):
            ledger.operations[name] += 1
        if out is not None:
            ledger.note(run)
            return out
        return redone(run, outer(r), args)

    return call
