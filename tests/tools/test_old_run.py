"""A run folder that was written before there was more than one model: it goes on, and is evaluated and audited.

tests/tools/data/run_of_version_0_1 was written by the code of that version, stopped in the evaluation of its first
epoch: config.json names neither model nor classes, the right answers of the three heads are a list without names.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from snncore.checkpoint import load_checkpoint
from tests.tools.test_any_model import assert_done
from tests.tools.test_train import metrics, weights

OLD = Path(__file__).parent / "data" / "run_of_version_0_1"
HEADER = (
    "epoch,train_loss,train_accuracy_av,train_accuracy_a,train_accuracy_v,train_firing_rate,test_loss,test_accuracy_av,"
    "test_accuracy_a,test_accuracy_v,test_firing_rate,learning_rate,samples_per_second,peak_memory_mib"
)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    return tmp_path / "run"


def test_it_is_of_the_old_form():
    assert set(json.loads((OLD / "config.json").read_text())) == {"settings", "network", "data", "versions"}


def test_it_goes_on_and_has_the_same_columns(folder, call):
    result = call("train", "--resume", folder, "--device", "cpu")
    assert_done(result)
    assert result.out.startswith(f"{folder}: going on at epoch 1, batch 5\n")
    assert (folder / "metrics.csv").read_text().splitlines()[0] == HEADER
    first, second = metrics(folder)
    assert [32 * first[f"train_accuracy_{head}"] for head in ("av", "a", "v")] == [2, 3, 4]  # of the checkpoint
    assert first["train_loss"] == pytest.approx(17.97923231124878 / 32)
    assert second["epoch"] == 2
    assert 0 < second["train_firing_rate"] < 1


def test_it_is_evaluated_and_audited(folder, call, tmp_path):
    result = call("evaluate", folder, "--device", "cpu", "--json", tmp_path / "figures.json")
    assert_done(result)
    assert json.loads((tmp_path / "figures.json").read_text())["samples"] == 16
    result = call("audit", folder, "--device", "cpu", "--rule", "exact")
    assert_done(result)
    assert result.out.startswith("MISNet-XS, 8x8, T=2, on dialpad (test): 16 samples, 6,284 parameters\n")


@pytest.mark.parametrize("tool", ["evaluate", "audit"])
def test_data_of_other_streams_are_refused_though_it_names_no_classes(folder, call, tool, monkeypatch):
    from misnet.datasets.registry import REGISTRY
    from misnet.datasets.sets.dialpad import Dialpad

    class Colours(Dialpad):
        visual_channels = 3

    class Eleven(Dialpad):
        class_names = (*map(str, range(11)),)

    for kind, message in (
        (Colours, "visual_channels: the network has 1, dialpad has 3"),
        (Eleven, "classes: the network has 10, dialpad has 11"),
    ):
        monkeypatch.setitem(REGISTRY, "dialpad", type(REGISTRY["dialpad"])(kind, "x", 8, 5))
        result = call(tool, folder, "--device", "cpu")
        assert (result.status, result.err) == (2, f"error: {message}\n")


def test_a_switch_that_came_later_means_what_was_done_before(folder, call, tmp_path):
    assert "head_scale" not in json.loads((OLD / "config.json").read_text())["network"]
    for path in folder.glob("*.safetensors"):
        path.unlink()  # as if it had been killed before its first save: it begins anew
    (folder / "metrics.csv").unlink(missing_ok=True)
    result = call("train", "--resume", folder, "--device", "cpu")
    assert "nothing was saved before the run ended; it begins anew" in result.err
    with_file = call("train", "--config", OLD / "config.json", "--device", "cpu", "--output-dir", tmp_path / "again")
    assert with_file.status == 0, with_file.err
    assert json.loads((tmp_path / "again" / "config.json").read_text())["network"]["head_scale"] == 1.0
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert metadata["origin"]["network"]["head_scale"] == 1.0
    x, y = weights(folder), weights(tmp_path / "again")
    assert x.keys() == y.keys()
    assert all(np.array_equal(x[name], y[name]) for name in x)
