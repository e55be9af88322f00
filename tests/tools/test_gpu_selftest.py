"""The self-test passes on the double, fails on a broken kernel, and says what is missing where there is no card."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from snncore.backend import cupy_module
from snncore.kernels import cuda
from tests.support import double
from tests.support.shim.build import compiler
from tests.tools.command_line import ROOT, environment

needs_compiler = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


def test_without_a_card_it_says_so(call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy_module.cache_clear()
    result = call("gpu_selftest", "--output", tmp_path / "report.txt")
    cupy_module.cache_clear()
    assert result.status == 2
    assert result.err == 'error: device "cuda": CuPy is not installed; install it with: pip install -e ".[cuda]"\n'
    assert not (tmp_path / "report.txt").exists()


def test_the_cpu_is_refused(call, tmp_path):
    result = call("gpu_selftest", "--device", "cpu")
    assert result.status == 2
    assert "there is nothing to test on the CPU" in result.err


def test_tf32_is_refused(call):
    result = call("gpu_selftest", "--tf32")
    assert (result.status, result.err) == (2, "error: --tf32: the checks need products of whole float32 numbers\n")


@needs_compiler
@pytest.mark.slow
def test_on_the_double_every_check_passes_and_a_report_is_written(call, tmp_path):
    with double.installed():
        result = call("gpu_selftest", "--quick", "--output", tmp_path / "report.txt")
    assert result.status == 0, result.out + result.err
    report = (tmp_path / "report.txt").read_text()
    assert report.startswith("double, 1 multiprocessors")
    assert "FAIL" not in report
    assert report.count("pass  ") == 3 * 25 + 6 + 3
    for name in ("adam_step", "mlif_backward (spikes)", "convolution forward, events", "training step of MISNet-XS"):
        assert f"\n{name}" in report
    assert "84 checks passed, 0 failed" in report


@pytest.fixture
def checks(monkeypatch):
    """The module of the checks."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    from misnet.tools import gpu_checks

    with double.installed():
        yield gpu_checks


@needs_compiler
def test_a_kernel_that_is_wrong_fails_its_check(checks):
    case = checks.cases(33)["lif_forward"]
    assert checks.run_case("sound", case).passed

    def late(*args):
        s, v = cuda.lif_forward(*args)
        s[0, 0, 0, 0, 0] = 1 - s[0, 0, 0, 0, 0]
        return s, v

    broken = type("broken", (), {"lif_forward": staticmethod(late)})
    assert not checks.run_case("one spike off", case, broken).passed
    nan = type("nan", (), {"sew_add": staticmethod(lambda a, s: (a + s).astype(np.float32) * np.nan)})
    assert not checks.run_case("nan", checks.cases(33)["sew_add"], nan).passed


def test_steps_that_do_not_repeat_fail(checks):
    runs = iter([([1.0], 5000, {}), ([1.0], 5000, {"w": np.ones(2)}), ([1.0], 5000, {"w": np.array([1, 1 + 1e-7])})])
    passed = [o.passed for o in checks.step_checks("cuda", train=lambda *_: next(runs))]
    assert passed == [True, True, False]
    runs = iter([([1.0], 5000, {}), ([1.01], 5010, {}), ([1.01], 5010, {})])
    assert [o.passed for o in checks.step_checks("cuda", train=lambda *_: next(runs))] == [False, False, True]


COMPARISON = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from misnet.tools.gpu_timings import layer_in_pytorch, pytorch_layer
from misnet.tools.roofline import Layer
layer = Layer(timesteps=2, samples=3, size=4, inputs=5, outputs=6)
x = torch.ones(2, 3, 5, 4, 4, requires_grad=True)
spikes = pytorch_layer(layer)(x)
spikes.sum().backward()
print(tuple(spikes.shape), sorted(set(spikes.flatten().tolist()) - {0.0, 1.0}), tuple(x.grad.shape))
print(torch.cuda.is_available() or layer_in_pytorch(layer, 1))
"""


@pytest.mark.slow
def test_the_layer_of_the_comparison_is_the_same_in_pytorch():
    for name in ("torch", "spikingjelly"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name}, to compare with on a card, is not installed")
    arguments = [sys.executable, "-c", COMPARISON, str(ROOT / "tools")]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=100)
    shapes, timing = done.stdout.splitlines()[-2:]
    assert shapes == "(2, 3, 6, 4, 4) [] (2, 3, 5, 4, 4)"
    assert timing == "True" or timing.startswith("not compared: ")
