"""Networks that the project does not know go through all command lines: one module and one entry is all it takes."""

import json
import runpy
import shlex
import shutil
import sys

import numpy as np
import pytest

from misnet.datasets.registry import REGISTRY, register
from misnet.models import registry
from misnet.training.folder import load_run
from snncore.checkpoint import load_checkpoint
from tests.misnet.toys.data import ENTRY
from tests.support.markup import faults
from tests.tools.test_train import metrics, without_times

TOYS = {
    "one": ("tests.misnet.toys.one_stream", "--model one --limit-train 40 --limit-eval 20 --timesteps 2 --size 8"),
    "three": ("tests.misnet.toys.three_streams", "--model three --dataset triple --model-lr 0.5"),
}
DENSE = {"one": 64 * 16 + 16 * 10, "three": 3 * ((5 + 6 + 7) * 6 + 18 * 2 + 6 * 2)}  # products of the linear layers
HEADS = {"one": ["digit"], "three": ["all", "touch"]}
COMMON = "--epochs 3 --batch-size 8 --lr 0.01 --device cpu"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    monkeypatch.setattr("misnet.models.options.MODELS", registry.MODELS)
    for name, (module, _) in TOYS.items():
        registry.register(name, module, f"toy with streams: {name}")
    monkeypatch.setitem(REGISTRY, "triple", ENTRY)


def arguments(name, *more):
    return (*shlex.split(TOYS[name][1]), *shlex.split(COMMON), *more)


def assert_done(result):
    """The command did its work, and had nothing to say but perhaps that kernels are compiled once."""
    said = [line for line in result.err.splitlines() if not line.startswith("snncore: compiling")]
    assert (result.status, said) == (0, [])


def run(call, name, folder, *more):
    result = call("train", *arguments(name, "--output-dir", folder, *more))
    assert_done(result)
    return result


@pytest.mark.parametrize("name", TOYS)
def test_trained_stopped_resumed_evaluated_and_audited(call, tmp_path, monkeypatch, name):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    printed = run(call, name, whole).out.splitlines()
    assert len(printed) == 1 + 3 + 2
    header = "epoch," + ",".join(
        f"{split}_{column}"
        for split in ("train", "test")
        for column in ("loss", *(f"accuracy_{head}" for head in HEADS[name]), "firing_rate")
    )
    lines = (whole / "metrics.csv").read_text().splitlines()
    assert lines[0] == header + ",learning_rate,samples_per_second,peak_memory_mib"
    rows = metrics(whole)
    for line, row in zip(printed[1:4], rows, strict=True):
        accuracies = " ".join(f"{head} {100 * row[f'test_accuracy_{head}']:.1f}%" for head in HEADS[name])
        assert f"  test {accuracies}  firing rate {row['test_firing_rate']:.3f}  " in line
    assert (rows[-1]["test_firing_rate"] > 0) == (name == "three")
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]

    asked = []
    with monkeypatch.context() as patch:
        patch.setattr("misnet.tools.toolkit.StopRequest.__call__", lambda self: asked.append(1) or len(asked) == 2)
        assert call("train", *arguments(name, "--output-dir", parts)).status == 130
    _, metadata = load_checkpoint(parts / "last.safetensors")
    assert (metadata["epoch"], metadata["batch"]) == (0, 2)
    assert list(metadata["totals"]["correct"]) == HEADS[name]
    resumed = call("train", "--resume", parts, "--device", "cpu")
    assert_done(resumed)
    (x, _), (y, _) = (load_checkpoint(folder / "last.safetensors") for folder in (whole, parts))
    assert x.keys() == y.keys()
    for key in x:
        np.testing.assert_array_equal(x[key], y[key], err_msg=key)
    assert without_times(metrics(parts)) == without_times(rows)

    figures, audited, shown = (tmp_path / f for f in ("figures.json", "audit.json", "audit.html"))
    evaluated = call("evaluate", parts, "--json", figures, "--device", "cpu")
    assert_done(evaluated)
    found = json.loads(figures.read_text())
    for head in HEADS[name]:
        accuracy = rows[-1][f"test_accuracy_{head}"]
        assert found[f"test_accuracy_{head}"] == accuracy
        assert f"{100 * accuracy:6.2f} %" in evaluated.out
    assert np.trace(found["confusion"]) == round(rows[-1][f"test_accuracy_{HEADS[name][0]}"] * found["samples"])
    assert (parts / "confusion.png").exists()

    result = call("audit", parts, "--rule", "exact", "--json", audited, "--html", shown, "--device", "cpu")
    assert_done(result)
    model, content = load_run(parts)
    assert content["model"] == name
    report = json.loads(audited.read_text())
    assert report["network"] == model.config.to_dict()
    assert report["parameters"] == model.count_parameters()
    assert {line["layer"] for line in report["layers"]} >= {
        path for path, module in model.named_modules() if type(module).__name__ == "Linear"
    }
    assert report["rules"]["exact"]["energy_mj"] > 0
    assert report["samples"] == 20
    assert report["dense"]["mac_per_sample"] == DENSE[name]
    assert shown.read_text().startswith("<!doctype html>")
    shutil.copy(audited, parts / "audit.json")
    assert_done(call("report", parts, "-o", shown, "--device", "cpu"))
    assert "of the test samples right after epoch 3 of 3" in shown.read_text()
    assert faults(shown.read_text()) == []


def test_a_fresh_network_is_audited_by_name(call):
    result = call("audit", "--model", "one", "--limit-eval", "4", "--rule", "exact", "--device", "cpu")
    assert_done(result)
    assert "not trained" in result.out


@pytest.mark.parametrize("name", TOYS)
def test_the_table_of_layers_is_printed_for_any_model(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", ["misnet", "--model", name, "--width", "7"])
    runpy.run_module("misnet", run_name="__main__")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    config = registry.config_class(name)(width=7)
    assert rows[-1] == ["total", f"{registry.build(name, config).count_parameters():,}"]
    assert any(row[1] == "Linear" and row[-2] == "7]" for row in rows[1:-1])


def test_a_switch_with_the_name_of_a_training_option_is_set_by_itself(call, tmp_path):
    run(call, "three", tmp_path / "run")
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (content["network"]["lr"], content["settings"]["lr"]) == (0.5, 0.01)
    given = ("--config", tmp_path / "run" / "config.json", "--model-lr", "0.25", "--epochs", "1", "--device", "cpu")
    copied = call("train", *given, "--output-dir", tmp_path / "copy")
    assert copied.status == 0, copied.err
    content = json.loads((tmp_path / "copy" / "config.json").read_text())
    assert (content["model"], content["network"]["lr"], content["settings"]["lr"]) == ("three", 0.25, 0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model three", "dialpad: the network takes the stream 'touch', the data set offers 'audio', 'visual'"),
        (
            "--model one --dataset triple --data-option 'names=[\"touch\"]'",
            "triple: the network takes the stream 'visual', the data set offers 'touch'",
        ),
        ("--model one --colours 3", "--colours: dialpad has 1, found 3"),
        ("--model one --width 0.5", "argument --width: invalid int value"),
        ("--model one --variant S", "unrecognized arguments: --variant S"),
        ("--model four", "argument --model: invalid choice: 'four'"),
        (
            "--model three --dataset triple --augment flip,timeshift",
            "augment: timeshift changes the stream 'audio', triple has touch, visual, words",
        ),
    ],
)
def test_what_does_not_go_together_is_one_sentence_and_writes_nothing(call, tmp_path, options, message):
    result = call("train", *shlex.split(options), "--device", "cpu", "--output-dir", tmp_path / "run")
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "run").exists()


def test_a_model_and_the_config_of_another_are_refused(call, tmp_path):
    run(call, "three", tmp_path / "run", "--epochs", "1")
    result = call(
        "train", "--config", tmp_path / "run" / "config.json", "--model", "one", "--output-dir", tmp_path / "x"
    )
    assert (result.status, result.err) == (2, "error: --model: --config is of three, found one\n")
    result = call("audit", tmp_path / "run", "--model", "three")
    assert (result.status, result.err) == (2, "error: RUN_DIR: the run sets the network; also found --model\n")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for changes, message in (
        ({"model": "four"}, f"model: expected one of {', '.join(registry.MODELS)}, found 'four'"),
        ({"model": "one"}, "unknown switch entries, lr, norm"),
    ):
        (tmp_path / "run" / "config.json").write_text(json.dumps(config | changes))
        result = call("evaluate", tmp_path / "run")
        assert result.status == 1
        assert result.err.startswith(f"error: {tmp_path / 'run' / 'config.json'}: {message}")


def test_a_last_batch_of_one_sample_is_one_sentence_where_it_cannot_be_trained_on(call, tmp_path):
    samples = ("--data-option", "samples=17", "--timesteps", "1")  # 8 + 8 + 1
    result = call("train", *arguments("three", *samples, "--output-dir", tmp_path / "run"))
    assert result.status == 2
    assert result.err.startswith("error: batch_size: batch 3 of an epoch has one sample, which this network cannot")
    assert result.err.count("\n") == 1
    run(call, "three", tmp_path / "fine", *samples, "--no-norm")  # no normalisation, no trouble
    run(call, "three", tmp_path / "more", "--data-option", "samples=17", "--timesteps", "2")


@pytest.mark.parametrize("tool", ["evaluate", "audit"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('classes=["right","left"]', "classes: the run was trained on left, right; triple has right, left"),
        ('classes=["left","right","up"]', "classes: the run was trained on left, right; triple has left, right, up"),
        ("entries=4", "entries: the network has (5, 6, 7), triple has (4, 5, 6)"),
        (
            'names=["touch","visual"]',
            "triple: the network takes the stream 'words', the data set offers 'touch', 'visual'",
        ),
    ],
)
def test_other_data_than_a_run_can_take_are_refused(call, tmp_path, tool, option, message):
    run(call, "three", tmp_path / "run", "--epochs", "1")
    result = call(tool, tmp_path / "run", "--data-option", option, "--device", "cpu")
    assert (result.status, result.err) == (2, f"error: {message}\n")


def test_names_that_are_taken_are_refused():
    for add in (lambda: registry.register("misnet", "x", "y"), lambda: register("dialpad", ENTRY)):
        with pytest.raises(ValueError, match="name: expected one that is not taken, found"):
            add()


def test_a_data_set_of_other_streams_is_prepared_and_trained_from_its_cache(call, tmp_path):
    assert call("prepare", "triple", "--timesteps", "3", "--out", tmp_path / "cache", "--jobs", "1").status == 0
    run(call, "three", tmp_path / "direct")
    run(call, "three", tmp_path / "cached", "--data-dir", tmp_path / "cache")
    assert without_times(metrics(tmp_path / "direct")) == without_times(metrics(tmp_path / "cached"))
