"""Costs that are worked out after the call: from what was counted at the call, and from nothing that lives longer."""

import gc
import weakref

import numpy as np
import pytest

from snncore import Function, count_ops, no_grad
from snncore import functions as F
from snncore.firing import Firing
from snncore.functions.lif import neuron_cost
from snncore.opcount import CostError, OpCount
from snncore.opcount.cost import Facts, Later, later

SHAPE = (3, 2, 4, 4, 4)  # [T, N, H, W, C]


def ones(shape=4):
    return np.ones(shape, np.float32)


def spikes(rng, largest=1):
    return ((rng.random(SHAPE) < 0.4) * rng.integers(1, largest + 1, SHAPE)).astype(np.uint8)


def analog(rng):
    return rng.normal(1.0, 1.0, SHAPE).astype(np.float32)


def weights(rng, *shape):
    w = rng.standard_normal(shape).astype(np.float32)
    w.ravel()[::3] = 0
    return w


CALLS = {
    "conv": lambda rng: (F.Conv2d(1, 1), spikes(rng), weights(rng, 3, 3, 4, 8), None),
    "conv, graded": lambda rng: (F.Conv2d(1, 1), spikes(rng, 3), weights(rng, 3, 3, 4, 8), None),
    "conv, analog": lambda rng: (F.Conv2d(1, 1), analog(rng), weights(rng, 3, 3, 4, 8), None),
    "linear": lambda rng: (F.Linear(), spikes(rng, 2), weights(rng, 4, 5), None),
    "linear, analog": lambda rng: (F.Linear(), analog(rng), weights(rng, 4, 5), None),
    "lif": lambda rng: (F.LIF(), analog(rng)),
    "batch norm and lif": lambda rng: (F.BatchNormLIF(0 * ones(), ones(), training=False), analog(rng), ones(), ones()),
    "mlif": lambda rng: (
        F.MLIF(),
        spikes(rng),
        spikes(rng, 2),
        np.array(0.5, np.float32),
        ones(()),
        weights(rng, 4, 4, 1),
        None,
    ),
    "sew": lambda rng: (F.SEW(), spikes(rng), spikes(rng)),
}


def run(name, spoil, samples=2):
    """Count one call, and spoil all its arrays before anything is asked."""
    function, *inputs = CALLS[name](np.random.default_rng(0))
    with no_grad(), count_ops(samples=samples, timesteps=3) as ops:
        made = function(*inputs)
    outputs = made if isinstance(made, tuple) else (made,)
    for x in (*inputs, *(y.data for y in outputs)):
        if spoil and x is not None:
            x[...] = 7
    return ops.layers(), ops.facts(), ops.by_sample("spikes"), ops.by_timestep("events_in")


@pytest.mark.parametrize("samples", [2, None])
@pytest.mark.parametrize("name", CALLS)
def test_counts_are_those_of_the_call_whatever_is_written_afterwards(name, samples):
    assert run(name, True, samples) == run(name, False, samples)


def test_the_comparison_sees_other_spikes(monkeypatch):
    expected = run("sew", False)
    monkeypatch.setitem(CALLS, "sew", lambda rng: (F.SEW(), spikes(rng), 0 * spikes(rng)))
    assert run("sew", False) != expected


@pytest.mark.parametrize("name", CALLS)
def test_nothing_that_a_network_made_is_kept(name):
    function, *inputs = CALLS[name](np.random.default_rng(0))
    with no_grad(), count_ops(samples=2, timesteps=3) as ops:
        made = function(*inputs)
    outputs = made if isinstance(made, tuple) else (made,)
    watched = [weakref.ref(x) for x in (*inputs, *(y.data for y in outputs)) if x is not None]
    del function, inputs, made, outputs
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)
    assert ops.totals()


class Charged(F.LIF):
    """A neuron of one's own that states a charge below 0."""

    def cost(self, inputs, outputs):
        return neuron_cost("Charged", inputs[0], outputs[0], False, Firing(), charge=np.full(SHAPE[:2], -1))


def test_a_wrong_cost_of_ones_own_is_refused_at_the_call(rng):
    with no_grad(), count_ops(samples=2), pytest.raises(CostError, match="charge_add: expected counts of at least 0"):
        Charged()(analog(rng))


def test_an_operation_of_ones_own_is_stated_at_once():
    assert type(later(OpCount, (), {"mac": 2})) is OpCount


def test_sums_are_stated_once_and_in_order():
    asked = []

    def state(n):
        asked.append(n)
        return OpCount(mac=n, facts=(Facts("conv", str(n), n, n),))

    one, two = (Later((lambda n=n: state(n),), n == 2) for n in (1, 2))
    both = OpCount(mac=4) + one + two + OpCount(mac=8)
    assert isinstance(both, Later)
    assert both.computes
    assert asked == []
    assert both.totals() == {"mac": 15}
    assert [facts.layer for facts in both.facts] == ["1", "2"]
    assert (both + OpCount(mac=16)).totals() == {"mac": 31}
    assert asked == [1, 2]


def test_facts_that_were_set_stay():
    cost = Later((lambda: OpCount(mac=3, facts=(Facts("conv", "stated", 1, 1),)),), True)
    cost.facts = ()
    assert cost.totals() == {"mac": 3}
    assert cost.facts == ()
    with pytest.raises(AttributeError, match="colour"):
        cost.colour  # noqa: B018


class NotStated(Function):
    def forward(self, x):
        return x + 0

    def backward(self, gy):
        return gy


def test_an_operation_without_a_cost_is_still_refused_at_the_call():
    with no_grad(), count_ops(), pytest.raises(CostError, match="NotStated states no cost"):
        NotStated()(ones())
