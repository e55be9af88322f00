"""Ctrl-C in the middle of a run saves it, and --resume goes on to the same weights, bit for bit."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from misnet.training.lock import WRITTEN, FolderLock
from snncore.checkpoint import load_checkpoint
from tests.tools import held
from tests.tools.command_line import ROOT, TINY, command, environment
from tests.tools.test_train import metrics, without_times

LONG = [*TINY, "--epochs", "8"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Folder of a run that got Ctrl-C after its first epoch, its exit status and what it printed."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with held.start("train", *LONG, "--output-dir", folder) as process:
        process.send_signal(signal.SIGINT)
        return folder, *held.go_on(process)


def test_ctrl_c_saves_says_how_to_go_on_and_exits_with_130(stopped):
    folder, status, _, err = stopped
    assert status == 130
    assert "stopping after this batch; once more to stop at once" in err
    assert f"stopped and saved; go on with: python tools/train.py --resume {folder}" in err
    assert "Traceback" not in err
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert (metadata["epoch"], metadata["batch"]) == (1, 1)
    assert (folder / "curves.png").stat().st_size > 1000
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


def test_the_lock_knows_every_file_of_a_run(stopped):
    # what it does not know, it would leave behind half-written after a kill; run.log is added to, and never replaced
    assert {path.name for path in stopped[0].iterdir()} - {"run.log"} <= set(WRITTEN)
    assert {"last.safetensors", "weights.csv", "curves.png"} <= {path.name for path in stopped[0].iterdir()}


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_weights_of_one_that_was_never_stopped(stopped, call, tmp_path):
    folder = stopped[0]
    _, metadata = load_checkpoint(folder / "last.safetensors")
    resumed = call("train", "--resume", folder, "--device", "cpu")
    assert resumed.status == 0, resumed.err
    first = resumed.out.splitlines()[0]
    assert first == f"{folder}: going on at epoch {metadata['epoch'] + 1}, batch {metadata['batch'] + 1}"
    whole = call("train", *LONG, "--output-dir", tmp_path / "whole")
    assert whole.status == 0, whole.err
    (x, a), (y, b) = (load_checkpoint(f / "last.safetensors") for f in (folder, tmp_path / "whole"))
    assert x.keys() == y.keys()
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
    assert (a["epoch"], a["batch"], a["best"]) == (b["epoch"], b["batch"], b["best"]) == (8, 0, b["best"])
    assert without_times(metrics(folder)) == without_times(metrics(tmp_path / "whole"))
    log = (folder / "run.log").read_text()
    assert all(f" epoch {epoch}/8  loss " in log for epoch in range(1, 9))
    assert whole.out.splitlines()[-2].partition(";")[0] == resumed.out.splitlines()[-2].partition(";")[0]


def test_a_finished_run_says_so_and_what_to_do_and_changes_nothing(copy_of_run, call):
    folder = copy_of_run()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    result = call("train", "--resume", folder)
    assert (result.status, result.err) == (0, "")
    best = 100 * max(row["test_accuracy_av"] for row in metrics(folder))
    assert result.out.splitlines() == [
        f"{folder}: finished: all 2 epochs are done, best test accuracy {best:.2f} %",
        f"train on with: python tools/train.py --resume {folder} --epochs 3 (or more)",
        f"look closer with: python tools/evaluate.py {folder}",
    ]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_curves_of_a_run_that_was_killed_before_it_drew_them_are_drawn(copy_of_run, call):
    folder = copy_of_run()
    picture = folder / "curves.png"
    right = picture.read_bytes()
    for spoil in (picture.unlink, lambda: (picture.write_bytes(b"older"), os.utime(picture, (1, 1)))):
        spoil()
        result = call("train", "--resume", folder)
        assert (result.status, result.err) == (0, "")
        assert picture.read_bytes() == right


def test_a_finished_run_is_made_longer_and_its_cosine_is_over_the_new_total(copy_of_run, call):
    folder = copy_of_run()
    result = call("train", "--resume", folder, "--epochs", "4", "--device", "cpu")
    assert (result.status, result.err) == (0, "")
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    expected = [0.005 * (1 + np.cos(np.pi * k / n)) for k, n in ((3, 8), (7, 8), (11, 16), (15, 16))]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected, rel=1e-12)
    assert json.loads((folder / "config.json").read_text())["settings"]["epochs"] == 4
    assert "finished: all 4 epochs are done" in call("train", "--resume", folder).out


def test_fewer_epochs_than_are_done_are_refused(copy_of_run, call):
    folder = copy_of_run()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    result = call("train", "--resume", folder, "--epochs", "1")
    assert result.status == 1
    assert "stands at epoch 3, batch 1, beyond the 1 epochs of the run" in result.err
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_epochs_edited_in_the_config_must_be_said(copy_of_run, call):
    folder = copy_of_run(settings={"epochs": 3})
    result = call("train", "--resume", folder)
    assert result.status == 1
    assert "epochs: the run is trained with 2, found 3; say with --epochs which is meant" in result.err
    result = call("train", "--resume", folder, "--epochs", "3", "--device", "cpu")
    assert (result.status, len(metrics(folder))) == (0, 3)


def test_what_may_change_is_said_on_the_command_line_and_recorded_and_said_again_is_no_change(copy_of_run, call):
    folder = copy_of_run()
    result = call("train", "--resume", folder, "--epochs", "3", "--lr", "0.002", "--schedule", "constant")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[:4] == [
        "epochs: 3 from here on, 2 before",
        "lr: 0.002 from here on, 0.01 before",
        "schedule: constant from here on, cosine before",
        f"{folder}: going on at epoch 3, batch 1",
    ]
    assert metrics(folder)[2]["learning_rate"] == 0.002
    assert json.loads((folder / "config.json").read_text())["settings"]["lr"] == 0.002
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert metadata["origin"]["settings"]["lr"] == 0.002
    result = call("train", "--resume", folder, "--epochs", "4", "--lr", "0.002")
    assert result.out.splitlines()[:2] == [
        "epochs: 4 from here on, 3 before",
        f"{folder}: going on at epoch 4, batch 1",
    ]


def test_data_that_were_moved_are_found_by_data_dir(call, tmp_path):
    """A cache at another place, which the run then remembers; --output-dir may be no file."""
    run = tmp_path / "run 1"
    (tmp_path / "file").touch()
    assert call("prepare", "dialpad", "--timesteps", "2", "--out", tmp_path / "a", "--jobs", "1").status == 0
    out = call("train", *TINY, "--data-dir", tmp_path / "a", "--output-dir", run).out
    assert out.endswith(f"look closer with: python tools/evaluate.py '{run}'\n")
    (tmp_path / "a").rename(tmp_path / "b")
    again = ("train", "--config", run / "config.json")
    for line in (
        ("train", "--resume", run),
        again,
        ("evaluate", run),
        ("audit", run),
        ("predict", run, "--sample", "0"),
    ):
        result = call(*line)
        assert result.status == 1
        assert result.err.startswith(
            f"error: {tmp_path / 'a'}: no such folder; the data of this run were in it: --data-dir"
        )
    result = call("train", "--resume", run, "--epochs", "3", "--data-dir", tmp_path / "b")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0] == f"data_dir: {tmp_path / 'b'} from here on, {tmp_path / 'a'} before"
    assert json.loads((run / "config.json").read_text())["settings"]["data_dir"] == str(tmp_path / "b")
    assert call("evaluate", run, "--device", "cpu").err == ""
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        result = call("train", *TINY, "--output-dir", place)
        assert (result.status, result.err) == (
            2,
            f"error: --output-dir: {place}: expected a folder, found a file of that name or above it\n",
        )


def test_options_of_the_process_are_remembered_unless_given_again(copy_of_run, call, monkeypatch):
    folder = copy_of_run(options={"save_every": "90s", "device": "cpu", "memory_limit": None, "tf32": False})
    seen = []
    monkeypatch.setattr("misnet.training.run.Run.run", lambda run: seen.append((run.save_every, run.device)))
    assert call("train", "--resume", folder, "--epochs", "3").status == 0
    assert call("train", "--resume", folder, "--save-every", "2h").status == 0
    assert call("train", "--resume", folder).status == 0
    assert seen == [(90.0, "cpu"), (7200.0, "cpu"), (7200.0, "cpu")]
    assert json.loads((folder / "config.json").read_text())["options"] == {
        "save_every": "2h",
        "device": "cpu",
        "memory_limit": None,
        "tf32": False,
        "cuda_graph": "auto",
        "sync_batch_norm": None,
        "arithmetic": "float32",
        "log": "",
    }


def test_another_machine_is_noted(copy_of_run, call):
    folder = copy_of_run(versions={"numpy": "2.0.0"})
    result = call("train", "--resume", folder, "--epochs", "3")
    assert result.status == 0
    text = f"note: since the run began: numpy {np.__version__} in place of 2.0.0: its last bits may not be those of"
    assert sum(line.startswith(text) for line in result.out.splitlines()) == 1


def test_a_run_ended_before_anything_was_saved_begins_anew(trained, copy_of_run, call):
    folder = copy_of_run()
    for path in folder.iterdir():
        if path.name != "config.json":
            path.unlink()
    result = call("train", "--resume", folder, "--device", "cpu")
    assert result.status == 0
    assert "nothing was saved before the run ended; it begins anew" in result.err
    assert without_times(metrics(folder)) == without_times(metrics(trained[0]))


def test_a_run_that_is_running_is_neither_resumed_nor_begun_again(copy_of_run, call):
    folder = copy_of_run()
    with FolderLock(folder):
        text = f"{folder}: process {os.getpid()} on {socket.gethostname()} is training in this folder"
        result = call("train", "--resume", folder)
        assert (result.status, result.err) == (1, f"error: {text}\n")
        (folder / "config.json").unlink()  # as in the moment before the other wrote it
        result = call("train", *TINY, "--output-dir", folder)
        assert (result.status, result.err) == (1, f"error: {text}\n")


@pytest.mark.slow
def test_four_runs_begun_in_the_same_second_have_folders_of_their_own(tmp_path):
    seeds = range(4)
    pipe = subprocess.PIPE
    arguments = [[*command("train", *TINY), "--epochs", "1", "--seed", str(seed)] for seed in seeds]
    begun = [
        subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=environment(), cwd=tmp_path)
        for line in arguments
    ]
    ends = [(process.communicate(timeout=300), process.returncode) for process in begun]
    assert [status for _, status in ends] == [0] * 4, ends
    folders = list((tmp_path / "runs").iterdir())
    found = sorted(json.loads((f / "config.json").read_text())["settings"]["seed"] for f in folders)
    assert found == list(seeds)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_save_within_the_epoch(tmp_path, number):
    folder = tmp_path / "run"
    # The suite may itself run under nohup, and a signal that is ignored stays so in the processes it begins.
    default = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with held.start("train", *LONG, "--output-dir", folder, **default) as process:
        process.send_signal(number)
        status, *_ = held.go_on(process)
    assert status == 130
    metadata = load_checkpoint(folder / "last.safetensors")[1]
    assert (metadata["epoch"], metadata["batch"]) == (1, 1)
    assert not (folder / ".lock").exists()


@pytest.mark.slow
def test_kills_at_random_moments_and_the_same_weights(call, tmp_path):
    from tests.tools.kills import kill_and_resume

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    line = [*TINY, "--epochs", "20", "--output-dir"]  # so many that one who kills may be late
    assert call("train", *line, whole).status == 0
    kills = kill_and_resume(killed, [*line, str(killed)], kills=4, seed=0, longest=0.5)
    assert len(kills) >= 2
    (x, a), (y, b) = (load_checkpoint(f / "last.safetensors") for f in (killed, whole))
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
    assert without_times(a["rows"]) == without_times(b["rows"])
    assert not [path for path in killed.iterdir() if path.suffix == ".tmp" or path.name == ".lock"]


def test_data_that_changed_meanwhile_are_refused(copy_of_run, call):
    folder = copy_of_run(data={"train": "0" * 64})
    result = call("train", "--resume", folder)
    assert result.status == 1
    assert result.err == f"error: {folder}: the train data changed since the run began, so that it cannot go on\n"


def test_the_second_ctrl_c_stops_at_once(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from misnet.tools import toolkit

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        stop = toolkit.StopRequest()
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == "\nstopping after this batch; once more to stop at once\n"


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [(KeyboardInterrupt(), 130, "error: interrupted\n"), (OSError("disk full"), 1, "error: disk full\n")],
)
def test_an_interrupt_and_an_error_of_the_system_are_one_line(monkeypatch, capsys, raised, status, message):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from misnet.tools import toolkit

    def main():
        raise raised

    with pytest.raises(SystemExit) as end:
        toolkit.run_tool(main)
    assert (end.value.code, capsys.readouterr().err) == (status, message)
    assert sys.exc_info() == (None, None, None)
