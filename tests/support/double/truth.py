"""The installed CuPy, for names and signatures only: it never computes. Absent, those checks fall away."""

import ast
import functools
import inspect
from typing import Any

try:
    import cupy as real
    import cupyx as real_x
except ImportError:
    real = real_x = None

UFUNC = inspect.signature(lambda *args, out=None, dtype=None, casting=None: None)
MISSING = "CuPy is not installed: names and signatures are not checked"


def check_call(name: str, args: tuple, keywords: dict) -> None:
    """Raise AttributeError or TypeError if cupy.<name> does not exist or does not take these arguments."""
    if real is None:
        return
    if not hasattr(real, name):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    signature = _signature(getattr(real, name))
    if signature is not None:
        signature.bind(*args, **keywords)


def check_method(name: str, args: tuple, keywords: dict) -> None:
    """The same for a method of cupy.ndarray."""
    if real is None:
        return
    if not hasattr(real.ndarray, name):
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
    signature = method_signature(name)
    if signature is not None:
        signature.bind(None, *args, **keywords)


@functools.cache
def _signature(f: Any) -> inspect.Signature | None:
    if isinstance(f, real.ufunc):
        return UFUNC
    try:
        return None if isinstance(f, type) else inspect.signature(f)
    except (TypeError, ValueError):
        return None


@functools.cache
def method_signature(name: str) -> inspect.Signature | None:
    """The signature that the first line of a compiled method's docstring tells."""
    text = (getattr(real.ndarray, name).__doc__ or "").split("\n")[0].partition(" -> ")[0]
    text = text[text.find("(") :].replace("Py_ssize_t ", "").replace("bint ", "").replace("int ", "")
    try:
        arguments = ast.parse(f"lambda {text[1:-1]}: 0", mode="eval").body.args
    except (SyntaxError, AttributeError):
        return None
    kinds, make = inspect.Parameter, []
    without = len(arguments.args) - len(arguments.defaults)
    for i, a in enumerate(arguments.args):
        default = kinds.empty if i < without else None
        make.append(kinds(a.arg, kinds.POSITIONAL_OR_KEYWORD, default=default))
    if arguments.vararg:
        make.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    make += [kinds(a.arg, kinds.KEYWORD_ONLY, default=None) for a in arguments.kwonlyargs]
    if arguments.kwarg:
        make.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(make)
