"""tools/train.py: what a run leaves behind, that it repeats bit for bit, and where its settings come from."""

import csv
import gc
import json
import re
import shlex
import subprocess

import numpy as np
import pytest
from PIL import Image

from misnet import MISNet, MISNetConfig
from misnet.tools.train import kept_from_collector
from misnet.training import step
from misnet.training.run import load_model
from snncore import training_step
from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import TINY, command, environment

FILES = {
    "config.json",
    "metrics.csv",
    "weights.csv",
    "last.safetensors",
    "previous.safetensors",
    "best.safetensors",
    "curves.png",
    "run.log",
}
LINE = re.compile(
    r"epoch (\d)/2  loss (\d\.\d{4})  test av (\d+\.\d)% a (\d+\.\d)% v (\d+\.\d)%  "
    r"firing rate (0\.\d{3})  \d+\.\d samples/s  peak memory \d+ MiB"
)


def settings(folder):
    return json.loads((folder / "config.json").read_text())["settings"]


def network(folder):
    return MISNetConfig.from_dict(json.loads((folder / "config.json").read_text())["network"])


def metrics(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def weights(folder, name="last"):
    arrays, _ = load_checkpoint(folder / f"{name}.safetensors")
    return {k: x for k, x in arrays.items() if k.startswith("model/")}


def test_the_run_folder_holds_its_files_and_nothing_else(trained):
    folder, _ = trained
    assert {path.name for path in folder.iterdir()} == FILES
    with Image.open(folder / "curves.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1560, 456))


def test_the_configuration_is_what_was_asked_for_and_what_the_data_have(trained):
    folder, _ = trained
    config = network(folder)
    assert (config.channels, config.cells, config.size, config.timesteps) == ((4, 6, 8), (1, 1, 1), 8, 2)
    assert (config.audio_channels, config.visual_channels, config.classes) == (1, 1, 10)
    found = settings(folder)
    assert (found["optimizer"], found["lr"], found["epochs"], found["batch_size"]) == ("adam", 0.01, 2, 8)
    assert (found["limit_train"], found["limit_eval"], found["seed"], found["dataset"]) == (32, 16, 0, "dialpad")
    data = json.loads((folder / "config.json").read_text())["data"]
    assert all(re.fullmatch("[0-9a-f]{64}", data[split]) for split in ("train", "test"))
    assert data["train"] != data["test"]


def test_a_line_is_printed_for_each_epoch_and_agrees_with_the_metrics(trained):
    folder, result = trained
    header, *lines, best, hint = result.out.splitlines()
    count = MISNet(network(folder)).count_parameters()
    assert header.startswith(
        f"MISNet-XS, {count:,} parameters, T=2, 8x8; dialpad: 32 training and 16 test pairs; cpu, about "
    )
    rows = metrics(folder)
    assert len(lines) == len(rows) == 2
    for line, row in zip(lines, rows, strict=True):
        epoch, loss, av, a, v, rate = map(float, LINE.fullmatch(line).groups())
        assert epoch == row["epoch"]
        assert loss == pytest.approx(row["train_loss"], abs=5.1e-5)
        for percent, name in ((av, "av"), (a, "a"), (v, "v")):
            assert percent == pytest.approx(100 * row[f"test_accuracy_{name}"], abs=0.051)
            assert (16 * row[f"test_accuracy_{name}"]) % 1 == 0
        assert rate == pytest.approx(row["test_firing_rate"], abs=5.1e-4)
        assert row["test_firing_rate"] > 0.01
    assert best.startswith(f"best test accuracy {100 * max(r['test_accuracy_av'] for r in rows):.2f} %")
    assert hint == f"look closer with: python tools/evaluate.py {folder}"
    assert result.err == ""


def test_learning_rate_follows_the_cosine(trained):
    # 4 steps an epoch, 8 in all: the rate of the last step of each epoch is 0.01 (1 + cos(pi k / 8)) / 2, k = 3, 7
    expected = [0.005 * (1 + np.cos(np.pi * k / 8)) for k in (3, 7)]
    assert [row["learning_rate"] for row in metrics(trained[0])] == pytest.approx(expected, rel=1e-12)


def test_checkpoints_hold_the_weights_of_the_last_and_the_best_epoch(trained):
    folder, _ = trained
    model = MISNet(network(folder))
    metadata = load_model(model, folder / "last.safetensors")
    assert (metadata["epoch"], metadata["batch"]) == (2, 0)
    accuracies = [row["test_accuracy_av"] for row in metrics(folder)]
    metadata = load_model(model, folder / "best.safetensors")
    assert metadata["epoch"] == 1 + int(np.argmax(accuracies))
    assert metadata["row"]["test_accuracy_av"] == max(accuracies)


def without_times(rows):
    return [{k: v for k, v in row.items() if k not in ("samples_per_second", "peak_memory_mib")} for row in rows]


def test_the_same_seed_gives_the_same_run_bit_for_bit(trained, call, tmp_path):
    result = call("train", *TINY, "--seed", 0, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    again = weights(tmp_path / "run")
    for name, x in weights(trained[0]).items():
        np.testing.assert_array_equal(again[name], x, err_msg=name)
        assert x.dtype == np.float32
    assert without_times(metrics(tmp_path / "run")) == without_times(metrics(trained[0]))


def test_another_seed_gives_another_run(trained, call, tmp_path):
    result = call("train", *TINY, "--seed", 1, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    other = weights(tmp_path / "run")
    for name, x in weights(trained[0]).items():
        if name.endswith("conv.weight"):
            assert (other[name] != x).any(), name
    assert without_times(metrics(tmp_path / "run")) != without_times(metrics(trained[0]))


QUICK = [*TINY, "--epochs", "1", "--limit-train", "8", "--limit-eval", "8"]


def test_the_paper_s_recipe_is_sgd_with_the_printed_numbers(call, tmp_path):
    arguments = [x for x in QUICK if x not in ("--lr", "0.01")]
    assert call("train", *arguments, "--recipe", "paper", "--output-dir", tmp_path / "run").status == 0
    found = settings(tmp_path / "run")
    names = ("optimizer", "lr", "momentum", "final_lr", "weight_decay", "schedule")
    assert [found[name] for name in names] == ["sgd", 1e-3, 0.9, 1e-5, 1e-4, "cosine"]


def test_a_learning_rate_that_is_given_wins_over_the_recipe(call, tmp_path):
    assert call("train", *QUICK, "--recipe", "paper", "--lr", "0.05", "--output-dir", tmp_path / "run").status == 0
    found = settings(tmp_path / "run")
    assert [found[name] for name in ("optimizer", "lr", "momentum", "final_lr")] == ["sgd", 0.05, 0.9, 1e-5]


def test_the_config_of_another_run_gives_the_same_run(trained, call, tmp_path):
    result = call("train", "--config", trained[0] / "config.json", "--device", "cpu", "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert settings(tmp_path / "run") == settings(trained[0])
    assert network(tmp_path / "run") == network(trained[0])
    for name, x in weights(trained[0]).items():
        np.testing.assert_array_equal(weights(tmp_path / "run")[name], x)


def test_options_override_the_config_of_another_run(trained, call, tmp_path):
    options = ["--limit-train", "8", "--limit-eval", "8", "--epochs", "1", "--neuron", "plif", "--seed", "3"]
    result = call("train", "--config", trained[0] / "config.json", *options, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    changed = {"limit_train": 8, "limit_eval": 8, "epochs": 1, "seed": 3}
    assert settings(tmp_path / "run") == settings(trained[0]) | changed
    assert network(tmp_path / "run").to_dict() == network(trained[0]).to_dict() | {"neuron": "plif"}


def test_the_seed_of_a_run_is_that_of_what_its_layers_draw(call, tmp_path, monkeypatch):
    found = []

    def noted(seed, number):
        found.append((seed, number))
        return training_step(seed, number)

    monkeypatch.setattr(step, "training_step", noted)
    result = call("train", *TINY, "--epochs", 1, "--seed", 7, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert found == [(7, number) for number in range(len(found))] != []


def test_the_collector_looks_at_what_was_there_again_after_a_run():
    gc.unfreeze()  # what the tests keep from it
    try:
        with kept_from_collector():
            frozen = gc.get_freeze_count()
            with kept_from_collector():
                assert gc.get_freeze_count() == frozen > 10_000
            assert gc.get_freeze_count() == frozen
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["| head -1", ">&-"])
def test_without_a_reader_it_trains_to_the_end(tmp_path, redirection):
    line = shlex.join(command("train", *QUICK, "--output-dir", tmp_path / "run"))
    line = f"set -o pipefail; {line} {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), timeout=300)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == [1]
    log = (tmp_path / "run" / "run.log").read_text()
    assert "epoch 1/1  loss" in log
    assert "look closer with" in log
