"""Which names and files in docstrings do not exist: nothing is imported, all is read off the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from misnet.tools.docstrings import tree_of

__all__ = ["unresolved"]

PACKAGES = {"snncore": "snncore", "misnet": "misnet", "misnet.datasets": "datasets", "misnet.tools": "tools"}
"""Each package with its folder at the root."""

DOTTED = re.compile(r"(?<![\w./])(?:snncore|misnet)(?:\.[A-Za-z_]\w*)+(?![\w/]|\.(?:py|md|toml)\b)")
FILE = re.compile(r"(?<![\w./<])(?:snncore|misnet|datasets|tools|tests|docs)/[\w/]+\.(?:py|md|toml|cu|cuh|png)\b")
BY_NAME = {"NAME"}  # stands for any name in a path


def unresolved(root: Path) -> list[str]:
    """Return a sentence for each dotted name and each file that a docstring below `root` names and that is not there.

    Nothing is imported: a name is there if a module, or an assignment, definition or import in one, has it.
    """
    modules = dict(_modules(root))
    found = []
    for module, path in modules.items():
        for text in _texts(path):
            bad = [name for name in DOTTED.findall(text) if not _exists(name, modules)]
            bad += [
                name
                for name in FILE.findall(text)
                if not BY_NAME & {*re.split(r"\W+", name)} and not (root / name).exists()
            ]
            found += [f"{module}: names {name}, which does not exist" for name in bad]
    return found


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            yield ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts))), path


def _texts(path: Path) -> list[str]:
    """Docstrings of a file, of values too: every text between triple quotes, as parsing all files takes seconds."""
    return re.findall(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)


def _exists(name: str, modules: dict[str, Path]) -> bool:
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        if (module := ".".join(parts[:n])) in modules:
            return _has(tree_of(modules[module]).body, parts[n:])
    return False


def _has(body: list[ast.stmt], names: list[str]) -> bool:
    """Whether statements define a name, and that one the next; what is imported or assigned is not looked into."""
    if not names:
        return True
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == names[0]:
            return isinstance(node, ast.FunctionDef) or _has(node.body, names[1:]) or _sets(node, names[1])
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any(names[0] in (alias.asname, alias.name) for alias in node.names):
                return True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(x, ast.Name) and x.id == names[0] for target in targets for x in ast.walk(target)):
                return True
        elif isinstance(node, ast.If | ast.Try) and _has([*node.body, *node.orelse], names):
            return True
    return False


def _sets(kind: ast.ClassDef, name: str) -> bool:
    """Whether a method of a class assigns to self.<name>."""
    return any(isinstance(x, ast.Attribute) and x.attr == name and isinstance(x.ctx, ast.Store) for x in ast.walk(kind))
