"""Data that do not come: the rank that waits for them is named."""

import threading
import time
from types import SimpleNamespace

import pytest

from misnet.datasets.batching import hang
from misnet.datasets.batching.hang import _timeout, in_time
from snncore import BackendError
from snncore.parallel import Comm


class Told(Comm):
    def __init__(self):
        self.reasons, self.said = [], threading.Event()

    def fail(self, reason, status=1):
        self.reasons.append(reason)
        self.said.set()


def test_a_batch_that_does_not_come_is_told_with_its_place():
    comm = Told()

    def batches():
        yield 1
        yield 2
        comm.said.wait(60)

    assert list(in_time(batches(), comm, "epoch 3/5", timeout=0.5)) == [1, 2]
    (reason,) = set(comm.reasons)  # a job would have ended with the first
    assert reason.startswith("epoch 3/5: the data gave no batch for 0.5 s (number 3 since the program began")


def test_batches_in_time_pass_however_long_a_step_takes(monkeypatch):
    comm, seen, now = Told(), [], [0.0]
    monkeypatch.setattr(hang, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for batch in in_time(iter([1, 2]), comm, "epoch 1/1", timeout=0.2):
        seen.append(batch)
        now[0] += 1000
        time.sleep(0.1)  # the clock looks every 0.05 s
    assert seen == [1, 2]
    assert comm.reasons == []


def test_what_the_data_raise_is_raised():
    def batches():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(in_time(batches(), Told(), "epoch 1/1", timeout=5))


def test_a_timeout_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("SNNCORE_DATA_TIMEOUT", "-3")
    with pytest.raises(BackendError, match="SNNCORE_DATA_TIMEOUT: expected seconds above 0, found '-3'"):
        _timeout()
