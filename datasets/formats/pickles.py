"""Reading a pickle of lists, dictionaries, numbers, texts and byte arrays without ever running what it asks for."""

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import reason

__all__ = ["load_plain_pickle"]

# Everything that Python 2 and 3 write for plain values and NumPy arrays. Missing are those that make instances of
# classes, refer to what is outside of the file, or have no use here.
_NAMES = """
PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING BINSTRING
SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_LIST LIST APPEND APPENDS
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD
"""
OPCODES = frozenset(_NAMES.split())
ARRAY, DTYPE, ENCODE, BYTES = "array", "dtype", "encode", "bytes"
GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): ARRAY,
    ("numpy", "ndarray"): "class of arrays",
    ("numpy", "dtype"): DTYPE,
    ("_codecs", "encode"): ENCODE,  # how Python 3 writes bytes for Python 2
    ("__builtin__", "bytes"): BYTES,  # and how it writes none at all
}


def load_plain_pickle(data: bytes, where: object) -> Any:
    """Return the value in a pickle: None, bool, int, float, str, bytes, list, tuple, dict or uint8 array, or of these.

    Nothing in the file is called or imported: a call is recorded, and only that which makes a uint8 array is then
    carried out, here. Texts of Python 2 come as bytes. Memory stays within a few times the file's size.

    where: file name for the messages. Raises DataError for a pickle that is damaged or holds anything else.
    """
    try:
        for opcode, _, position in pickletools.genops(data):  # checks all lengths, too
            if opcode.name not in OPCODES:
                raise _Refused(f"found the operation {opcode.name} at byte {position}")
        return _Plain(len(data)).value(_Recorder(data).load())
    except _Refused as error:
        raise DataError(f"{where}: {error}, expected a pickle of plain values and arrays; nothing was run") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{where}: damaged ({reason(error)}); expected a pickle of plain values and arrays") from error


class _Refused(Exception):
    pass


class _Global:
    """Stands for a function or class that the pickle names."""

    def __init__(self, kind: str):
        self.kind = kind


class _Made:
    """Stands for the result of a call that the pickle asks for."""

    def __init__(self, kind: str, arguments: tuple):
        self.kind, self.arguments, self.state = kind, arguments, None


class _Recorder(pickle._Unpickler):  # the one in Python: the one in C makes room for any number that names a memo
    """An unpickler that records calls, but for the two that make bytes, which it carries out itself."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")
        self.left = 2 * len(data)  # bytes that may be made: one text can be encoded many times

    def find_class(self, module: str, name: str) -> _Global:
        try:
            return _Global(GLOBALS[module, name])
        except (KeyError, TypeError):
            raise _Refused(f"found a reference to {module[:60]}.{name[:60]}") from None

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not isinstance(function, _Global) or type(arguments) is not tuple:
            raise _Refused(f"found a call of {type(function).__name__}")
        made = function.kind in (ENCODE, BYTES)
        self.stack[-1] = self._bytes(*arguments) if made else _Made(function.kind, arguments)

    def _bytes(self, text: Any = "", encoding: Any = "latin1") -> bytes:
        if encoding not in (b"latin1", "latin1") or type(text) is not str:
            raise _Refused("found a text in an unknown encoding")
        self.left -= len(text)
        if self.left < 0:
            raise _Refused("found a text encoded again and again")
        return text.encode("latin1")

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Made):
            raise _Refused(f"found a state for {type(self.stack[-1]).__name__}")
        self.stack[-1].state = state

    def _set(self, items: list) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes | int):  # the hash of nested tuples can take for ever
                raise _Refused(f"found a key of {type(key).__name__}")
            self.stack[-1][key] = value

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self.pop_mark())

    dispatch = {  # noqa: RUF012
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.DICT[0]: _dict,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
    }


class _Plain:
    """Puts arrays where calls were recorded, in no more than `most` values: references can make few bytes many."""

    def __init__(self, most: int):
        self.left = most

    def value(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > 20:
            raise _Refused("found values within values without end")
        if isinstance(value, dict):
            return {k: self.value(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.value(v, depth + 1) for v in value)
        if isinstance(value, _Made) and value.kind == ARRAY:
            return _array(value.state)
        if isinstance(value, _Made | _Global):
            raise _Refused(f"found a {value.kind} by itself")
        return value


def _array(state: Any) -> np.ndarray:
    """The array of NumPy's state (version, shape, dtype, column-major, bytes), read-only over those bytes."""
    _, shape, dtype, fortran, content = state
    kind = dtype.arguments[0] if isinstance(dtype, _Made) and dtype.kind == DTYPE else None
    if kind not in (b"u1", "u1") or type(shape) is not tuple or type(content) is not bytes:
        raise _Refused("found an array of something else than unsigned bytes")
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) != len(content):
        raise _Refused(f"found an array whose shape does not fit its {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
