"""--arithmetic: of a run, remembered with it, and that of its evaluation and audit unless another is asked for."""

import json
from contextlib import nullcontext

import pytest

from misnet.tools import subjects
from misnet.training import run, step
from snncore.kernels.choice import arithmetic_choice
from tests.support import double
from tests.support.shim.build import compiler
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
    assert call("audit", folder, "--rule", "exact", "--spread", "0", "--device", "cpu").status == 0
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


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
def test_evaluation_and_audit_on_a_gpu_have_the_figures_of_the_cpu(trained, call, tmp_path):
    """Every digit, spikes and operations among them."""
    found, picture = {}, tmp_path / "confusion.png"
    for device in ("cpu", "cuda"):
        options = ("--arithmetic", "exact", "--device", device)
        figures, audit = tmp_path / f"{device}.json", tmp_path / f"{device}_audit.json"
        with double.installed() if device == "cuda" else nullcontext():
            assert call("evaluate", trained[0], *options, "--json", figures, "--picture", picture).status == 0
            assert call("audit", trained[0], *options, "--json", audit).status == 0
        found[device] = [json.loads(figures.read_text()), json.loads(audit.read_text())]
        assert found[device][1].pop("provenance")["versions"]["kernels"] == "auto"  # it names command, day and device
    assert found["cuda"] == found["cpu"]


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
