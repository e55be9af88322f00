"""The layout of the house: which package may import which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("snncore", "misnet", "datasets", "tools", "tests")

MODELS, TRAINING, AUDIT, PAPER, SETS, TOOLS = (
    f"misnet.{room}" for room in ("models", "training", "audit", "paper", "datasets", "tools")
)
FORBIDDEN = {
    "snncore": {"misnet"},
    "snncore/context.py": {"snncore"},
    "snncore/kernels": {"misnet", "snncore.functions", "snncore.nn", "snncore.tape"},
    "snncore/functions": {"misnet", "snncore.nn", "snncore.optim"},
    "misnet": {SETS, TOOLS},
    "misnet/models": {TRAINING, AUDIT, PAPER},
    "misnet/training": {AUDIT, PAPER},
    "misnet/audit": {PAPER},
    "datasets": {MODELS, TRAINING, AUDIT, PAPER, TOOLS},
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
        for path in ([root / folder] if folder.endswith(".py") else sorted((root / folder).rglob("*.py")))
        for name in imports(path)
        if any(name == bad or name.startswith(bad + ".") for bad in forbidden)
    ]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_dependencies_point_one_way(folder):
    assert breaches(folder, FORBIDDEN[folder]) == []


def test_a_dependency_that_points_the_wrong_way_is_found(tmp_path):
    (tmp_path / "snncore").mkdir()
    (tmp_path / "snncore" / "bad.py").write_text(
        "def f():\n    from misnet.models.misnet.model import MISNet\n    return MISNet\n"
    )
    found = breaches("snncore", FORBIDDEN["snncore"], tmp_path)
    assert ("snncore/bad.py", "misnet.models.misnet.model") in found


def test_no_file_is_longer_than_400_lines_and_all_are_ascii():
    long, other = [], []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            long += [path.name] if text.count("\n") > 400 else []
            other += [path.name] if not text.isascii() else []
    assert (long, other) == ([], [])
