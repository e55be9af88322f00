"""The least and the most that a network can count: held against networks that are silent, or fire everywhere."""

import numpy as np
import pytest

from snncore import Ops, Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import ON_REQUEST, RULES, apply_rule
from snncore.energy.limits import all_firing, largest_event, silent
from tests.snncore.opcount.networks import ZOO, made


class Spiking(nn.Module):
    """Events to neurons, three times, with an average, a maximum and a SEW addition between; weights of 1."""

    def __init__(self, v_threshold):
        self.first, self.second = nn.Conv2d(2, 3, 3, 1, 1, False), nn.Conv2d(3, 3, 3, 2, 1, False)
        self.fire, self.again = nn.LIF(v_threshold=v_threshold), nn.LIF(v_threshold=v_threshold)
        self.head = nn.Linear(3, 4)
        for p in self.parameters():
            p.data[...] = 1

    def forward(self, x):
        s = self.fire(self.first(x))
        s = self.again(self.second(F.MaxPool2d(2, 2)(F.SEW()(s, s))))
        return self.head(F.GlobalAvgPool()(F.SEW()(s, s)))


def counted(network, x):
    with no_grad(), count_ops(samples=x.shape[1]) as ops:
        network(Tensor(x))
    return ops


def figures(ops, rule):
    reading = apply_rule(rule, ops)
    return reading.mac, reading.ac, reading.energy_mj


def test_limits_are_what_a_silent_and_an_all_firing_network_count():
    x = np.zeros((3, 2, 8, 8, 2), np.uint8)
    half = x.copy()
    half[::2, :, ::3] = 1
    nothing, some, everything = (
        counted(Spiking(1e6), x),
        counted(Spiking(4.0), half),
        counted(Spiking(0.5), np.ones_like(x)),
    )
    assert 0 < some.totals()["spikes"] < some.totals()["places"]
    assert everything.totals()["spikes"] == everything.totals()["places"]
    assert largest_event(some) == 2
    for rule in ("exact", "exact-memory", "exact-dram", "paper", "lemaire"):
        assert figures(silent(some), rule) == pytest.approx(figures(nothing, rule), rel=1e-12)
        assert figures(all_firing(some), rule) == pytest.approx(figures(everything, rule), rel=1e-12)
    folded = Ops()
    folded.batches = 0
    for _ in range(3):
        folded.extend(counted(Spiking(4.0), half))
    assert len(folded.calls) == len(some.calls)
    for rule in ("exact", "exact-memory", "exact-dram", "paper", "lemaire"):  # three batches, three times as much
        for limit in (silent, all_firing):
            expected = [3 * value for value in figures(limit(some), rule)]
            assert figures(limit(folded), rule) == pytest.approx(expected, rel=1e-12)
    shown = all_firing(some).totals()
    found = everything.totals()
    same = ("ac_binary", "ac_graded", "ac_graded_by_value", "reset_add", "spikes", "pool_add", "residual_add")
    assert [shown[name] for name in same] == [found[name] for name in same]


@pytest.mark.parametrize("name", ZOO)
def test_every_rule_lies_between_its_limits(name, rng):
    network, x, axis, timesteps = made(name, rng)
    with no_grad(), count_ops(samples=x.shape[axis], timesteps=timesteps) as ops:
        network.eval()(Tensor(x))
    check_between(ops)


def check_between(ops):
    low, high = silent(ops), all_firing(ops)
    assert low.samples == high.samples == ops.samples
    for rule in [*RULES, "exact-dram"]:
        least, seen, most = (apply_rule(rule, of).energy_mj for of in (low, ops, high))
        slack = 1e-12 * seen
        assert least - slack <= seen <= most + slack, (rule, least, seen, most)


def test_a_limit_that_is_too_low_is_found(rng):
    network, x, axis, timesteps = made("images", rng)
    with no_grad(), count_ops(samples=x.shape[axis], timesteps=timesteps) as ops:
        network.eval()(Tensor(x))
    on_spikes = next(call for call in ops.calls if any(f.kind == "conv" and f.spikes for f in call.cost.facts))
    on_spikes.cost.blocks[0][1]["ac_binary"] = 10**6  # more than there are places
    with pytest.raises(AssertionError, match="exact"):
        check_between(ops)


def test_rules_on_request_stand_apart():
    assert {*RULES}.isdisjoint(ON_REQUEST)
