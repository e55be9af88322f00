"""An array that lives in a NumPy buffer and behaves as if it were on a GPU: nothing is converted in silence."""

import functools
import operator
import types
from typing import Any

import numpy as np

from tests.support.double import ledger
from tests.support.double.truth import check_method


def inner(x: Any) -> Any:
    """The NumPy buffers of device arrays; a NumPy array, which lives on the host, is refused."""
    if isinstance(x, ndarray):
        return x.buffer
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return type(x)(map(inner, x)) if isinstance(x, list | tuple) else x


def outer(r: Any) -> Any:
    """The device array of a result; results without axes stay arrays."""
    if isinstance(r, np.generic):
        r = np.asarray(r)
    if isinstance(r, np.ndarray):
        if r.base is None:
            ledger.track(r)
        return ndarray(r)
    return tuple(map(outer, r)) if isinstance(r, list | tuple) else r


def redone(run: Any, r: Any, *inputs: Any) -> Any:
    """The result r of `run()` on inputs; while a stream is recorded, it is to be filled again, unless it is a view."""
    if ledger.capturing is None:
        return r
    if isinstance(r, tuple):
        for k, part in enumerate(r):
            redone(lambda k=k: run()[k], part, *inputs)
    elif isinstance(r, ndarray) and not any(np.may_share_memory(r.buffer, x) for x in _buffers(inputs)):
        to = r.buffer  # not r: a recording does not keep the memory of an array from being given to the next
        ledger.note(lambda: np.copyto(to, run()))
    return r


def _buffers(x: Any) -> Any:
    if isinstance(x, ndarray):
        yield x.buffer
    elif isinstance(x, list | tuple):
        for part in x:
            yield from _buffers(part)


def is_new(r: Any) -> bool:
    """Whether a result is memory of its own, not a view: something was computed."""
    return isinstance(r, np.generic) or (isinstance(r, np.ndarray) and r.base is None)


def refuse(*_: Any, **__: Any) -> Any:
    """What NumPy meets when it looks at a device array."""
    raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")


class ndarray:
    """As `cupy.ndarray`."""

    __array_ufunc__ = None
    __array__ = __array_function__ = refuse
    __array_interface__ = __dlpack__ = property(refuse)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, buffer: np.ndarray) -> None:
        self.buffer = buffer
        self.owner = ledger.owner_of(buffer)

    dtype = property(lambda self: self.buffer.dtype)
    shape = property(lambda self: self.buffer.shape)
    ndim = property(lambda self: self.buffer.ndim)
    size = property(lambda self: self.buffer.size)
    nbytes = property(lambda self: self.buffer.nbytes)
    itemsize = property(lambda self: self.buffer.itemsize)
    strides = property(lambda self: self.buffer.strides)
    flags = property(lambda self: self.buffer.flags)
    T = property(lambda self: ndarray(self.buffer.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self.buffer.ctypes.data))

    def __len__(self) -> int:
        return len(self.buffer)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return f"double({self.buffer!r})"

    def _scalar(self, read: Any) -> Any:
        ledger.event("sync")
        return read(self.buffer)

    def __float__(self) -> float:
        return self._scalar(float)

    def __int__(self) -> int:
        return self._scalar(int)

    def __bool__(self) -> bool:
        return self._scalar(bool)

    def __index__(self) -> int:
        return self._scalar(operator.index)

    def __format__(self, spec: str) -> str:
        return self._scalar(lambda a: format(a, spec))

    def item(self, *k: int) -> Any:
        """Wait for the device and read one entry."""
        return self._scalar(lambda a: a.item(*k))

    def tolist(self) -> list:
        """Wait for the device and read all entries."""
        return self._scalar(lambda a: a.tolist())

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        """Copy to the host, and wait for it."""
        ledger.event("d2h")
        if out is None:
            return self.buffer.copy(order=order)
        np.copyto(out, self.buffer, casting="no")
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy from the host; from pinned memory on a stream, only when somebody waits for that stream."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError("shape or dtype mismatch")
        if stream is not None and stream.takes(arr):
            ledger.refuse_capture("a copy from the host, of what it holds then,")
            ledger.event("h2d_async")
            stream.later(functools.partial(np.copyto, self.buffer, arr))
        else:
            ledger.event("h2d")
            self.buffer[...] = arr

    def _key(self, k: Any) -> Any:
        k = tuple(map(inner, k)) if isinstance(k, tuple) else inner(k)
        parts = k if isinstance(k, tuple) else (k,)
        if any(isinstance(p, np.ndarray) and p.dtype == bool for p in parts):
            ledger.event("sync")  # the shape of the result is known on the device alone
        return k

    def __getitem__(self, k: Any) -> Any:
        k = self._key(k)
        r = self.buffer[k]
        if not isinstance(r, np.ndarray):  # CuPy gives a view where NumPy gives a scalar
            r = self.buffer[(*(k if isinstance(k, tuple) else (k,)), ...)]
        mine = self.buffer
        return redone(lambda: mine[k], outer(r), self)

    def __setitem__(self, k: Any, v: Any) -> None:
        k = self._key(k)
        if isinstance(k, np.ndarray) and k.dtype.kind in "iu" and len(np.unique(k)) != k.size:
            raise IndexError("repeated indices in an assignment: undefined on a GPU")
        ledger.operations["assign"] += 1
        self.buffer[k] = inner(v)
        ledger.note(functools.partial(operator.setitem, self.buffer, k, inner(v)))


ndarray.__module__ = "cupy"


def _method(name: str) -> Any:
    def call(self: ndarray, *args: Any, **keywords: Any) -> Any:
        check_method(name, args, keywords)
        out = keywords.get("out")
        if name == "dot":
            ledger.refuse_capture("calling cuBLAS API")

        call = getattr(self.buffer, name)
        run = functools.partial(call, *inner(args), **{k: inner(v) for k, v in keywords.items()})
        r = run()
        if out is not None or name == "fill" or is_new(r):
            ledger.operations[name] += 1
        if out is not None or r is None:  # in place, as `fill`
            ledger.note(run)
            return out
        return self if r is self.buffer else redone(run, outer(r), self, args)

    return call


METHODS = [
    *(
        "reshape",
        "transpose",
        "ravel",
        "flatten",
        "copy",
        "astype",
        "view",
        "swapaxes",
        "squeeze",
        "take",
        "repeat",
        "fill",
    ),
    *("sum", "mean", "prod", "var", "std", "max", "min", "argmax", "argmin", "any", "all", "cumsum", "dot"),
    *("clip", "round", "sort", "argsort"),
]
for _name in METHODS:
    setattr(ndarray, _name, _method(_name))


def _binary(name: str) -> tuple[Any, Any, Any]:
    f = getattr(operator, name)

    def check() -> None:
        ledger.operations[name] += 1
        if name == "matmul":
            ledger.refuse_capture("calling cuBLAS API")

    def forward(self: ndarray, other: Any) -> Any:
        check()
        run = functools.partial(f, self.buffer, inner(other))
        return redone(run, outer(run()))

    def reflected(self: ndarray, other: Any) -> Any:
        check()
        run = functools.partial(f, inner(other), self.buffer)
        return redone(run, outer(run()))

    def in_place(self: ndarray, other: Any) -> ndarray:
        check()
        run = functools.partial(getattr(self.buffer, f"__i{name.strip('_')}__"), inner(other))
        run()
        ledger.note(run)
        return self

    return forward, reflected, in_place


def _unary(name: str) -> Any:
    f = getattr(operator, name)

    def call(self: ndarray) -> Any:
        ledger.operations[name] += 1
        run = functools.partial(f, self.buffer)
        return redone(run, outer(run()))

    return call


OPERATORS = [
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift"),
]
for _name in OPERATORS:
    for _prefix, _f in zip(("", "r", "i"), _binary(_name), strict=True):
        setattr(ndarray, f"__{_prefix}{_name.strip('_')}__", _f)
for _name in ["lt", "le", "gt", "ge", "eq", "ne"]:
    setattr(ndarray, f"__{_name}__", _binary(_name)[0])
for _name in ["neg", "pos", "abs", "invert"]:
    setattr(ndarray, f"__{_name}__", _unary(_name))
