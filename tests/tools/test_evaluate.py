"""tools/evaluate.py: the same figures as in training, a table that adds up, and clear messages."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.tools.command_line import shell
from tests.tools.test_train import metrics

DIGITS = [str(digit) for digit in range(10)]
ACCURACY = re.compile(r"accuracy, (.*?) +(\d+\.\d\d) %")
CLASS = re.compile(r"(\d) +(\d+) +(\d\.\d{3}|-) +(\d\.\d{3}|-) +(\d\.\d{3}|-)")
RATE = re.compile(r"(stages\.\S+|all neurons) +(\d\.\d{4})")


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """What evaluating the trained run printed, the content of its --json file, and its picture."""
    folder = tmp_path_factory.mktemp("evaluated")
    files = folder / "figures.json", folder / "confusion.jpg"
    result = shell("evaluate", trained[0], "--json", files[0], "--picture", files[1], "--device", "cpu")
    assert result.status == 0, result.err
    return result, json.loads(files[0].read_text()), files[1]


def test_accuracies_are_those_of_the_last_line_of_training(trained, evaluated):
    last = metrics(trained[0])[-1]
    found = dict(ACCURACY.findall(evaluated[0].out))
    for text, name in (("both modalities", "av"), ("audio head alone", "a"), ("visual head alone", "v")):
        assert found[text] == f"{100 * last[f'test_accuracy_{name}']:.2f}"
    assert evaluated[0].out.startswith(f"16 samples, loss {last['test_loss']:.4f}\n")
    assert re.search(r"\ball neurons +(\S+)", evaluated[0].out)[1] == f"{last['test_firing_rate']:.4f}"


def test_the_table_by_class_adds_up(evaluated):
    result, figures, _ = evaluated
    found = CLASS.findall(result.out)
    assert all((scores == ["-"] * 3) == (n == "0") for _, n, *scores in found)
    rows = [(name, int(n), *(float(x.replace("-", "0")) for x in scores)) for name, n, *scores in found]
    assert [row[0] for row in rows] == DIGITS
    assert sum(row[1] for row in rows) == figures["samples"] == 16
    matrix = np.array(figures["confusion"])
    for k, (_, n, precision, recall, f1) in enumerate(rows):
        right, said = matrix[k, k], matrix[:, k].sum()
        assert n == matrix[k].sum()
        assert precision == pytest.approx(right / max(1, said), abs=5.1e-4)  # no samples: none right
        assert recall == pytest.approx(right / max(1, n), abs=5.1e-4)
        assert f1 == pytest.approx(2 * right / max(1, n + said), abs=5.1e-4)


def test_the_macro_f1_is_the_mean_of_the_classes_that_occur(evaluated):
    result, figures, _ = evaluated
    matrix = np.array(figures["confusion"])
    occur = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    assert occur.sum() > 0
    mean = np.mean([row["f1"] for row, there in zip(figures["classes"], occur, strict=True) if there])
    assert figures["macro_f1"] == pytest.approx(mean, rel=1e-12)
    assert f"\nmacro F1, both modalities{100 * mean:10.2f} %\n" in result.out


def test_the_json_file_holds_what_was_printed_and_what_training_measured(trained, evaluated):
    result, figures, _ = evaluated
    last = metrics(trained[0])[-1]
    for name in ("loss", "accuracy_av", "accuracy_a", "accuracy_v", "firing_rate"):
        assert figures[f"test_{name}"] == pytest.approx(last[f"test_{name}"], rel=1e-6)
    matrix = np.array(figures["confusion"])
    assert (matrix.shape, matrix.sum()) == ((10, 10), 16)
    assert np.trace(matrix) / 16 == figures["test_accuracy_av"]
    assert [row["class"] for row in figures["classes"]] == DIGITS
    printed = {path: float(rate) for path, rate in RATE.findall(result.out)}
    printed.pop("all neurons")
    assert printed == pytest.approx(figures["firing_rates"], abs=5.1e-5)
    assert len(printed) == 3 * (2 + 4 + 2)  # a stage: two unimodal neurons, four in SEW blocks, two MLIF outputs


def test_the_confusion_matrix_is_drawn(trained, evaluated):
    result, _, picture = evaluated
    assert f"confusion matrix: {picture}" in result.out
    with Image.open(picture) as image:
        assert (image.format, image.height) == ("JPEG", 888)
        assert np.asarray(image.convert("L")).std() > 10
    assert not (trained[0] / "confusion.png").exists()  # as another file was asked for


def test_by_default_the_picture_goes_into_the_run_folder_and_other_data_can_be_chosen(copy_of_run, call):
    folder = copy_of_run()
    others = ("--split", "train", "--limit-train", "12", "--checkpoint", "best", "--batch-size", "5")
    result = call("evaluate", folder, *others, "--json", folder / "figures.json")
    assert result.status == 0, result.err
    figures = json.loads((folder / "figures.json").read_text())
    assert result.out.startswith(f"12 samples, loss {figures['train_loss']:.4f}\n")
    assert sum(row["samples"] for row in figures["classes"]) == 12
    with Image.open(folder / "confusion.png") as image:
        assert image.height == 888


def test_the_size_of_batches_changes_nothing(trained, evaluated, call, tmp_path):
    files = tmp_path / "figures.json", tmp_path / "picture.png"
    call("evaluate", trained[0], "--batch-size", "3", "--json", files[0], "--picture", files[1])
    figures = json.loads(files[0].read_text())
    assert figures["confusion"] == evaluated[1]["confusion"]
    assert figures["test_loss"] == pytest.approx(evaluated[1]["test_loss"], rel=1e-5)
    assert figures["firing_rates"] == evaluated[1]["firing_rates"]


def test_a_run_folder_that_is_missing_or_empty(call, tmp_path):
    for folder, message in (
        (tmp_path, f"{tmp_path / 'config.json'}: no such file; expected the config.json of a training run\n"),
        (tmp_path / "missing", f"{tmp_path / 'missing'}: no such folder; expected that of a training run\n"),
    ):
        result = call("evaluate", folder)
        assert (result.status, result.err) == (1, f"error: {message}")


def test_checkpoints_that_cannot_be_used(copy_of_run, call):
    folder = copy_of_run("other", network={"cells": [1, 1, 2]})
    result = call("evaluate", folder)
    assert result.status == 1
    assert "checkpoint of another architecture" in result.err
    assert "missing: stages.2.cells.1." in result.err
    folder = copy_of_run("damaged")
    (folder / "best.safetensors").write_bytes(b"no tensors")
    result = call("evaluate", folder, "--checkpoint", "best")
    assert result.status == 1
    assert f"error: checkpoint {folder / 'best.safetensors'}: expected a safetensors file" in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size", "0"], "--batch-size: expected at least 1, found 0"),
        (["--device", "gpu"], "error: --device: expected auto, cpu, cuda or cuda:<index>, found 'gpu'"),
        (["--split", "all"], "argument --split: invalid choice: 'all'"),
        (["--limit-eval", "0"], "error: --limit-eval: expected an integer of at least 1, found 0"),
        (["--data-option", "found=1"], "error: options: dialpad has no option found"),
    ],
    ids=lambda x: "_".join(x) if isinstance(x, list) else "",
)
def test_wrong_usage_is_status_2(trained, call, options, message):
    result = call("evaluate", trained[0], *options)
    assert result.status == 2
    assert message in result.err


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--json", "missing/x.json"), 1, "--json: expected a file in a folder that exists, found missing/x.json"),
        (("--picture", "RUN"), 2, "RUN"),
        (
            ("--json", "RUN/config.json"),
            1,
            "--json: expected a file of its own, found RUN/config.json, which is part of",
        ),
        (("--json", "x.png", "--picture", "x.png"), 2, "--picture: expected a file of its own, found x.png"),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_any_work(
    copy_of_run, call, monkeypatch, options, status, message
):
    folder = copy_of_run("kept")
    before = (folder / "config.json").read_bytes()
    monkeypatch.setattr("misnet.tools.evaluate.trained_network", lambda *x: pytest.fail("the run was opened"))
    result = call("evaluate", folder, *(text.replace("RUN", str(folder)) for text in options))
    assert result.status == status
    assert message.replace("RUN", str(folder)) in result.err
    assert (folder / "config.json").read_bytes() == before
