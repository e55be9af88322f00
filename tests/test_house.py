"""The layout of the house: which package may import which, and how long a file may be."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("snncore", "misnet", "datasets", "tools", "tests")

MODELS, TRAINING, AUDIT, REPORT, PAPER, SETS, TOOLS = (
    f"misnet.{room}" for room in ("models", "training", "audit", "report", "paper", "datasets", "tools")
)
FORBIDDEN = {
    "snncore": {"misnet"},
    "snncore/context.py": {"snncore"},
    "snncore/kernels": {"misnet", "snncore.functions", "snncore.nn", "snncore.tape"},
    "snncore/functions": {"misnet", "snncore.nn", "snncore.optim"},
    "misnet": {SETS, TOOLS},
    "misnet/models": {TRAINING, AUDIT, REPORT, PAPER},
    "misnet/training": {AUDIT, REPORT, PAPER, "misnet.visual"},
    "misnet/interchange": {TRAINING, AUDIT, REPORT, PAPER},
    "misnet/visual": {AUDIT, REPORT, PAPER},
    "misnet/audit": {REPORT, PAPER},
    "misnet/report": {PAPER},
    "datasets": {MODELS, TRAINING, AUDIT, PAPER, TOOLS},
    "tests/snncore": {"misnet", "tests.misnet", "tests.tools", "tests.datasets"},
}
CONTRACT = {f"misnet.models.{name}" for name in ("config", "contract", "options", "registry", "summary")}
"""What may be known of models where any model is to work; every other module there is a model."""
ANY_MODEL = tuple(
    f"misnet/{name}" for name in ("models", "training", "visual", "audit", "report", "interchange")
) + tuple(
    f"tools/{name}.py"
    for name in (
        *("train", "train_plan", "evaluate", "report", "reporting", "visualize", "audit"),
        *("settings", "toolkit", "networks"),
    )
)


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


def concrete_models(folder, root=ROOT):
    """Pairs (file, import) of a model by its own name, in files that are of no model."""
    contract = {f"misnet/models/{name.rpartition('.')[2]}.py" for name in CONTRACT}
    return [
        (file, name)
        for file, name in breaches(folder, {MODELS}, root)
        if file in contract or not file.startswith("misnet/models/")
        if name != MODELS and not any(name == known or name.startswith(known + ".") for known in CONTRACT)
    ]


@pytest.mark.parametrize("folder", ANY_MODEL)
def test_what_works_with_any_model_imports_none(folder):
    assert concrete_models(folder) == []


def test_the_import_of_a_model_is_found(tmp_path):
    for file, line, bad in (
        (
            "misnet/training/run.py",
            "def f():\n    from misnet.models.misnet.model import MISNet",
            "misnet.models.misnet.model",
        ),
        ("misnet/training/step.py", "import misnet.models.resnet", "misnet.models.resnet"),
        ("misnet/models/summary.py", "from misnet.models.misnet import build", "misnet.models.misnet"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(line + "\n")
        assert (file, bad) in concrete_models(str(Path(file).parent), tmp_path)
    (tmp_path / "misnet/models/misnet").mkdir()
    (tmp_path / "misnet/models/misnet/model.py").write_text("from misnet.models.misnet.config import MISNetConfig\n")
    (tmp_path / "misnet/models/summary.py").write_text("from misnet.models.registry import build\n")
    assert concrete_models("misnet/models", tmp_path) == []


def modules(root=ROOT):
    """Every module of the three packages, by its name, with its file."""
    found = {}
    for folder, name in (
        ("snncore", "snncore"),
        ("misnet", "misnet"),
        ("datasets", "misnet.datasets"),
        ("tools", TOOLS),
    ):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join((name, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


def at_the_top(path, files):
    """Names of the modules among `files` that are imported when a file is: not in functions, nor for types alone.

    A module that is taken from its package is meant by itself: the package is not asked for one of its own names.
    """
    waiting = list(ast.parse(path.read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            yield from (name if name in files else node.module for name in names.values())
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def circles(files):
    """Groups of modules that import each other, in a circle, when they are imported."""
    graph = {
        module: {n for n in at_the_top(path, files) if n in files and n != module} for module, path in files.items()
    }

    def reach(start):
        seen, waiting = set(), [start]
        while waiting:
            for after in graph[waiting.pop()] - seen:
                seen.add(after)
                waiting.append(after)
        return seen

    reached = {module: reach(module) for module in graph}
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(sorted(group) for group in groups)


def test_no_modules_import_each_other_in_a_circle():
    assert circles(modules()) == []


def test_a_circle_is_found(tmp_path):
    (tmp_path / "snncore" / "nn").mkdir(parents=True)
    for name, text in {
        "__init__": "from snncore.a import x",
        "a": "from snncore import b",
        "b": "if True:\n    from snncore.nn.c import y",
        "nn/__init__": "",
        "nn/c": "class C:\n    import snncore.a",
        "d": "def f():\n    import snncore.e",  # inside a function: no circle when imported
        "e": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import snncore.d\nfrom snncore.d import f",
    }.items():
        (tmp_path / "snncore" / f"{name}.py").write_text(text + "\n")
    assert circles(modules(tmp_path)) == [["snncore.a", "snncore.b", "snncore.nn.c"]]


def test_no_file_is_longer_than_400_lines_and_all_are_ascii():
    long, other = [], []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            long += [path.name] if text.count("\n") > 400 else []
            other += [path.name] if not text.isascii() else []
    assert (long, other) == ([], [])


def test_half_of_all_files_are_shorter_than_120_lines():
    sizes = [
        path.read_text(encoding="utf-8").count("\n") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    ]
    assert statistics.median(size for size in sizes if size > 3) < 120


def not_there(path):
    """Names in `__all__` of a file that nothing in it defines, assigns or imports."""
    told, there = [], set()
    waiting = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            there.add(node.name)  # and not what is in it
            continue
        if isinstance(node, ast.Assign) and "__all__" in {getattr(x, "id", None) for x in node.targets}:
            told = [x.value for x in ast.walk(node.value) if isinstance(x, ast.Constant)]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            there.add(node.id)
        if isinstance(node, ast.alias):
            there.add((node.asname or node.name).partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return [name for name in told if name not in there]


def test_what_a_module_says_it_exports_is_there():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert {str(path.relative_to(ROOT)): lost for path in files if (lost := not_there(path))} == {}


def test_a_name_that_was_moved_away_is_found(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('from b import c as d\n__all__ = [*("d", "e"), "f", "h"]\nif d:\n    e = 1\ndef f():\n    h = 2\n')
    assert not_there(path) == ["h"]
