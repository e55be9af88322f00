"""Standard streams that are closed, full, or cannot hold every letter: the tools end as they would without."""

import os
import subprocess
import sys

import pytest

from tests.tools.command_line import ROOT, TINY, command, environment

PROGRAM = """
import os, sys
sys.path.insert(0, "tools")
import _checkout
from misnet.tools.toolkit import UsageError, run_tool
def main():
    with open(sys.argv[1], "w") as file:
        file.write(f"{file.fileno() > 2} ")
        print("found caf\\u00e9 \\u4e2d \\udce9", flush=True)
        print("a word", file=sys.stderr, flush=True)
        file.write("written")
    if sys.argv[2:]:
        raise UsageError("tau")
    return 0
run_tool(main)
"""


def run(tmp_path, redirection, *more, **variables):
    """Run PROGRAM in a shell with its streams redirected; returns the status, what it wrote, and its output."""
    file = tmp_path / "file"
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}; exit ${{PIPESTATUS[0]}}', "-", sys.executable, "-c", PROGRAM, file, *more],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | variables,
        timeout=300,
    )
    return done.returncode, file.read_text(), done.stdout, done.stderr


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_takes_no_other_file_and_does_not_matter(tmp_path, closed):
    status, written, _, err = run(tmp_path, closed)
    assert (status, written) == (0, "True written")
    assert b"Traceback" not in err


def test_a_reader_that_left_is_no_fault_and_a_full_disk_is(tmp_path):
    status, _, _, err = run(tmp_path, "| true")
    assert (status, err) in ((0, b""), (0, b"a word\n"))  # whether it left before the first line or after it
    status, _, _, err = run(tmp_path, ">/dev/full")
    assert status == 1  # and 2 for wrong usage, whatever becomes of the message
    assert run(tmp_path, "2>&-", "wrong")[0] == 2
    assert err.startswith(b"error: ")
    assert b"No space left on device" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"found caf\\xe9 \\u4e2d \\udce9\n"),
        ({"PYTHONIOENCODING": "latin-1"}, b"found caf\xe9 \\u4e2d \\udce9\n"),
    ],
    ids=["C", "latin-1"],
)
def test_letters_that_a_stream_cannot_hold_are_escapes(tmp_path, variables, printed):
    assert run(tmp_path, "", **variables) == (0, "True written", printed, b"a word\n")


PLAIN = {"SNNCORE_KERNELS": "reference"}  # loading the compiled ones takes a third of such a process
TOOLS = {
    "train": [*TINY, "--epochs", "1", "--output-dir", "RUN"],
    "evaluate": ["TRAINED", "--picture", "RUN.png"],
    "audit": ["TRAINED", "--limit-eval", "4"],
    "prepare": ["dialpad", "--preview", "RUN.png", "--size", "8", "--timesteps", "2"],
    "bench": ["--help"],
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_ends_well_without_streams_and_with_a_reader_that_leaves(trained, tmp_path, tool):
    redirections = ("<&- >&- 2>&-", "| head -1")
    if tool == "train":  # test_without_a_reader_it_trains_to_the_end has the other
        redirections = redirections[:1]
    for number, redirection in enumerate(redirections):
        places = {"RUN": tmp_path / str(number), "RUN.png": tmp_path / f"{number}.png", "TRAINED": trained[0]}
        line = command(tool, *(places.get(x, x) for x in TOOLS[tool]))
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirection}; exit ${{PIPESTATUS[0]}}', "-", *line],
            capture_output=True,
            env=environment() | ({} if tool == "train" else PLAIN),  # compiled ones print, too
            timeout=300,
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        assert all(place.exists() for name, place in places.items() if name in TOOLS[tool])


@pytest.mark.slow
def test_under_an_ascii_locale_folders_have_names_in_any_script(trained, tmp_path):
    variables = environment() | PLAIN | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    folder = os.fsencode(tmp_path) + b"/caf\xe9 \xe4\xb8\xad"  # Latin-1 and UTF-8 in one
    for line in (command("train", *TINY, "--epochs", "1", "--output-dir"), command("evaluate")):
        done = subprocess.run([*line, folder], capture_output=True, env=variables, timeout=300)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"caf\\udce9 \\udce4\\udcb8\\udcad" in done.stdout
    assert {b"last.safetensors", b"curves.png", b"confusion.png"} <= set(os.listdir(folder))
    page = folder + b"/page.html"
    for line in (command("audit", "--rule", "exact", "--spread", "0", "--html"), command("report", "--quick", "-o")):
        done = subprocess.run([*line, page, folder], capture_output=True, env=variables, timeout=300)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        with open(page, "rb") as file:
            assert b"caf\\xe9 \xe4\xb8\xad" in file.read()
