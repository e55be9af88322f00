"""Gradients of spikes that two operations took: the kernels of neurons add them, to the bits of an addition before."""

import numpy as np
import pytest

from snncore import Tensor, to_device
from snncore import functions as F
from snncore.firing import Firing
from snncore.kernels import cuda
from snncore.surrogate import Surrogate
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


class Tent(Surrogate):
    """One of its own, which no kernel knows."""

    def primitive(self, x):
        return x.clip(-1, 1) / 2

    def derivative(self, x):
        return (abs(x) < 1) * x.dtype.type(0.5)


def gradients(rng, neuron, times, firing, dtype=np.float32, retain=False):
    """(gradients of what goes into a neuron whose spikes are taken so many times, additions of arrays by CuPy)."""
    x = Tensor(to_device(rng.normal(0.3, 1, (3, 2, 2, 2, 4)).astype(dtype), "cuda"), requires_grad=True)
    y = Tensor(x.data[:, :, ::-1].copy(), requires_grad=True)
    one = [Tensor(to_device(rng.uniform(0.8, 1.2, n).astype(dtype), "cuda"), requires_grad=True) for n in (4, 4, 1, 1)]
    if neuron == "mlif":
        s, _ = F.MLIF(firing=firing)(x, y, one[2], one[3])
    else:
        running = [to_device(np.full(4, k, dtype), "cuda") for k in (0, 1)]
        s = F.BatchNormLIF(*running, firing=firing)(x, *one[:2])
    if retain:
        s.retain_grad()
    weights = [to_device(rng.normal(0, 1, s.shape).astype(dtype), "cuda") for _ in range(times)]
    total = [(F.Mul()(s, Tensor(w))).sum() for w in weights]
    for t in total[1:]:
        total[0] = F.Add()(total[0], t)
    before = ledger.operations["add"]
    total[0].backward()
    found = [t.grad.get() for t in (x, *one) if t.grad is not None]
    return found, ledger.operations["add"] - before, s.grad


@pytest.mark.parametrize("neuron", ["mlif", "batch norm"])
@pytest.mark.parametrize(("times", "additions"), [(1, 0), (2, 0), (3, 2), (4, 3)])
def test_two_gradients_are_read_by_the_kernel(monkeypatch, neuron, times, additions):
    runs = []
    for adds in (True, False):
        monkeypatch.setattr(cuda, "ADDS_GRADIENTS", adds)
        with double.installed():
            runs.append(gradients(np.random.default_rng(3), neuron, times, Firing(0.6, 1.0)))
    assert [n for _, n, _ in runs] == [additions, times - 1]
    for found, expected in zip(runs[0][0], runs[1][0], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.abs(runs[0][0][0]).max() > 0


@pytest.mark.parametrize("neuron", ["mlif", "batch norm"])
def test_where_no_kernel_runs_they_are_added_before(monkeypatch, neuron):
    """A surrogate that the kernels do not know, and float64."""
    for firing, dtype in ((Firing(0.6, 1.0, surrogate=Tent()), np.float32), (Firing(0.6, 1.0), np.float64)):
        runs = []
        for adds in (True, False):
            monkeypatch.setattr(cuda, "ADDS_GRADIENTS", adds)
            with double.installed():
                runs.append(gradients(np.random.default_rng(3), neuron, 2, firing, dtype)[0])
        for found, expected in zip(*runs, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_gradient_that_is_kept_is_the_sum(monkeypatch):
    kept = []
    for adds in (True, False):
        monkeypatch.setattr(cuda, "ADDS_GRADIENTS", adds)
        with double.installed():
            kept.append(gradients(np.random.default_rng(3), "mlif", 2, Firing(0.6, 1.0), retain=True)[2].get())
    np.testing.assert_array_equal(*kept)
