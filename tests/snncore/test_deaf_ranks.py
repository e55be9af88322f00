"""Other ranks that never answer: whatever one waits for, the wait ends in a word, and so does the process."""

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from snncore import deadline, mpi
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


class Clock:
    """In place of `time`: it goes on only where somebody sleeps, or looks again and again."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1e-4
        return self.now

    def sleep(self, seconds):
        self.now += seconds


LIMIT = 60  # seconds: in those of the clock above soon over; a start of MPI, which has them in earnest, is not held up


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Of the ranks; there is no MPI but the one above."""
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=World))
    monkeypatch.setattr(mpi, "time", clock := Clock())
    return clock


@pytest.mark.parametrize(("name", "answers"), [*((name, 2) for name in CALLS), ("gather", 3)])
def test_no_call_waits_for_ever(name, answers, clock):
    """Two answers are to the start; a gather asks twice, for lengths and then for what has them."""
    comm = Told(World(answers), LIMIT)
    began = clock.now
    with pytest.raises(CommError, match=rf"waited 60 s for the other ranks \(in a {name}\): one of them hangs"):
        CALLS[name](comm)
    assert LIMIT < clock.now - began < LIMIT + 0.1


@pytest.mark.parametrize("answers", [0, 1])
def test_a_start_that_nobody_answers(answers):
    with pytest.raises(CommError, match=r"\(in a start\)"):
        Told(World(answers), LIMIT)


def test_a_sum_that_was_begun_goes_on_when_it_is_asked_for():
    waiting, done = (Told(World(n), LIMIT).begin_sum(np.ones(2)) for n in (2, 3))
    assert (waiting.test(), done.test()) == (False, True)
    done.wait()


def test_who_is_answered_does_not_fail():
    """That the tests above can fail."""
    for name, call in CALLS.items():
        assert call(Told(World(9), LIMIT)) == (["x", "x"] if name == "gather" else None)


# Finalize and Abort of mpi4py keep the interpreter: these sleep in C with its lock held, as those do.
PROGRAM = """
import ctypes, sys, types
hold = lambda *_: ctypes.PyDLL(None).sleep(200)
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
    done = subprocess.run(  # one that is held sleeps for longer than this waits
        [sys.executable, "-c", textwrap.dedent(PROGRAM) + lines], capture_output=True, text=True, env=own, timeout=100
    )
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
    clock.thread.join(60)
    assert not clock.thread.is_alive()
    ((name, waited),) = found
    assert (name, waited > 0.05) == ("maximum", True)


@pytest.mark.parametrize(("takes", "late"), [(0.2, []), (0.4, ["sum 0"])])
def test_a_gpu_that_is_slow_but_goes_on_is_not_late(takes, late, clock, monkeypatch):
    """Each of six takes 0.2 s, of the 0.3 s that one may take; or 0.4 s, and then the first is late."""

    class After:
        def __init__(self, seconds):
            self.seconds = seconds

        @property
        def done(self):
            return clock.now >= self.seconds

    class Over(Exception): ...

    def sleep(seconds):
        clock.now += seconds
        if clock.now > 6 * takes + 1:
            raise Over

    monkeypatch.setattr(deadline, "time", types.SimpleNamespace(monotonic=clock.monotonic, sleep=sleep))
    found = []
    overdue = Overdue(0.3, lambda name, waited: found.append(name))
    overdue.thread = threading.current_thread()  # which looks, in place of one of its own
    for k in range(6):
        overdue.add(f"sum {k}", After((k + 1) * takes))
    with pytest.raises(Over) if not late else contextlib.nullcontext():
        overdue._watch()
    assert (found, len(overdue.told)) == (late, 6 if late else 0)
