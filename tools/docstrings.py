"""Which public names have no docstring."""

import ast
import importlib
import importlib.util
import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["is_text", "public_names", "stand_in_for", "tree_of", "undocumented", "value_docs"]


def undocumented(module: str) -> list[str]:
    """Return the public names of a module that have no docstring, and the public methods and properties of its classes.

    Public is what `__all__` lists, or else what begins with a letter and is defined there. The docstring of a value is
    the text below its assignment. A method that overrides one may leave it to that one.
    """
    page = importlib.import_module(module)
    missing = [] if page.__doc__ else [module]
    for name in public_names(page):
        try:
            value = getattr(page, name)
        except ImportError:  # of an optional package
            continue
        if isinstance(value, types.ModuleType):
            continue  # has a page of its own, or is none of ours
        if inspect.isclass(value):
            missing += [] if _has_own_doc(value) else [f"{module}.{name}"]
            missing += [f"{module}.{name}.{member}" for member in _bare_members(value)]
        elif inspect.isroutine(value):
            missing += [] if inspect.getdoc(value) else [f"{module}.{name}"]
        elif value_docs(page, name) is None:
            missing.append(f"{module}.{name}")
    return missing


def public_names(page: types.ModuleType) -> list[str]:
    """Return what a module exports."""
    if (listed := getattr(page, "__all__", None)) is not None:
        return list(listed)
    return [
        name
        for name, value in vars(page).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == page.__name__
    ]


def _has_own_doc(kind: type) -> bool:
    """Whether a class has a docstring; the one that `dataclass` makes up of the signature is none."""
    text = kind.__doc__
    return bool(text) and not text.startswith(f"{kind.__name__}(")


def _bare_members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        fields = vars(kind).get("__dataclass_fields__", {})  # the docstring of the class has them
        if name.startswith("_") or name in fields:
            continue
        if not (inspect.isroutine(member) or isinstance(member, property | classmethod)):
            continue
        if not inspect.getdoc(getattr(kind, name)):
            yield name


def value_docs(page: types.ModuleType, name: str) -> str | None:
    """Return the docstring of a value that a module exports, its own or taken from another; None without one."""
    found = (_documented_values(Path(path)).get(name) for path in _sources(page, name))
    return next((text for text in found if text), None)


def _sources(page: types.ModuleType, name: str) -> Iterator[str]:
    yield str(page.__file__)
    for node in ast.walk(tree_of(Path(str(page.__file__)))):
        if isinstance(node, ast.ImportFrom) and node.module and any(name in (a.asname, a.name) for a in node.names):
            yield str(importlib.import_module(node.module).__file__)


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text by itself: a docstring, of a value if it stands below its assignment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _documented_values(path: Path) -> dict[str, str]:
    """Docstrings of the values of a module by their names."""
    found: dict[str, str] = {}
    for node, after in pairwise(tree_of(path).body):
        if is_text(after) and isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = inspect.cleandoc(after.value.value)  # type: ignore[attr-defined]
            found |= {target.id: text for target in targets if isinstance(target, ast.Name)}
    return found


@contextmanager
def stand_in_for(package: str, name: str, source: str) -> Iterator[None]:
    """Let a package have a function of the signature and docstring of another module's, without importing that one.

    For a function that needs an optional package to be imported, but not to be described.
    """
    page: Any = importlib.import_module(package)
    spec = importlib.util.find_spec(source)
    path = Path(str(spec and spec.origin))
    (node,) = (x for x in tree_of(path).body if isinstance(x, ast.FunctionDef) and x.name == name)
    bare = ast.parse(ast.unparse(node)).body[0]  # a copy
    assert isinstance(bare, ast.FunctionDef)
    bare.body, bare.returns = bare.body[:1], None
    for x in ast.walk(bare.args):
        if isinstance(x, ast.arg):
            x.annotation = None  # names of modules that are not imported
    scope: dict[str, Any] = {"__name__": package}
    exec(compile(ast.unparse(bare), str(path), "exec"), scope)
    before = vars(page).get(name)
    setattr(page, name, scope[name])
    try:
        yield
    finally:
        delattr(page, name) if before is None else setattr(page, name, before)
