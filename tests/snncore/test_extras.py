"""`python -m snncore`: what it says of this machine, and which optional packages it finds missing."""

import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from snncore import __main__ as about
from snncore import __version__, extras

PROJECT = """
[project.optional-dependencies]
one = ["numpy>=2", "snncore-no-such-package>=1"]
two = ["snncore[one]", "pytest"]
"""


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT)
    return path


def test_what_is_there_and_what_is_missing(project):
    one, two = extras.extras(project)
    assert (one.name, one.installed) == ("one", {"numpy": np.__version__})
    assert (one.missing, one.command) == (("snncore-no-such-package",), 'pip install -e ".[one]"')
    assert two.missing == one.missing  # of the extra that it names
    assert {*two.installed} == {"numpy", "pytest"}


def test_an_installation_tells_by_its_metadata(monkeypatch, tmp_path):
    of = ["numpy>=2", "nir-that-is-not>=1; extra == 'nir'", 'h5py>=3; extra == "video"']
    monkeypatch.setattr(metadata, "requires", lambda name: of)
    nir, video = extras.extras(tmp_path / "none.toml")
    assert (nir.name, nir.missing, nir.command) == ("nir", ("nir-that-is-not",), "pip install nir-that-is-not")
    assert video.name == "video"

    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    assert extras.extras(tmp_path / "none.toml") == []


def test_the_extras_of_this_project_are_all_there():
    text = extras.PROJECT.read_text(encoding="utf-8").partition("[project.optional-dependencies]")[2]
    names = re.findall(r"^([\w-]+) = \[", text.partition("\n[tool.")[0], re.MULTILINE)
    assert [extra.name for extra in extras.extras()] == names
    assert {"video", "nir", "docs", "completion"} <= {*names}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SNNCORE_KERNELS", "reference", "kernels     reference (SNNCORE_KERNELS=reference)"),
        ("SNNCORE_KERNELS", "refrence", "kernels     none: SNNCORE_KERNELS: expected one of auto, reference, dense, "),
        ("SNNCORE_ARITHMETIC", "exact", "sums        exact (SNNCORE_ARITHMETIC)"),
        ("SNNCORE_ARITHMETIC", "exat", "found 'exat'; nearest: exact"),
    ],
)
def test_what_is_said_of_this_machine(monkeypatch, variable, value, expected):
    monkeypatch.setenv(variable, value)
    text = "\n".join(about.lines())
    assert text.startswith(f"snncore {__version__}, ")
    assert expected in text
    assert re.search(r"^threads     \d+ on \d+ usable", text, re.MULTILINE)
    assert re.search(r"^GPU         (none: .|cuda:0, )", text, re.MULTILINE)


@pytest.mark.parametrize("module", ["snncore", "misnet"])
def test_a_reader_that_left_and_an_option_that_does_not_exist(module):
    """Of both modules that can be run: no traceback, and status 2 where the usage is wrong."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (0, "")
    done = subprocess.run([*command, "--bogus"], capture_output=True, text=True)
    assert (done.returncode, "unrecognized arguments: --bogus" in done.stderr) == (2, True)
