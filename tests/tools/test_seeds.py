"""train.py --seeds: a folder for each, what is done is not done again, and what they reach is summed up."""

import csv
import gc
import json
import shlex
import weakref

import numpy as np
import pytest

from misnet.tools.seeds import train_seeds
from misnet.training.step import Diverged
from tests.tools.command_line import TINY
from tests.tools.test_any_model import registered as registered
from tests.tools.test_train import metrics, weights, without_times

STOP = "misnet.tools.toolkit.StopRequest.__call__"
TRIPLE = shlex.split("--model three --dataset triple --model-lr 0.5 --epochs 2 --batch-size 8 --lr 0.01 --device cpu")


def summary(folder):
    with open(folder / "summary.csv", newline="") as file:
        return next(csv.DictReader(file))


def test_each_seed_is_the_run_of_that_seed_and_what_is_done_is_left_alone(call, tmp_path, monkeypatch):
    folder, single = tmp_path / "seeds", tmp_path / "single"
    arguments = ("train", *TRIPLE, "--output-dir", folder)
    asked = []
    with monkeypatch.context() as patch:  # before each seed, and after each of 3 + 3 batches an epoch: in seed 1
        patch.setattr(STOP, lambda self: asked.append(1) or len(asked) == 1 + 2 * 6 + 1 + 2)
        result = call(*arguments, "--seeds", "0,1")
    assert result.status == 130
    assert result.err.splitlines()[-1] == f"go on with all seeds: python tools/train.py --resume {folder}"
    assert {path.name for path in folder.iterdir()} == {
        "seeds.json", "seed-0", "seed-1", "summary.csv", "summary.json", "summary.png",
    }  # fmt: skip
    assert summary(folder)["seeds"] == "1"
    first = {path: path.stat().st_mtime_ns for path in (folder / "seed-0").iterdir()}

    result = call("train", "--resume", folder, "--device", "cpu", "--seeds", "2")
    assert result.status == 0, result.err
    assert result.out.startswith(f"{folder / 'seed-0'}: done already, best test accuracy ")
    assert f"{folder / 'seed-1'}: going on at epoch 1, batch 3" in result.out
    assert {path: path.stat().st_mtime_ns for path in (folder / "seed-0").iterdir()} == first
    assert call("train", *TRIPLE, "--seed", "1", "--output-dir", single).status == 0
    assert without_times(metrics(folder / "seed-1")) == without_times(metrics(single))
    x, y = weights(folder / "seed-1"), weights(single)
    assert x.keys() == y.keys()
    assert all(np.array_equal(x[name], y[name]) for name in x)

    accuracies = [metrics(folder / f"seed-{seed}")[-1]["test_accuracy_all"] for seed in (0, 1, 2)]
    found = summary(folder)
    assert found["seeds"] == "3"
    assert float(found["test_accuracy_all_mean"]) == pytest.approx(np.mean(accuracies))
    assert float(found["test_accuracy_all_std"]) == pytest.approx(np.std(accuracies, ddof=1))
    assert f" on triple      3  {found['parameters']:>10}  " in result.out

    again = call(*arguments, "--seeds", "0,1,2")
    assert (again.status, again.err) == (0, "")
    assert again.out.count("done already") == 3
    assert call("compare", folder).out.splitlines()[:2] == again.out.splitlines()[4:6]

    for options, message in (
        (("--seeds", "3", "--width", "4"), "--width: the seeds in {} are trained with 'nothing', found 4;"),
        (("--seeds", "3", "--lr", "0.5"), "--lr: the seeds in {} are trained with 0.01, found 0.5; say the same again"),
    ):
        result = call(*arguments, *options)
        assert (result.status, result.err.startswith(f"error: {message.format(folder)}")) == (2, True)
    result = call("train", "--resume", folder, "--epochs", "3")
    assert (result.status, "takes the settings of all seeds from" in result.err) == (2, True)


def test_a_run_is_gone_before_the_next_one_begins(tmp_path):
    class Cycle:
        def __init__(self):
            self.after_epoch = lambda: self

    alive = []

    def train(options, switches, stop):
        assert not any(run() for run in alive)
        alive.append(weakref.ref(Cycle()))
        raise Diverged("as every seed here")

    gc.disable()
    try:
        assert train_seeds({"seeds": [0, 1, 2], "output_dir": str(tmp_path / "seeds")}, {}, train) == 1
    finally:
        gc.enable()
    assert len(alive) == 3


def test_a_seed_that_diverges_does_not_end_the_others(call, tmp_path, monkeypatch):
    from misnet.training import run

    def train_step(model, optimizer, lr, batch, totals, step, seed=0, *rest):
        if seed == 0:
            raise Diverged("step 0: the loss is nan")
        return real(model, optimizer, lr, batch, totals, step, seed, *rest)

    real = run.train_step
    monkeypatch.setattr(run, "train_step", train_step)
    result = call("train", *TRIPLE, "--epochs", "1", "--seeds", "0,1", "--output-dir", tmp_path / "seeds")
    assert result.status == 1
    assert f"error: {tmp_path / 'seeds' / 'seed-0'}: step 0: the loss is nan\n" in result.err
    assert result.err.endswith("warning: 1 of 2 seeds ended with an error\n")
    assert summary(tmp_path / "seeds")["seeds"] == "1"


@pytest.mark.parametrize("text", ["", "0,", "0,0", "-1", "a", "1.5"])
def test_seeds_that_cannot_be(call, tmp_path, text):
    result = call("train", *TINY, f"--seeds={text}", "--output-dir", tmp_path / "seeds")
    assert result.status == 2
    assert "argument --seeds: expected integers of at least 0, each once, as 0,1,2, found" in result.err
    assert not (tmp_path / "seeds").exists()


def test_wrong_use(call, copy_of_run, tmp_path):
    folder = copy_of_run()
    for arguments, message in (
        ((*TINY, "--seed", "1", "--seeds", "0,1"), "--seed: expected it without --seeds"),
        (("--resume", folder, "--seeds", "0,1"), f"--seeds: {folder} is not a folder of several seeds"),
        ((*TINY, "--seeds", "0,1", "--output-dir", folder), f"--output-dir: {folder} holds a run of one seed already"),
        ((*TINY, "--seeds", "0", "--epochs", "0"), "--epochs: expected an integer of at least 1, found 0"),
    ):
        result = call("train", *arguments)
        assert (result.status, result.err.startswith(f"error: {message}")) == (2, True), result.err
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "seeds.json").write_text(json.dumps({"seeds": ["x"], "options": {}, "switches": {}}))
    for tool, arguments in (("train", ("--resume",)), ("compare", ())):
        result = call(tool, *arguments, tmp_path / "odd")
        assert result.status == 1
        assert result.err.startswith(f"error: {tmp_path / 'odd' / 'seeds.json'}: expected a list of seeds")
