"""A disk that is full, a folder that is read-only or deleted: one sentence, status 1, and nothing is lost."""

import shutil
import subprocess
from contextlib import suppress

import numpy as np
import pytest

from misnet.tools.toolkit import said_of
from misnet.training.run import Run
from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import TINY


@pytest.fixture
def disk(tmp_path):
    """A disk of 2 MiB; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted, which takes root on Linux: {error}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    with open(place / "filler", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.log"}


def test_a_full_disk_loses_nothing_and_the_run_goes_on_once_there_is_room(disk, copy_of_run, call):
    elsewhere, folder = copy_of_run(), disk / "run"
    shutil.copytree(elsewhere, folder)
    fill(disk)
    before = content(folder)
    line = ("--epochs", "3", "--device", "cpu")
    result = call("train", "--resume", folder, *line)
    assert result.status == 1
    end = "cannot be written: No space left on device; any earlier file is intact"
    assert result.err.splitlines()[-1] == f"error: {folder / 'metrics.csv'}: {end}"
    assert content(folder) == before
    result = call("evaluate", folder, "--json", disk / "figures.json")
    assert (result.status, result.err.count("No space left on device")) == (1, 2)
    assert "16 samples, loss " in result.out
    assert content(folder) == before
    (disk / "filler").unlink()
    assert call("train", "--resume", folder, *line).status == 0
    assert call("train", "--resume", elsewhere, *line).status == 0
    (x, _), (y, _) = (load_checkpoint(f / "last.safetensors") for f in (folder, elsewhere))
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)


def test_a_disk_that_fills_up_while_training(disk, call, monkeypatch):
    folder, finish = disk / "run", Run._finish_epoch

    def full_in_the_second(run):
        if run.epoch == 1:
            fill(disk)
        finish(run)

    monkeypatch.setattr(Run, "_finish_epoch", full_in_the_second)
    result = call("train", *TINY, "--output-dir", folder)
    assert result.status == 1
    assert ": cannot be written" in result.err.splitlines()[-1]
    assert "No space left on device" in result.err.splitlines()[-1]
    # the checkpoint before the last but one makes room for a new one, so that the next file may be the first that fails
    assert load_checkpoint(folder / "last.safetensors")[1]["epoch"] in (1, 2)
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp" or path.name == ".lock"]


def test_a_disk_that_is_read_only(disk, trained, call):
    folder = disk / "run"
    shutil.copytree(trained[0], folder)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    result = call("train", "--resume", folder, "--epochs", "3")
    assert (result.status, result.err) == (1, f"error: {folder}: cannot be written to: Read-only file system\n")
    result = call("evaluate", folder)
    assert (result.status, result.err) == (
        1,
        f"error: {folder / 'confusion.png'}: cannot be written: Read-only file system\n",
    )
    assert "16 samples, loss " in result.out


def test_a_folder_deleted_while_it_is_trained_in(tmp_path, call, monkeypatch):
    folder, finish = tmp_path / "run", Run._finish_epoch

    def deleted(run):
        shutil.rmtree(folder)
        finish(run)

    monkeypatch.setattr(Run, "_finish_epoch", deleted)
    result = call("train", *TINY, "--output-dir", folder)
    assert result.status == 1
    assert "safetensors: cannot be written to folder" in result.err.splitlines()[-1]
    assert result.err.splitlines()[-1].endswith("No such file or directory; any earlier file is intact")
    assert not folder.exists()


def test_an_error_of_the_system_is_said_without_its_number(tmp_path):
    replaced = OSError(28, "No space left on device", str(tmp_path / "a.png"), None, None)  # as os.replace raises it
    assert said_of(replaced) == f"{tmp_path / 'a.png'}: No space left on device"
    assert said_of(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert said_of(OSError("words of ours")) == "words of ours"
    assert (
        said_of(FileNotFoundError(2, "No such file or directory", b"caf\xe9")) == "caf\\xe9: No such file or directory"
    )
