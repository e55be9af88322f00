"""Other ranks that never answer: whatever one waits for, the wait ends in a word, and so does the process."""

import os
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest

from snncore.deadline import Overdue
from snncore.mpi import MPIComm
from snncore.parallel import CommError

ROOT = Path(__file__).parents[2]
CALLS = {
    "sum": lambda comm: comm.sum(np.ones(2)),
    "maximum": lambda comm: comm.max(np.ones(2)),
    "broadcast": lambda comm: comm.broadcast(np.ones(2)),
    "barrier": lambda comm: comm.barrier(),
    "gather": lambda comm: comm.exchange("x"),
    "sum of gradients": lambda comm: comm.begin_sum(np.ones(2)).wait(),
}


class Request:
    def __init__(self, answered):
        self.answered = answered

    def Test(self):
        return self.answered


class World:
    """A communicator of two ranks, of which the other answers so many calls and then no more. It blocks in none."""

    COMM_TYPE_SHARED, IN_PLACE, SUM, MAX = range(4)

    def __init__(self, answers):
        self.answers = answers

    def _ask(self, *_, **__):
        self.answers -= 1
        return Request(self.answers >= 0)

    Iallreduce = Ibcast = Ibarrier = _ask

    def Iallgather(self, here, lengths):
        lengths[...] = here
        return self._ask()

    def Iallgatherv(self, here, there):
        there[0][...] = np.tile(here, 2)
        return self._ask()

    def Idup(self):
        return self, self._ask()

    def Split_type(self, kind):
        return self

    def Get_rank(self):
        return 1

    def Get_size(self):
        return 2

    def Free(self): ...


class Told(MPIComm):
    def fail(self, reason, status=1):
        raise CommError(reason)


@pytest.fixture(autouse=True)
def fake_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=World))


@pytest.mark.parametrize(("name", "answers"), [*((name, 2) for name in CALLS), ("gather", 3)])
def test_no_call_waits_for_ever(name, answers):
    """Two answers are to the start; a gather asks twice, for lengths and then for what has them."""
    comm = Told(World(answers), timeout=0.03)
    began = time.monotonic()
    with pytest.raises(CommError, match=rf"waited 0 s for the other ranks \(in a {name}\): one of them hangs"):
        CALLS[name](comm)
    assert 0.03 < time.monotonic() - began < 5


@pytest.mark.parametrize("answers", [0, 1])
def test_a_start_that_nobody_answers(answers):
    with pytest.raises(CommError, match=r"\(in a start\)"):
        Told(World(answers), timeout=0.03)


def test_a_sum_that_was_begun_goes_on_when_it_is_asked_for():
    waiting, done = (Told(World(n), timeout=0.03).begin_sum(np.ones(2)) for n in (2, 3))
    assert (waiting.test(), done.test()) == (False, True)
    done.wait()


def test_who_is_answered_does_not_fail():
    """That the tests above can fail."""
    for name, call in CALLS.items():
        assert call(Told(World(9), timeout=0.03)) == (["x", "x"] if name == "gather" else None)


# Finalize and Abort of mpi4py keep the interpreter: these sleep in C with its lock held, as those do.
PROGRAM = """
import ctypes, sys, types
hold = lambda *_: ctypes.PyDLL(None).sleep(20)
class MPI:
    class COMM_WORLD: Get_size = staticmethod(lambda: 2)
    Finalize = staticmethod(hold)
sys.modules["mpi4py"] = types.SimpleNamespace(MPI=MPI)
from snncore import launcher, mpi
mpi.ABORT = 0.1
class Here(mpi.MPIComm):
    rank, size = 1, 2
    def __init__(self, *_): self.comm = types.SimpleNamespace(Abort=hold)
mpi.MPIComm = Here
"""


@pytest.mark.parametrize(
    ("lines", "status", "said"),
    [
        ("launcher.world(); print('done')", 1, "Timeout (0:00:00.100000)!"),
        ("Here().fail('its reason', 3)", 1, "error: rank 1 of 2 on"),
    ],
    ids=["the end of MPI", "the end of a job that failed"],
)
def test_what_mpi_never_returns_from_ends_the_process(lines, status, said):
    own = os.environ | {"PYTHONPATH": str(ROOT), "PMI_SIZE": "2", "SNNCORE_COMM_TIMEOUT": "0.1"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM) + lines], capture_output=True, text=True, env=own, timeout=60
    )
    assert time.monotonic() - began < 15
    assert (done.returncode, done.stderr.startswith(said)) == (status, True), done.stderr
    assert ("in _finalise" in done.stderr) == (said[0] == "T")
    assert ("Timeout" in done.stderr) == (said[0] == "T")


class Event:
    done = False


def test_what_a_gpu_was_told_and_does_not_do_is_named_once():
    found, events = [], [Event(), Event(), Event()]
    events[0].done = True
    clock = Overdue(0.05, lambda *what: found.append(what))
    for name, event in zip(("sum", "maximum", "broadcast"), events, strict=True):
        clock.add(name, event)
    clock.thread.join(10)
    assert not clock.thread.is_alive()
    ((name, waited),) = found
    assert (name, 0.05 < waited < 5) == ("maximum", True)


def test_a_gpu_that_is_slow_but_goes_on_is_not_late():
    """Each of six takes 0.1 s, of the 0.3 s that one may take."""
    found, events = [], [Event() for _ in range(6)]
    clock = Overdue(0.3, lambda *what: found.append(what))
    for event in events:
        clock.add("sum", event)
    for event in events:
        time.sleep(0.1)
        event.done = True
    time.sleep(0.1)
    assert (found, len(clock.told)) == ([], 0)
