"""Kernels on a GPU put the gradients of parameters where the optimizer keeps them; wherever they cannot, they add."""

import numpy as np
import pytest

from snncore import Tensor
from snncore.functions import MLIF, BatchNorm, Conv2d
from snncore.optim import SGD
from tests.support import double
from tests.support.double.ledger import operations
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


def make(rng, xp, *shape):
    return Tensor(xp.asarray(rng.standard_normal(shape).astype(np.float32)), requires_grad=True)


def network(rng, xp):
    """Parameters by name, and a function of them that uses each once."""
    p = {"w": make(rng, xp, 3, 3, 4, 5), "gamma": make(rng, xp, 5), "beta": make(rng, xp, 5)}
    p |= {"alpha_a": make(rng, xp), "alpha_v": make(rng, xp, 1)}
    p |= {"w_a": make(rng, xp, 4, 4, 1), "w_v": make(rng, xp, 4, 4, 1)}
    x = xp.asarray(rng.integers(0, 2, (2, 3, 4, 4, 4)).astype(np.uint8))
    running = [xp.asarray(np.full(5, v, np.float32)) for v in (0, 1)]

    def run():
        y = BatchNorm(*running)(Conv2d(padding=1)(x, p["w"]), p["gamma"], p["beta"])
        s_a, s_v = MLIF()(y, y, p["alpha_a"], p["alpha_v"], p["w_a"], p["w_v"])
        return (s_a * 0.5 + s_v).sum()

    return p, run


def test_gradients_are_written_where_the_optimizer_keeps_them_and_copied_nowhere(gpu, rng):
    p, run = network(rng, gpu)
    run().backward()
    expected = {name: x.grad.get() for name, x in p.items()}
    optimizer = SGD(p, 0.1)
    optimizer.zero_grad()
    loss = run()
    before = operations.copy()
    loss.backward()
    done = operations - before
    assert done["assign"] == done["astype"] == 0
    for name, x in p.items():
        assert x.grad is x.grad_home, name
        np.testing.assert_array_equal(x.grad.get(), expected[name], err_msg=name)
    run().backward()  # is added to what is there
    for name, x in p.items():
        assert x.grad is x.grad_home, name
        np.testing.assert_allclose(x.grad.get(), 2 * expected[name], rtol=1e-6, err_msg=name)


def test_a_weight_that_is_used_twice_gets_the_sum(gpu, rng):
    w, x = make(rng, gpu, 3, 3, 4, 4), gpu.asarray(rng.standard_normal((2, 4, 4, 4)).astype(np.float32))
    alpha, currents = make(rng, gpu), gpu.asarray(rng.integers(0, 2, (3, 2, 4, 4, 4)).astype(np.uint8))

    def backward():
        conv = Conv2d(padding=1)
        conv(conv(x, w), w).sum().backward()  # in two calls
        s_a, s_v = MLIF()(currents, currents, alpha, alpha)  # and twice in one
        (s_a * 0.5 + s_v).sum().backward()
        return w.grad.get(), alpha.grad.get()

    expected = backward()
    SGD({"w": w, "alpha": alpha}, 0.1).zero_grad()
    for found, e in zip(backward(), expected, strict=True):
        np.testing.assert_allclose(found, e, rtol=1e-6)


def test_on_a_cpu_nothing_has_another_place_to_go():
    call = Conv2d()
    call._kernels, call.homes = np, (None, np.zeros(3))
    assert call.into(1) == {}
