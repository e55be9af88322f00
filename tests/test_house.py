"""The layout of the house: which package may import which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("snncore", "misnet", "datasets", "tools", "tests")

FORBIDDEN = {
    "snncore": {"misnet", "datasets", "tools"},
    "snncore/kernels": {"misnet", "datasets", "tools", "snncore.functions", "snncore.nn", "snncore.tape"},
    "snncore/functions": {"misnet", "datasets", "tools", "snncore.nn", "snncore.optim"},
    "misnet": {"datasets", "tools"},
    "datasets": {"misnet", "tools"},
}


def imports(path):
    """Names of all modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(folder, forbidden, root=ROOT):
    """Pairs (file, import) that go the wrong way."""
    return [
        (str(path.relative_to(root)), name)
        for path in sorted((root / folder).rglob("*.py"))
        for name in imports(path)
        if any(name == bad or name.startswith(bad + ".") for bad in forbidden)
    ]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_dependencies_point_one_way(folder):
    assert breaches(folder, FORBIDDEN[folder]) == []


def test_a_dependency_that_points_the_wrong_way_is_found(tmp_path):
    (tmp_path / "snncore").mkdir()
    (tmp_path / "snncore" / "bad.py").write_text("def f():\n    from misnet.model import MISNet\n    return MISNet\n")
    found = breaches("snncore", FORBIDDEN["snncore"], tmp_path)
    assert ("snncore/bad.py", "misnet.model") in found


def test_no_file_is_longer_than_400_lines_and_all_are_ascii():
    long, other = [], []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            long += [path.name] if text.count("\n") > 400 else []
            other += [path.name] if not text.isascii() else []
    assert (long, other) == ([], [])
