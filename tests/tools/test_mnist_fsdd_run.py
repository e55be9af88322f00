"""A whole run on files on disk: images of MNIST and recordings of FSDD, here tiny ones."""

import json

import numpy as np
import pytest

from misnet import MISNetConfig
from tests.datasets.tiny_files import IDX, write_idx, write_recording
from tests.tools.command_line import TINY
from tests.tools.test_train import metrics, settings


@pytest.fixture
def files(tmp_path):
    """A folder with 24 + 12 images and, for every digit, a recording for each split by each of two speakers."""
    rng = np.random.default_rng(3)
    for split, n in (("train", 24), ("test", 12)):
        write_idx(tmp_path / "mnist" / IDX[split, "images"], rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / "mnist" / IDX[split, "labels"], (np.arange(n) % 10).astype(np.uint8))
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for index in (0, 5):
                write_recording(tmp_path / f"fsdd/recordings/{digit}_{speaker}_{index}.wav", digit)
    return tmp_path


def test_train_resume_and_evaluate(files, call):
    run = files / "run"
    options = ["--dataset", "mnist-fsdd", "--data-dir", files, "--output-dir", run, "--limit-train", "16"]
    result = call("train", *TINY, *options, "--data-option", "fsdd_split=speaker")
    assert result.status == 0, result.err
    assert "mnist-fsdd: 16 training and 12 test pairs" in result.out
    rows = metrics(run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(np.isfinite(row["train_loss"]) and row["train_firing_rate"] > 0.01 for row in rows)
    assert settings(run)["data_options"] == {"fsdd_split": "speaker"}
    assert settings(run)["data_dir"] == str(files)
    config = MISNetConfig.from_dict(json.loads((run / "config.json").read_text())["network"])
    assert (config.size, config.visual_channels, config.classes) == (8, 1, 10)

    result = call("train", "--resume", run)  # nothing is left to do, but the files are read and compared
    assert result.status == 0, result.err
    result = call("evaluate", run, "--json", run / "figures.json")
    assert result.status == 0, result.err
    figures = json.loads((run / "figures.json").read_text())
    assert figures["samples"] == sum(row["samples"] for row in figures["classes"]) == 12
    assert figures["test_accuracy_av"] == rows[-1]["test_accuracy_av"]


def test_a_damaged_file_stops_the_run_before_it_begins(files, call):
    path = files / "mnist" / IDX["train", "images"]
    path.write_bytes(path.read_bytes()[:-5])
    result = call("train", *TINY, "--dataset", "mnist-fsdd", "--data-dir", files, "--output-dir", files / "run")
    assert result.status == 1
    assert result.err.startswith(f"error: {path}: ")
    assert not (files / "run").exists()


def test_a_recording_that_changed_meanwhile_is_noticed(files, call):
    options = ["--dataset", "mnist-fsdd", "--data-dir", files, "--output-dir", files / "run"]
    assert call("train", *TINY, *options, "--epochs", "1").status == 0
    write_recording(files / "fsdd/recordings/7_ann_5.wav", 8)
    result = call("train", "--resume", files / "run")
    assert result.status == 1
    assert "the train data changed since the run began" in result.err
