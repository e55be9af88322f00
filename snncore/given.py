"""What `forward` and `backward` of an operation may give: arrays of numbers, and what is said of anything else."""

from types import ModuleType
from typing import Any

from snncore.backend import Array

__all__ = ["as_output", "unfit_gradient"]

NUMBERS = frozenset("?bBhHiIlLqQfd")  # booleans, integers, float32, float64; as `numpy.dtype.char` has them
BESIDE = {
    "NoneType": "; does it return anything?",
    "Tensor": "; it works on the arrays of tensors",
    "list": "; several outputs are a tuple",
}


def as_output(name: str, i: int, y: Any, xp: ModuleType, half: bool) -> Array:
    """Return output i of `name`.forward as an array, also where it is a NumPy scalar or a number of Python.

    half: whether float16 is one. Raises TypeError for what is no array of float32, float64 or integers.
    """
    if isinstance(y, bool | int | float):
        return xp.asarray(y)
    char = "" if hasattr(y, "requires_grad") else getattr(getattr(y, "dtype", None), "char", "")
    if char in NUMBERS or (half and char == "e"):
        return xp.asarray(y)
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
