"""PLIF on a GPU: the decay is read there, and the host does not wait for it."""

import numpy as np
import pytest

from snncore import Tensor, count_ops
from snncore.context import changed
from snncore.functions import PLIF
from snncore.surrogate import Sigmoid
from tests.support import double
from tests.support.double.ledger import events
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


class Own(Sigmoid):
    """A surrogate that the kernels do not know."""


def run(xp, arrays, surrogate):
    """(spikes, gradients of c and w as NumPy arrays, how often the host waited)."""
    c, w, gs = (xp.asarray(a) for a in arrays)
    c, w = Tensor(c, requires_grad=True), Tensor(w, requires_grad=True)
    before = events.copy()
    s = PLIF(surrogate=surrogate)(c, w)
    s.backward(gs)
    waited = (events - before)["sync"]
    return s.numpy(), Tensor(c.grad).numpy(), Tensor(w.grad).numpy(), waited


@pytest.mark.parametrize(
    ("surrogate", "smooth", "waits"), [(Sigmoid(3.0), False, 0), (Own(3.0), False, 1), (Sigmoid(3.0), True, 2)]
)
def test_spikes_and_gradients_are_those_of_the_cpu(rng, monkeypatch, surrogate, smooth, waits):
    arrays = [rng.normal(0.4, 1, (5, 33)), np.array([-0.4]), rng.standard_normal((5, 33))]
    arrays = [a.astype(np.float32) for a in arrays]
    results = []
    for where in ("cpu", "gpu"):
        with monkeypatch.context() as m, double.installed() as cupy, changed("relaxed", smooth):
            if where == "cpu":
                m.setenv("SNNCORE_KERNELS", "reference")
            results.append(run(np if where == "cpu" else cupy, arrays, surrogate))
    (s, gc, gw, _), (on_gpu, gc_on_gpu, gw_on_gpu, waited) = results
    assert waited == waits
    assert 0 < s.mean() < 1
    if smooth:
        np.testing.assert_allclose(on_gpu, s, rtol=1e-6)
    else:
        np.testing.assert_array_equal(on_gpu, s)
    np.testing.assert_allclose(gc_on_gpu, gc, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gw_on_gpu, gw, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("w", "shifts"), [(0.0, 4 * 33), (-0.4, 0)])
def test_a_decay_that_stays_there_is_known_to_the_counting(rng, w, shifts):
    """A learned decay of exactly a half is a shift, and no other, whatever the settings say."""
    c = rng.normal(0.4, 1, (5, 33)).astype(np.float32)
    with double.installed() as cupy, count_ops() as ops:
        PLIF()(Tensor(cupy.asarray(c)), Tensor(cupy.asarray(np.array([w], np.float32))))
    with count_ops() as here:
        PLIF()(Tensor(c), Tensor(np.array([w], np.float32)))
    assert ops.totals() == here.totals()
    assert ops.totals()["leak_shift"] == shifts
