"""The lowest releases that CI installs are those that pyproject.toml says, and a dependency without one is named."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "lowest.py"
lowest = runpy.run_path(str(SCRIPT))["lowest"]


def project(*dependencies, **extras):
    return {"name": "mine", "dependencies": list(dependencies), "optional-dependencies": extras}


def test_bounds_become_releases_with_their_markers():
    table = project(
        "numpy>=2.0", "tomli>=2.0; python_version < '3.11'", "x[y]>=1.0a1", test=["mine[video]", "pytest>=8.0"]
    )
    table["optional-dependencies"]["video"] = ["av>=17.1", "numpy>=2.0"]
    assert lowest(table, []) == ["numpy==2.0", "tomli==2.0; python_version < '3.11'", "x==1.0a1"]
    assert lowest(table, ["test"])[3:] == ["pytest==8.0", "av==17.1"]
    assert lowest(table, ["test"], ">=")[0] == "numpy>=2.0"
    table["optional-dependencies"]["old"] = ["syops==0.0.5"]
    assert lowest(table, ["old"])[-1] == lowest(table, ["old"], ">=")[-1] == "syops==0.0.5"


@pytest.mark.parametrize(
    "requirement", ["numpy", "numpy<3", "numpy=2.0", "numpy==2.0,<3", "numpy>=2.0,<3", "numpy>2", "numpy @ file:x"]
)
def test_a_dependency_without_a_lower_bound_alone_is_named(requirement):
    with pytest.raises(ValueError, match=re.escape(f"{requirement!r}: expected name>=release")):
        lowest(project(requirement), [])


def test_an_extra_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no extra 'tests'; expected one of a, b"):
        lowest(project(a=[], b=[]), ["tests"])


def test_the_script_prints_those_of_this_project(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "test"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition("==")[0] for line in lines} >= {
        "numpy",
        "numba",
        "av",
        "h5py",
        "lz4",
        "pytest",
        "pytest-xdist",
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(line.partition(";")[0].replace("==", ">=") in text for line in lines)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "no-extra"])
    with pytest.raises(SystemExit, match=r"error: pyproject.toml: no extra 'no-extra'"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
