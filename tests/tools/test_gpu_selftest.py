"""The self-test passes on the double, fails on a broken kernel, and says what is missing where there is no card."""

import sys

import numpy as np
import pytest

from snncore import backend
from snncore.backend import cupy_module
from snncore.kernels import cuda
from tests.support import double
from tests.support.shim.build import compiler
from tests.tools.command_line import ROOT

needs_compiler = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


def test_without_a_card_it_says_so(call, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "driver_version", lambda: 0)
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
    assert report.count("pass  ") == 3 * 29 + 12 + 6 + 25 + 12 + 6 + 4 + 6 + 2
    for name in (
        "adam_step",
        "convolution forward, exact, tensor cores",
        "convolution, gradient of weights, tensor cores",
        "mlif_backward (spikes)",
        "convolution forward, events",
        "training step of MISNet-XS",
    ):
        assert f"\n{name}" in report
    assert "160 checks passed, 0 failed" in report


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


@needs_compiler
def test_checks_at_real_sizes_fail_a_broken_kernel_and_go_on_after_an_error(checks):
    from misnet.tools import gpu_real
    from misnet.tools.roofline import Layer

    class Broken:
        def __getattr__(self, name):
            return getattr(cuda, name)

        def lif_forward(self, c, v0, firing):
            s, v = cuda.lif_forward(c, None, firing)  # forgets the carried membrane
            return s, v

        def sew_add(self, a, s):
            raise RuntimeError("out of memory\nand more")

    outcomes = {o.name.partition(" (")[0]: o for o in gpu_real.real_checks(Layer(2, 2, 4, 3, 5), "cuda", Broken())}
    failed = {name for name, o in outcomes.items() if not o.passed}
    assert failed == {"lif_forward, soft reset, carried", "lif_forward, hard reset, carried", "sew_add"}
    assert outcomes["sew_add"].detail == "RuntimeError: out of memory"


@needs_compiler
def test_a_gradient_that_is_off_by_a_bit_fails(checks):
    from misnet.tools import gpu_real
    from misnet.tools.roofline import Layer

    class Broken:
        def conv_backward_weight(self, *args):
            gw = cuda.conv_backward_weight(*args)
            gw[0, 0, 0, 0] = gw[0, 0, 0, 0] * np.float32(1 + 2.0**-23)
            return gw

    layer = Layer(2, 2, 4, 8, 8)
    assert all(o.passed for o in gpu_real.gradient_checks(layer, "cuda"))
    found = list(gpu_real.gradient_checks(layer, "cuda", Broken()))
    assert len(found) == 4
    assert not any(o.passed for o in found)


def test_a_difference_is_infinite_for_what_cannot_be_compared():
    from misnet.tools.gpu_checks import difference

    x = np.array([1.0, 2.0], np.float32)
    assert difference([x], [x]) == 0
    assert difference([x], [x + np.float32(0.5)]) == 0.25
    for wrong in (x[:1], x.astype(np.uint8), np.array([1, np.nan], np.float32)):
        assert difference([x], [wrong]) == np.inf


@needs_compiler
def test_spikes_that_differ_from_the_cpus_are_counted(checks, monkeypatch):
    from misnet.tools import gpu_real

    config = checks.small_config()
    assert gpu_real.spike_check(config, 1, "cuda").passed
    real = gpu_real.spikes_of
    turns = iter(range(9))

    def late(model, streams):
        seen = real(model, streams)
        if next(turns) == 4:  # that of the device
            seen[1] = 1 - seen[1]
        return seen

    monkeypatch.setattr(gpu_real, "spikes_of", late)
    outcome = gpu_real.spike_check(config, 1, "cuda")
    assert not outcome.passed
    assert "first in array 1 of" in outcome.detail
