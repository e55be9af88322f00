"""train.py with samples that choose the epoch, and with data of a seed of their own."""

import json

import numpy as np
import pytest

from misnet.datasets import load_dataset
from misnet.tools.parts import Parts
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import UsageError
from tests.datasets.sets.test_ave import frames_dir as frames_dir
from tests.tools.command_line import TINY
from tests.tools.test_any_model import registered as registered
from tests.tools.test_seeds import TRIPLE
from tests.tools.test_train import metrics, weights


def content(folder):
    return json.loads((folder / "config.json").read_text())


def test_the_data_have_a_seed_of_their_own(call, tmp_path):
    for name, seeds in (("a", ("--seed", "0")), ("b", ("--seed", "1", "--data-seed", "0")), ("c", ("--seed", "1"))):
        result = call("train", *TRIPLE, "--epochs", "1", *seeds, "--output-dir", tmp_path / name)
        assert result.status == 0, result.err
    a, b, c = (content(tmp_path / name)["data"] for name in "abc")
    assert a == b
    assert a["train"] != c["train"]
    x, y = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert not np.array_equal(x["model/out.weight"], y["model/out.weight"])


def test_a_run_with_validation_is_trained_ended_early_evaluated_and_finished(call, tmp_path):
    folder = tmp_path / "run"
    options = ("--val-part", "0.25", "--patience", "1", "--lr", "0", "--epochs", "4")
    result = call("train", *TRIPLE, *options, "--output-dir", folder)
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    found = content(folder)
    assert set(found["data"]) == {"train", "val", "test"}
    whole = load_dataset("triple", "train", timesteps=3)
    parts = Parts(check_settings(found["settings"]))
    train, val = (parts.load(part, None, 3) for part in ("train", "val"))
    assert (len(train) + len(val), parts.names) == (20, ("train", "val", "test"))
    assert sorted([*train.labels, *val.labels]) == sorted(whole.labels)
    assert f"triple: {len(train)} training, {len(val)} validation and 20 test samples; " in lines[0]
    rows = metrics(folder)
    assert len(rows) == 2
    assert "  val all " in lines[1]
    assert lines[3] == "ended early: no better epoch in 1 after epoch 1 of 4"
    figures = [100 * rows[0][f"{part}_accuracy_all"] for part in ("val", "test")]
    assert lines[4].startswith(
        f"best validation accuracy {figures[0]:.2f} %, in epoch 1, whose test accuracy is {figures[1]:.2f} %"
    )
    evaluated = call("evaluate", folder, "--split", "val")
    assert evaluated.out.startswith(f"{len(val)} samples, loss {rows[1]['val_loss']:.4f}\n")
    again = call("train", "--resume", folder)
    assert again.out.splitlines()[0].startswith(f"{folder}: finished: no better epoch in 1 after epoch 1 of 4, best")
    assert again.out.splitlines()[1] == f"train on with: python tools/train.py --resume {folder} --patience 2 (or more)"
    longer = call("train", "--resume", folder, "--patience", "2")
    assert longer.out.startswith("patience: 2 from here on, 1 before\n")
    assert len(metrics(folder)) == 3
    assert content(folder)["settings"]["patience"] == 2


def test_a_data_set_s_own_val_split(frames_dir):
    settings = check_settings({"dataset": "ave", "data_dir": str(frames_dir), "val_split": True, "limit_eval": 5})
    parts = Parts(settings)
    assert parts.names == ("train", "val", "test")
    assert [len(parts.load(part, 16, 2)) for part in parts.names] == [4, 1, 2]
    assert (
        parts.load("val", 16, 2).fingerprint()
        == load_dataset("ave", "val", data_dir=frames_dir, size=16, timesteps=2).fingerprint()
    )


def test_a_cache_is_asked_for_with_the_seed_of_the_data(call, tmp_path):
    done = call("prepare", "dialpad", "--size", "8", "--timesteps", "1", "--out", tmp_path / "cache", "--jobs", "1")
    assert done.status == 0, done.err
    settings = {"data_dir": str(tmp_path / "cache"), "seed": 3}
    with pytest.raises(UsageError, match=r"seed: .* was prepared with 0, found 3; .*, as --data-seed says"):
        Parts(check_settings(settings)).load("train", 8, 1)
    assert len(Parts(check_settings(settings | {"data_seed": 0})).load("train", 8, 1)) == 1437


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--val-part", "1"), "--val-part: expected a number above 0 and below 1, found 1.0"),
        (("--val-part", "0.1", "--val-split"), "--val-split: expected it without val_part, found 0.1"),
        (("--val-split",), "val: dialpad has no val split of its own, found train, test"),
        (("--patience", "2"), "--patience: expected val_part or val_split too, found neither"),
        (("--patience", "0", "--val-part", "0.1"), "--patience: expected an integer of at least 1, found 0"),
        (("--clip-norm", "0"), "--clip-norm: expected a finite number above 0, found 0.0"),
        (("--data-seed", "-1"), "--data-seed: expected an integer of at least 0, found -1"),
    ],
)
def test_wrong_use(call, tmp_path, options, message):
    result = call("train", *TINY, *options, "--output-dir", tmp_path / "run")
    assert (result.status, result.err.startswith(f"error: {message}")) == (2, True), result.err
    assert not (tmp_path / "run").exists()
