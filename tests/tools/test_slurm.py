"""The batch script for Slurm, with a `srun` that says what it was asked for."""

import os
import subprocess

from tests.tools.command_line import ROOT

SCRIPT = ROOT / "examples" / "train.slurm"


def test_the_script_starts_a_run_and_goes_on_with_one(tmp_path):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def queued(**variables):
        done = subprocess.run(
            ["bash", SCRIPT], cwd=tmp_path, env={"PATH": path, **variables}, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first = queued(OPTIONS="--dataset crema-d --size 128", MPI="pmix")
    assert first == (
        "--kill-on-bad-exit=1 --mpi=pmix python tools/train.py --output-dir runs/crema-d --dataset crema-d --size 128"
    )
    (tmp_path / "runs" / "crema-d").mkdir(parents=True)
    (tmp_path / "runs" / "crema-d" / "config.json").touch()
    assert queued() == "--kill-on-bad-exit=1 python tools/train.py --resume runs/crema-d"
    assert len(SCRIPT.read_text().splitlines()) == 10
