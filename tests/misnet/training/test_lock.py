"""One run in a folder: the lock holds against other processes, ends with its own, and folders are made once."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from misnet.training.lock import LOCK, WRITTEN, FolderInUse, FolderLock, make_new_folder
from snncore.checkpoint import CheckpointError
from tests.tools.command_line import ROOT

HOLD = """
import sys, time
from pathlib import Path
from misnet.training.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path until its input ends."""
    pipe = subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_which_is_the_first(holder, tmp_path):
    with pytest.raises(FolderInUse, match=rf"process {holder.pid} on .* is training in this folder"):
        FolderLock(tmp_path).__enter__()
    holder.communicate("")
    assert not (tmp_path / LOCK).exists()
    with FolderLock(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_the_lock_of_a_killed_process_is_taken_over(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with FolderLock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    left = [f".{name}.0123456789abcdef.tmp" for name in WRITTEN]
    others = [
        "mine.tmp",
        ".last.safetensors.tmp",
        "last.safetensors",
        ".mine.0123456789abcdef.tmp",
        ".audit.json.0123456789abcdef.tmp",
    ]
    for name in left + others:
        (tmp_path / name).write_text("x")
    with FolderLock(tmp_path):
        pass
    assert {p.name for p in tmp_path.iterdir()} == set(others)


def test_a_folder_that_goes_away_is_no_error_at_the_end(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with FolderLock(folder):
        (folder / LOCK).unlink()
        folder.rmdir()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written to: No such file or directory"):
        FolderLock(tmp_path / "none").__enter__()


def test_folders_made_at_once_are_all_different(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: make_new_folder(tmp_path / "runs" / "name"), range(64)))
    expected = {"name", *(f"name-{k}" for k in range(2, 65))}
    assert {path.name for path in made} == expected == {path.name for path in (tmp_path / "runs").iterdir()}
