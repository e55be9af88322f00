"""What all command lines share: nearest names, examples, exit statuses, completion, --quiet and --verbose."""

import argparse
import importlib
import re
import shlex
import sys

import pytest

from misnet.tools import loudness
from misnet.tools.completion import SHELLS
from misnet.tools.loudness import add_loudness_options, is_quiet, is_verbose, say
from misnet.tools.naming import COMMANDS, STATUSES, Parser, called
from snncore import __version__

TOOLS = (*COMMANDS, "bench", "costs", "reference")
SYNONYMS = {
    "--batch": "--batch-size",
    "--lr-rate": "--lr",
    "--learning-rate": "--lr",
    "--out": "--output-dir",
    "--out-dir": "--output-dir",
    "--outdir": "--output-dir",
    "--workers": "--jobs",
    "--processes": "--jobs",
    "--data": "--data-dir",
    "--root": "--data-dir",
    "--png": "--picture",
    "--plot": "--picture",
    "--image-size": "--size",
    "--silent": "--quiet",
}
"""Names that a command might have for what the others call by the one on the right."""


def parser_of(tool, line=()):
    """The parser of a tool, for the model that a command line names."""
    make_parser = importlib.import_module(f"misnet.tools.{tool}").make_parser
    return make_parser(line[line.index("--model") + 1]) if "--model" in line else make_parser()


@pytest.fixture
def parser():
    made = Parser(prog="tool", examples=[("do it", "python tools/train.py --epochs 3")])
    made.add_argument("--data-set", choices=("digits", "letters"))
    made.add_argument("--epochs", type=int)
    add_loudness_options(made, "the result", "the rest")
    yield made
    loudness.reset()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--epoch 3 --datasett digits", "unrecognized arguments: --datasett digits; nearest: --data-set"),
        ("--epohcs=3", "unrecognized arguments: --epohcs=3; nearest: --epochs"),
        ("--colour 3", "unrecognized arguments: --colour 3\n"),
        ("--data-set diggits", "'diggits' (choose from"),
        ("--data-set diggits", "; nearest: digits\n"),
        ("--data-set qqq", "letters)\n"),
    ],
)
def test_a_mistyped_name_gets_the_nearest_one(parser, capsys, line, message):
    with pytest.raises(SystemExit) as end:
        parser.parse_args(shlex.split(line))
    assert end.value.code == 2
    assert message in capsys.readouterr().err.replace("'letters'", "letters")  # Python 3.12 leaves the quotes out


def test_a_file_whose_name_begins_with_a_dash_is_no_option(parser, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-lead.wav").touch()
    for name, said in (("-lead.wav", "; a file whose name begins with a dash is ./-lead.wav\n"), ("-gone", "-gone\n")):
        with pytest.raises(SystemExit):
            parser.parse_args([name])
        assert capsys.readouterr().err.endswith(f"unrecognized arguments: {name if name == '-lead.wav' else ''}{said}")


def test_help_ends_with_examples_and_exit_statuses(parser):
    text = parser.format_help()
    assert text.endswith(f"\nexamples:\n  # do it\n  {called('train')} --epochs 3\n\n{STATUSES}\n")


def test_every_exit_status_of_the_tools_is_documented():
    from misnet.tools.toolkit import DATA, STOPPED, USAGE

    assert all(f"{status} " in STATUSES for status in (0, DATA, USAGE, STOPPED))


def test_version(parser, capsys):
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"snncore {__version__}\n")


@pytest.mark.parametrize(
    ("line", "quiet", "verbose", "said"),
    [("", False, False, "x\n"), ("--quiet", True, False, ""), ("--verbose", False, True, "x\n")],
)
def test_how_loud_a_command_is_depends_on_its_command_line_alone(parser, capsys, line, quiet, verbose, said):
    assert vars(parser.parse_args(line.split())) == {"data_set": None, "epochs": None}
    say("x")
    assert (is_quiet(), is_verbose(), capsys.readouterr().out) == (quiet, verbose, said)
    parser.parse_args([])
    assert (is_quiet(), is_verbose()) == (False, False)


def test_one_cannot_be_quiet_and_verbose(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["--quiet", "--verbose"])
    assert "not allowed with argument --quiet" in capsys.readouterr().err


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_completes_options_values_and_files(monkeypatch, capsys, shell):
    pytest.importorskip("shtab")
    monkeypatch.setattr(sys, "argv", ["misnet-evaluate"])
    with pytest.raises(SystemExit) as end:
        parser_of("evaluate").parse_args(["--print-completion", shell])
    script = capsys.readouterr().out
    assert end.value.code == 0
    assert all(text in script for text in ("misnet-evaluate", "checkpoint", "mnist-fsdd"))


def test_without_shtab_the_message_says_how_to_install_it(parser, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.setattr(sys, "argv", ["tools/train.py"])
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--print-completion", "bash"])
    assert end.value.code == 2
    assert 'shtab is not installed; install it with: pip install -e ".[completion]"' in capsys.readouterr().err


def test_a_tool_that_is_no_command_cannot_be_completed(parser, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools/bench.py"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--print-completion", "bash"])
    assert "--print-completion: bench is not installed as a command" in capsys.readouterr().err


def example_lines(tool, text):
    """The command lines of a tool in its own help, with the arguments of each."""
    start = re.escape(called(tool))
    for line in text.splitlines():
        if found := re.match(rf"\s+{start}((?: .*)?)$", line):
            yield shlex.split(re.split(r"\s{2,}", found[1])[0], comments=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_help_has_examples_and_they_can_be_parsed(tool):
    lines = list(example_lines(tool, parser_of(tool).format_help()))
    assert len(lines) >= 2
    for line in lines:
        assert parser_of(tool, line).parse_args(line) is not None


def test_an_example_that_cannot_be_parsed_is_found():
    assert list(example_lines("train", "  python tools/train.py --epochs 3    what\n")) == [["--epochs", "3"]]
    with pytest.raises(SystemExit):
        parser_of("train").parse_args(["--epohcs", "3"])


@pytest.mark.parametrize("tool", TOOLS)
def test_one_thing_has_one_name(tool):
    options = {name for action in parser_of(tool)._actions for name in action.option_strings}
    assert {name: SYNONYMS[name] for name in options & {*SYNONYMS}} == {}


def test_a_second_name_for_a_thing_is_found():
    other = argparse.ArgumentParser()
    other.add_argument("--batch")
    assert {name for action in other._actions for name in action.option_strings} & {*SYNONYMS} == {"--batch"}
