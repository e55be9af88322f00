"""A training run with --device cuda, on the double of a GPU."""

import csv

import pytest

from tests.support import double
from tests.support.shim.build import compiler
from tests.tools.command_line import TINY

# SGD, since Adam makes a whole step of a gradient that is zero but for rounding, and rounding differs.
LITTLE = [*TINY, "--limit-train", "16", "--epochs", "1", "--optimizer", "sgd"]
ON_GPU = [*LITTLE, "--device", "cuda", "--memory-limit", "1"]


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
def test_a_run_on_a_gpu_has_the_figures_of_the_cpu(call, tmp_path, monkeypatch):
    with double.installed():
        result = call("train", *ON_GPU, "--output-dir", tmp_path / "gpu")
        assert result.status == 0, result.err
        assert "; cuda:0; writing" in result.out
        assert call("evaluate", tmp_path / "gpu", "--device", "cuda:0").status == 0
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")  # faster kernels of the CPU round differently
    assert call("train", *LITTLE, "--output-dir", tmp_path / "cpu").status == 0
    rows = {}
    for name in ("gpu", "cpu"):
        with open(tmp_path / name / "metrics.csv", newline="") as file:
            rows[name] = list(csv.DictReader(file))
    for on_gpu, on_cpu in zip(rows["gpu"], rows["cpu"], strict=True):
        assert float(on_gpu["train_loss"]) == pytest.approx(float(on_cpu["train_loss"]), rel=1e-5)
        assert on_gpu["test_accuracy_av"] == on_cpu["test_accuracy_av"]
        assert float(on_gpu["peak_memory_mib"]) < 100  # of the GPU's arrays, not of the process
