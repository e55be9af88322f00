"""Lines on the screen and in run.log, the time that is left, and screens and disks that go away."""

import io
import os
import re
import subprocess
import sys

import pytest

from misnet.training.journal import Journal, duration
from tests.misnet.training.test_plots import make_rows
from tests.tools.command_line import ROOT

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def test_lines_are_printed_and_kept_with_the_time(tmp_path, capsys):
    journal = Journal(tmp_path)
    journal.log("epoch 1/2")
    journal.warn("layer x is dead")
    out, err = capsys.readouterr()
    assert (out, err) == ("epoch 1/2\n", "warning: layer x is dead\n")
    text = (tmp_path / "run.log").read_text()
    assert re.fullmatch(f"{STAMP}epoch 1/2\n{STAMP}warning: layer x is dead\n", text)


HEADS = {"av": "both", "a": "audio", "v": "visual"}


def test_a_log_that_cannot_be_written_is_said_once(tmp_path, capsys):
    journal = Journal(tmp_path / "gone")
    for _ in range(3):
        journal.log("line")
    out, err = capsys.readouterr()
    assert out == 3 * "line\n"
    assert err == f"warning: {tmp_path / 'gone' / 'run.log'}: cannot be written: No such file or directory\n"


def test_a_picture_that_cannot_be_written_is_said_once(tmp_path, capsys):
    journal = Journal(tmp_path)
    journal.folder = tmp_path / "gone"
    for _ in range(2):
        journal.curves(make_rows(2), HEADS)
        journal.draw()
    assert capsys.readouterr().err.count("curves.png: cannot be written: No such file or directory") == 1


def test_curves_are_drawn_where_that_takes_a_twentieth_of_the_time_and_at_the_end(tmp_path, monkeypatch):
    clock, drawn = Clock(), []

    def draws(rows, path, heads):
        drawn.append(len(rows))
        clock.now += 2

    monkeypatch.setattr("misnet.training.journal.plot_curves", draws)
    journal = Journal(tmp_path, clock)
    for epochs, seconds in enumerate((9, 2, 39, 2, 1), 1):
        clock.now += seconds
        journal.curves(make_rows(epochs), HEADS)
    assert drawn == [2, 4]  # half a second is expected of the first; it took 2, and 40 pass until the next
    journal.draw()
    journal.draw()
    assert drawn == [2, 4, 5]


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    journal = Journal(tmp_path)
    monkeypatch.setattr(sys, "stdout", Closed())
    journal.log("one")
    journal.log("two")
    assert capsys.readouterr().err == "warning: standard output is closed; training goes on, see run.log\n"
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line[20:] for line in lines if "warning" not in line] == ["one", "two"]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("step", "said"), [(2.0, ["about 6 min to go"]), (0.1, [])])
def test_the_time_to_go_is_said_after_a_few_steps_if_it_is_long(tmp_path, capsys, step, said):
    clock = Clock()
    journal = Journal(tmp_path, clock)
    seen = []
    for k in journal.timed(range(50), 200):
        clock.now += 100 if k == 0 else step  # the first step compiles
        seen.append(k)
    assert seen == list(range(50))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == said  # (200 - 6) x 2 s


def test_the_time_to_go_is_corrected_after_the_first_whole_epoch(tmp_path, capsys):
    clock = Clock()
    journal = Journal(tmp_path, clock)
    journal.epoch_done(9)  # of an epoch that another process began
    clock.now += 120  # the whole of the next, with its evaluation
    journal.epoch_done(8)
    clock.now += 500
    journal.epoch_done(7)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "about 16 min to go, evaluation and saving as in this epoch"  # 8 x 120 s
    ]
    other = Journal(tmp_path, clock)
    other.epoch_begins()
    clock.now += 3600
    other.epoch_done(3)
    assert capsys.readouterr().out.startswith("about 3 h 0 min to go, ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45.2, "45 s"), (89, "89 s"), (100, "2 min"), (7000, "117 min"), (12000, "3 h 20 min"), (187200, "2 days 4 h")],
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_backend_that_is_not_there_does_not_matter(tmp_path):
    code = (
        "import os; from misnet.pictures import picture_bytes; "
        "from misnet.training.plots import make_figure; figure, _ = make_figure(2, 2); "
        "assert picture_bytes(figure)[:4] == b'\\x89PNG'; assert os.environ['MPLBACKEND'] == 'nonsense'"
    )
    environment = os.environ | {"MPLBACKEND": "nonsense"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
