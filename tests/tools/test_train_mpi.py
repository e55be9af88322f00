"""Training that mpiexec starts as several processes: one run, and an end for all when one of them ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snncore.checkpoint import load_checkpoint
from tests.datasets.prepared.test_workers import alive, wait_for
from tests.misnet.tiny_run import TIMES, read_metrics
from tests.tools.command_line import TINY, command, environment

pytest.importorskip("mpi4py", reason="needs mpi4py and an MPI: pip install mpi4py mpich")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec: pip install mpich")
PLAIN = {"SNNCORE_KERNELS": "reference", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
TEST = [*TINY[: TINY.index("--epochs")], "--batch-size", "8", "--device", "cpu"]


def start(*arguments, ranks=2, tool="train"):
    return subprocess.Popen(
        [MPIEXEC, "-n", str(ranks), *command(tool, *arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment() | PLAIN,
    )


def ended(job, timeout=300):
    out, _ = job.communicate(timeout=timeout)
    return job.returncode, out


def test_two_processes_train_what_one_trains(tmp_path, call, monkeypatch):
    """In float32 at a low rate, so that no rounding turns a spike; float64 at a high one is tested without MPI."""
    options = [*TEST, "--epochs", "1", "--lr", "1e-5", "--sync-batch-norm", "--limit-train", "29"]  # 5 at last: 2 and 3
    status, out = ended(start(*options, "--output-dir", tmp_path / "two"))
    assert status == 0, out
    assert "2 ranks, 4 of 8 samples a step each, batch norm of all ranks together: rank 0 is process" in out
    assert out.count("epoch 1/1") == 1
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    assert call("train", *options, "--output-dir", tmp_path / "one").status == 0
    (row,), (right,) = (read_metrics(tmp_path / name) for name in ("two", "one"))
    for name in right:
        if name not in TIMES:
            assert float(row[name]) == pytest.approx(float(right[name]), rel=1e-4), name


def test_two_processes_evaluate_what_one_does(trained, tmp_path, call, monkeypatch):
    """Threads in place of processes show the same of other commands in `test_ranks`."""
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    options = [trained[0], "--batch-size", "6", "--device", "cpu", "--picture", tmp_path / "confusion.png"]
    one = call("evaluate", *options)
    status, out = ended(start(*options, tool="evaluate"))
    assert (status, out) == (0, one.out)


def test_a_command_that_cannot_share_its_work_says_so(tmp_path):
    status, out = ended(start(tmp_path, tool="report"))
    assert status == 2
    assert "error: expected one process, found 2: only train.py, evaluate.py, audit.py, prepare.py and repr" in out


def test_ranks_of_other_programs_are_refused_with_both_values(tmp_path):
    other = command("train", *TEST, "--epochs", "2", "--output-dir", tmp_path / "run")
    both = subprocess.run(
        [MPIEXEC, "-n", "1", *other, ":", "-n", "1", *other, "--epochs", "3"],
        capture_output=True,
        text=True,
        env=environment() | PLAIN,
        timeout=300,
    )
    assert both.returncode == 2
    assert both.stderr.count("error:") == 1
    assert re.search(r"rank 1 on \S+: settings: epochs: found 3, rank 0 on \S+ has 2;", both.stderr)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_the_job_named_and_another_number_goes_on(tmp_path, call, victim, monkeypatch):
    folder = tmp_path / "run"
    job = start(*TEST, "--epochs", "300", "--save-every", "0.1s", "--output-dir", folder, ranks=3)
    log = folder / "run.log"
    wait_for(lambda: log.exists() and "epoch 1/" in log.read_text())
    found = dict(re.findall(r"rank (\d) is process (\d+)", log.read_text()))
    os.kill(int(found[str(victim)]), signal.SIGKILL)
    status, out = ended(job)  # before a rank has waited for another as long as it may, ten minutes
    assert status != 0
    assert f"error: rank {victim} of 3 (process {found[str(victim)]}" in out
    wait_for(lambda: not any(alive(int(number)) for number in found.values()))
    _, metadata = load_checkpoint(folder / "last.safetensors")  # whole
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    again = call("train", "--resume", folder, "--epochs", metadata["epoch"] + 1)
    assert again.status == 0, again.err
