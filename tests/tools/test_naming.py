"""The tools call each other as they are called where they run."""

import argparse
import sys

import pytest

from misnet.tools import commands, naming
from misnet.tools.naming import COMMANDS, Parser, called, here

TEXT = "python tools/train.py wrote what python\n  tools/evaluate.py and tools/bench.py read"


@pytest.mark.parametrize(
    ("checkout", "program", "train", "bench"),
    [
        (True, "tools/train.py", "python tools/train.py", "python tools/bench.py"),
        (True, "/venv/bin/misnet-audit", "misnet-train", "python -m misnet.tools.bench"),
        (False, "/venv/bin/misnet-audit", "misnet-train", "python -m misnet.tools.bench"),
        (False, "/venv/lib/misnet/tools/train.py", "misnet-train", "python -m misnet.tools.bench"),
    ],
)
def test_what_a_user_types(monkeypatch, checkout, program, train, bench):
    monkeypatch.setattr(naming, "IS_CHECKOUT", checkout)
    monkeypatch.setattr(sys, "argv", [program])
    assert (called("train"), called("bench")) == (train, bench)
    if train.startswith("python"):
        assert here(TEXT) == TEXT
    else:
        assert here(TEXT) == "misnet-train wrote what misnet-evaluate and python -m misnet.tools.bench read"


def test_help_names_the_commands_of_an_installation(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/venv/bin/misnet-audit"])
    parser = Parser(description=TEXT, formatter_class=argparse.RawDescriptionHelpFormatter)
    assert "\n\nmisnet-train wrote what misnet-evaluate and" in parser.format_help()
    assert parser.format_help().startswith("usage: misnet-audit [-h]")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_runs_main_of_its_tool_and_exits_with_its_status(monkeypatch, name):
    monkeypatch.setattr(f"misnet.tools.{name}.main", lambda: 7)
    with pytest.raises(SystemExit) as end:
        getattr(commands, name)()
    assert end.value.code == 7


def test_every_command_is_one_of_the_project(pytestconfig):
    text = (pytestconfig.rootpath / "pyproject.toml").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("misnet-")]
    assert found == [f'misnet-{name} = "misnet.tools.commands:{name}"' for name in COMMANDS]
