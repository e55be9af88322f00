"""What users give, and what `forward` and `backward` give: arrays of numbers, and what is said of anything else."""

import inspect
from types import ModuleType
from typing import Any

import numpy as np

from snncore.backend import Array, array_module

__all__ = [
    "NUMBERS",
    "as_array",
    "as_count",
    "as_output",
    "is_integer",
    "is_number",
    "missing_input",
    "unfit_gradient",
    "unfit_input",
]

NUMBERS = frozenset("?bBhHiIlLqQfd")  # booleans, integers, float32, float64; as `numpy.dtype.char` has them
BESIDE = {
    "NoneType": "; does it return anything?",
    "Tensor": "; it works on the arrays of tensors",
    "list": "; several outputs are a tuple",
}


def is_integer(n: Any) -> bool:
    """Whether n is an integer of Python or NumPy; True and False are none."""
    return isinstance(n, int | np.integer) and not isinstance(n, bool)


def as_count(name: str, n: Any) -> int:
    """Return n as an integer of Python; raises ValueError unless it is one of at least 0."""
    if not is_integer(n) or n < 0:
        raise ValueError(f"{name}: expected an integer of at least 0, found {n!r}")
    return int(n)


def is_number(x: Any) -> bool:
    """Whether x is one real number, also as an array of no axes; True and False are none."""
    of_numpy = getattr(x, "shape", None) == () and getattr(x, "dtype", np.dtype(bool)).kind in "fiu"
    return of_numpy or (isinstance(x, int | float) and not isinstance(x, bool))


def as_array(data: Any) -> Array:
    """Return data as a plain array of this machine's byte order, which kernels read; itself where it is one.

    Subclasses of `numpy.ndarray` with rules of their own, such as `numpy.matrix`, become what they hold: the same
    memory. The other byte order is copied. Raises TypeError where entries are masked, for nobody said what they count
    as, and for a list of tensors, whose past would be lost.
    """
    if array_module(data) is not np:
        return data
    if np.ma.is_masked(data):
        hidden = int(np.ma.getmaskarray(data).sum())
        raise TypeError(
            f"expected an array without a mask, found {hidden} of {data.size} entries masked; "
            "say what they are with .filled(value)"
        )
    if isinstance(data, list | tuple) and any(hasattr(x, "requires_grad") for x in data):
        raise TypeError(f"expected an array or numbers, found a {type(data).__name__} of tensors; Stack joins them")
    x = np.asarray(data)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def unfit_input(name: str, i: int, x: Array) -> TypeError:
    """Make the error of an operation whose input i is of a type that no kernel takes."""
    found = f"{x.dtype} of shape {x.shape}"
    if x.dtype.kind == "O" and x.shape == ():
        found = f"a {type(x.item()).__name__}"
    to = "; convert it, for example with .astype(np.float32)" if x.dtype.kind == "f" else ""
    return TypeError(f"{name}: expected input {i} in float32, float64 or integers, found {found}{to}")


def missing_input(function: Any, arrays: tuple[Array | None, ...], error: Exception) -> Exception:
    """Make the error that names an input left out for which forward has no default; `error` if there is none."""
    parameters = list(inspect.signature(function.forward).parameters.values())
    for i, (x, parameter) in enumerate(zip(arrays, parameters, strict=False)):
        if x is None and parameter.default is parameter.empty:
            return TypeError(f"{function.name}: expected an array as input {i} ({parameter.name}), found None")
    return error


def as_output(name: str, i: int, y: Any, xp: ModuleType, half: bool) -> Array:
    """Return output i of `name`.forward as an array, also where it is a NumPy scalar or a number of Python.

    half: whether float16 is one. Raises TypeError for what is no array of float32, float64 or integers.
    """
    if isinstance(y, bool | int | float):
        return xp.asarray(y)
    char = "" if hasattr(y, "requires_grad") else getattr(getattr(y, "dtype", None), "char", "")
    if char in NUMBERS or (half and char == "e"):
        return y if type(y) is np.ndarray else as_array(y) if xp is np else xp.asarray(y)
    found = f"{y.dtype} of shape {y.shape}" if char else type(y).__name__
    raise TypeError(
        f"{name}.forward: expected output {i} to be an array of float32, float64 or integers, found {found}"
        f"{BESIDE.get(found, '')}"
    )


def unfit_gradient(g: Any) -> str:
    """Say what g is where it can be no gradient: a Tensor, complex numbers, objects. Empty if it can."""
    if hasattr(g, "requires_grad"):
        return f"a {type(g).__name__}"
    return str(g.dtype) if hasattr(g, "dtype") and g.dtype.kind not in "fiub" else ""
