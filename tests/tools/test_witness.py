"""The process beside the ranks of a host: which rank it names when some have ended."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tools.command_line import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs handles of processes (Linux)")
SLEEPS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def ranks():
    """Three processes that wait."""
    started = [subprocess.Popen(SLEEPS, stdin=subprocess.PIPE) for _ in range(3)]
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def witness(ranks):
    """Return witness(log): one that is started and looks at the ranks."""
    started = []

    def start(log=""):
        started.append(look(ranks, log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def look(ranks, log):
    pairs = [f"{k}:{process.pid}" for k, process in enumerate(ranks)]
    started = subprocess.Popen(
        [sys.executable, "-I", "-S", ROOT / "tools" / "witness.py", log, "see there", "here", "3", *pairs],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while handles(started.pid) < 3:
        assert started.poll() is None
    return started


def handles(pid):
    """How many handles of processes a process has."""
    found = []
    for k in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):  # a file that it has closed since
            found.append(os.readlink(f"/proc/{pid}/fd/{k}"))
    return sum("pidfd" in name for name in found)


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def end(*processes):
    for process in processes:
        process.kill()
        process.wait()


def test_the_rank_that_was_killed_is_named_and_logged(ranks, witness, tmp_path):
    log = tmp_path / "run.log"
    beside = witness(str(log))
    end(ranks[1])
    line = f"rank 1 of 3 (process {ranks[1].pid} on here) has ended before its work was done: was it killed?"
    assert beside.stderr.readline() == f"error: {line} see there\n"
    end(ranks[0], ranks[2])  # as a launcher does
    assert beside.communicate(timeout=300) == (None, "")
    assert log.read_text()[20:] == f"{line}\n"


def test_where_others_have_ended_too_all_are_named(ranks, witness):
    beside = witness()
    beside.send_signal(signal.SIGSTOP)  # it is not given a moment
    while state(beside.pid) != "T":
        pass
    end(ranks[2], ranks[0])
    beside.send_signal(signal.SIGCONT)
    said = beside.stderr.readline()
    processes = f"{ranks[0].pid}, {ranks[2].pid}"
    assert said.startswith(
        f"error: ranks 0, 2 of 3 (processes {processes} on here) have ended before their work was done:"
    )
    assert said.endswith("was one of them killed? see there\n")
    end(ranks[1])
    beside.communicate(timeout=300)


def test_at_the_end_of_the_job_nothing_is_said(ranks, witness):
    beside = witness()
    assert beside.communicate("x", timeout=300) == (None, "")
    assert beside.returncode == 0
    assert [process.poll() for process in ranks] == [None] * 3
