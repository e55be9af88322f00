"""A training run with --device cuda, on the double of a GPU."""

import csv
import re

import pytest

from misnet.tools.toolkit import wants_graph
from tests.support import double
from tests.support.shim.build import compiler
from tests.tools.command_line import TINY

# SGD, since Adam makes a whole step of a gradient that is zero but for rounding, and rounding differs.
LITTLE = [*TINY, "--limit-train", "24", "--epochs", "1", "--optimizer", "sgd"]
EVALUATED = "CUDA graph of the evaluation: on: a recorded batch gives the same bits as one that is launched"
ON_GPU = [*LITTLE, "--device", "cuda", "--memory-limit", "1"]


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
def test_a_run_on_a_gpu_has_the_figures_of_the_cpu(call, tmp_path, monkeypatch):
    with double.installed():
        result = call("train", *ON_GPU, "--output-dir", tmp_path / "gpu")
        assert result.status == 0, result.err
        assert "; cuda:0; writing" in result.out
        assert re.findall(r"^CUDA graph.*: (\w+): ", result.out, re.MULTILINE) == ["on", "on"]  # steps, evaluation
        evaluated = [
            call("evaluate", tmp_path / "gpu", "--device", "cuda:0", "--batch-size", "8", *graph)
            for graph in ((), ("--cuda-graph", "on"))
        ]
    assert [result.err for result in evaluated] == ["", f"{EVALUATED}\n"]  # two batches are not worth it
    assert evaluated[0].out == evaluated[1].out
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")  # faster kernels of the CPU round differently
    result = call("train", *LITTLE, "--output-dir", tmp_path / "cpu")
    assert (result.status, "CUDA graph" in result.out) == (0, False)
    rows = {}
    for name in ("gpu", "cpu"):
        with open(tmp_path / name / "metrics.csv", newline="") as file:
            rows[name] = list(csv.DictReader(file))
    for on_gpu, on_cpu in zip(rows["gpu"], rows["cpu"], strict=True):
        assert float(on_gpu["train_loss"]) == pytest.approx(float(on_cpu["train_loss"]), rel=1e-5)
        assert on_gpu["test_accuracy_av"] == on_cpu["test_accuracy_av"]
        assert float(on_gpu["peak_memory_mib"]) < 100  # of the GPU's arrays, not of the process


@pytest.mark.parametrize(
    ("choice", "tried"), [("auto", [True, False, False, False]), ("on", [True] * 4), ("off", [False] * 4)]
)
def test_what_is_tried_for_a_value_of_cuda_graph(choice, tried):
    where = [("cuda:0", 1), ("cuda:0", 2), ("cpu", 1), ("cpu", 2)]
    assert [wants_graph(choice, device, ranks) for device, ranks in where] == tried


def test_a_run_records_unless_told_not_to_and_may_go_on_otherwise(copy_of_run, call, monkeypatch):
    seen = []
    monkeypatch.setattr("misnet.training.run.Run.run", lambda run: seen.append(run.cuda_graph))
    folder = copy_of_run(options={"cuda_graph": "on"})
    for given in ([], ["--cuda-graph", "auto"], ["--cuda-graph", "off"], []):
        assert call("train", "--resume", folder, "--epochs", "3", *given).status == 0
    assert seen == [True, False, False, False]  # auto on a CPU; off is remembered


def test_an_evaluation_on_a_cpu_says_why_there_is_no_graph_only_if_asked(trained, call, tmp_path):
    picture = tmp_path / "confusion.png"
    result = [call("evaluate", trained[0], "--picture", picture, *x) for x in ((), ("--cuda-graph", "on"))]
    assert [r.err for r in result] == ["", "CUDA graph of the evaluation: off: the arrays are not on a GPU\n"]
    assert result[0].out == result[1].out
