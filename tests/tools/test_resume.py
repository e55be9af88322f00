"""Ctrl-C in the middle of a run saves it, and --resume goes on to the same weights, bit for bit."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import ROOT, TINY, command, environment
from tests.tools.test_train import metrics, without_times

LONG = [*TINY, "--epochs", "8"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Folder of a run that got Ctrl-C after its first epoch, its exit status and what it printed."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    arguments = command("train", *LONG, "--output-dir", folder)
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
        try:
            for line in process.stdout:
                if line.startswith("epoch 1/"):
                    process.send_signal(signal.SIGINT)
                    break
            out, err = process.communicate(timeout=60)
        except BaseException:
            process.kill()
            raise
    return folder, process.returncode, out, err


def test_ctrl_c_saves_says_how_to_go_on_and_exits_with_130(stopped):
    folder, status, _, err = stopped
    assert status == 130
    assert "stopping after this batch; once more to stop at once" in err
    assert f"stopped and saved; go on with: python tools/train.py --resume {folder}" in err
    assert "Traceback" not in err
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert 1 <= metadata["epoch"] < 8
    assert (folder / "curves.png").stat().st_size > 1000
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


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
    assert whole.out.splitlines()[-2].partition(";")[0] == resumed.out.splitlines()[-2].partition(";")[0]


def test_a_finished_run_says_so_and_changes_nothing(copy_of_run, call):
    folder = copy_of_run()
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".png"}
    result = call("train", "--resume", folder)
    assert result.status == 0, result.err
    assert "best test accuracy" in result.out
    assert "epoch 1/2" not in result.out
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".png"} == before


def test_a_run_can_be_made_longer_by_its_config(copy_of_run, call):
    folder = copy_of_run(settings={"epochs": 3})
    result = call("train", "--resume", folder)
    assert result.status == 0, result.err
    assert [row["epoch"] for row in metrics(folder)] == [1, 2, 3]
    assert json.loads((folder / "config.json").read_text())["settings"]["epochs"] == 3


def test_data_that_changed_meanwhile_are_refused(copy_of_run, call):
    folder = copy_of_run(data={"train": "0" * 64})
    result = call("train", "--resume", folder)
    assert result.status == 1
    assert result.err == f"error: {folder}: the train data changed since the run began, so that it cannot go on\n"


def test_the_second_ctrl_c_stops_at_once(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from misnet.tools import toolkit

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
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
