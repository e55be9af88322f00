"""--arithmetic: of a run, remembered with it, and that of its evaluation and audit unless another is asked for."""

import json

import pytest

from misnet.tools import subjects
from misnet.training import run, step
from snncore.kernels.choice import arithmetic_choice
from tests.tools.test_train import metrics


@pytest.fixture
def seen(monkeypatch):
    """The arithmetic of each evaluation and count."""
    found = []
    for module, name in ((run, "evaluate"), (step, "evaluate"), (subjects, "count_batches")):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, own=own, **k: found.append(arithmetic_choice()) or own(*a, **k))
    return found


def test_a_run_keeps_its_arithmetic_and_hands_it_on(copy_of_run, call, seen):
    folder = copy_of_run()
    before = metrics(folder)
    assert call("train", "--resume", folder, "--epochs", str(len(before) + 1), "--arithmetic", "exact").status == 0
    assert json.loads((folder / "config.json").read_text())["options"]["arithmetic"] == "exact"
    figures = folder / "figures.json"
    assert call("evaluate", folder, "--json", figures, "--device", "cpu").status == 0
    found, last = json.loads(figures.read_text()), metrics(folder)[-1]
    assert found["test_firing_rate"] == pytest.approx(last["test_firing_rate"], rel=1e-12)
    assert call("audit", folder, "--rule", "exact", "--device", "cpu").status == 0
    assert call("evaluate", folder, "--arithmetic", "float32", "--device", "cpu").status == 0
    assert seen == ["exact", "exact", "exact", "float32"]
    assert arithmetic_choice() == "float32"


def test_a_run_from_before_there_was_a_choice_goes_on_in_float32(copy_of_run, call, monkeypatch):
    folder = copy_of_run()
    content = json.loads((folder / "config.json").read_text())
    del content["options"]["arithmetic"]
    (folder / "config.json").write_text(json.dumps(content))
    monkeypatch.setenv("SNNCORE_ARITHMETIC", "exact")
    seen = []
    monkeypatch.setattr("misnet.training.run.Run.run", lambda run: seen.append(arithmetic_choice()))
    assert call("train", "--resume", folder, "--epochs", "9").status == 0
    assert call("train", "--resume", folder, "--epochs", "9", "--arithmetic", "exact").status == 0
    assert seen == ["float32", "exact"]


@pytest.mark.parametrize("tool", ["evaluate", "audit"])
def test_exact_sums_on_a_gpu_are_refused(trained, call, monkeypatch, tool):
    monkeypatch.setattr("misnet.tools.toolkit.use_device", lambda *_: "cuda:0")
    result = call(tool, trained[0], "--arithmetic", "exact")
    message = "--arithmetic: exact sums run on the CPU only, found the device cuda:0; add --device cpu"
    assert (result.status, result.err) == (2, f"error: {message}\n")


@pytest.mark.parametrize("tool", ["train", "evaluate", "audit"])
def test_an_arithmetic_that_is_none_is_a_usage_error(trained, call, monkeypatch, tool):
    folder = [] if tool == "train" else [trained[0]]
    result = call(tool, *folder, "--arithmetic", "int8")
    assert result.status == 2
    assert "invalid choice: 'int8'" in result.err
    monkeypatch.setenv("SNNCORE_ARITHMETIC", "int8")
    if tool == "train":  # the others have that of the run
        result = call(tool, "--epochs", "1")
        message = "SNNCORE_ARITHMETIC: expected one of float32, exact, found 'int8'"
        assert (result.status, result.err) == (2, f"error: {message}\n")
