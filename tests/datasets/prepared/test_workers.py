"""Tasks in one process and in two: results, errors, stops, deaths, and nothing left running."""

import os
import signal
import subprocess
import sys
import time

import pytest

from misnet.datasets import DataError
from misnet.datasets.prepared.workers import run_tasks
from tests.tools.command_line import ROOT, environment


def double(x):
    return 2 * x


def double_and_threads(x):
    return 2 * x, os.environ["OPENBLAS_NUM_THREADS"]


def fail_at_three(x):
    if x == 3:
        raise DataError("three.wav: bad")
    if x > 3:
        time.sleep(0.1)  # the rest would take the other worker five seconds, should the one that fails stand still
    return x


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


def tasks(n):
    return [(i,) for i in range(n)]


def test_in_this_process_it_is_a_plain_loop():
    done = []
    assert list(run_tasks(done.append, tasks(3), 1)) == [None] * 3
    assert done == [0, 1, 2]
    assert list(run_tasks(double, tasks(5), 1, stop=iter([False, False, True]).__next__)) == [0, 2]


def test_two_processes_do_every_task_once(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert sorted(run_tasks(double_and_threads, tasks(20), 2)) == [(x, "1") for x in range(0, 40, 2)]
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_what_was_under_way_is_finished_before_the_error():
    results = []
    with pytest.raises(DataError, match=r"three.wav: bad"):
        results.extend(run_tasks(fail_at_three, tasks(50), 2))
    assert {0, 1, 2} <= set(results)
    assert len(results) < 49


def test_a_stop_ends_after_what_is_under_way():
    count = [0]

    def stop():
        count[0] += 1
        return count[0] > 3

    assert 0 < len(list(run_tasks(double, tasks(1000), 2, stop))) < 20


def test_a_worker_that_dies_is_a_data_error():
    with pytest.raises(
        DataError, match="a worker process died, perhaps for want of memory; run the same command again"
    ):
        list(run_tasks(die, tasks(4), 2))


ORPHANS = """
import sys
from misnet.datasets.prepared.workers import run_tasks
from tests.datasets.prepared.test_workers import wait_and_see

if __name__ == "__main__":
    list(run_tasks(wait_and_see, [(sys.argv[1], i) for i in range(2)], 2))
"""


def wait_and_see(folder, i):
    with open(os.path.join(folder, f"pid{i}"), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(ORPHANS)
    process = subprocess.Popen([sys.executable, script, tmp_path], env=environment(), cwd=ROOT)
    try:
        wait_for(lambda: len([p for p in tmp_path.glob("pid*") if p.read_text()]) == 2)
    finally:
        process.kill()
        process.wait()
    pids = [int(path.read_text()) for path in tmp_path.glob("pid*")]
    wait_for(lambda: not any(alive(pid) for pid in pids))


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
