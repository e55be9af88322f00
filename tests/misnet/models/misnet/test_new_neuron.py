"""A neuron of one's own, added as CONTRIBUTING.md says: kernel, function, layer, table; the rest follows."""

from dataclasses import replace

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.step import Totals, train_step
from snncore import Tensor, check_gradients, count_ops, nn
from snncore import functions as F
from snncore.energy import apply_rule
from snncore.functions.lif import charged_entries, neuron_backward, neuron_cost, neuron_lead
from snncore.kernels import reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.reference.membrane import reset, reset_slopes
from snncore.opcount.cost import OpCount
from snncore.optim import Adam
from snncore.surrogate import Sigmoid, fire, spike_dtype
from tests.misnet.tiny import make_batch, tiny_config
from tests.snncore.calls import differentiate


# kernels/reference/steady.py
def steady_forward(c, v0, firing):
    """h[t] = v[t-1] - leak + c[t], leak = 1 - decay; fire and reset as LIF. Returns (s, v[T])."""
    s, v = np.empty(c.shape, spike_dtype(c)), v0
    for t in range(len(c)):
        h = c[t] if v is None else v - (1 - firing.decay) + c[t]
        s[t] = fire(h - firing.v_threshold, firing.surrogate)
        v = reset(h, s[t], firing)
    return s, v


def steady_backward(gs, gv, c, s, v0, firing):
    """BPTT of `steady_forward`, whose spikes are s: (gc, gv0)."""
    charged, v = [], v0
    for t in range(len(c)):
        h = c[t] if v is None else v - (1 - firing.decay) + c[t]
        charged.append(h)
        v = reset(h, s[t], firing)
    gc, gv = np.empty_like(c), np.zeros_like(c[0]) if gv is None else gv
    for t in reversed(range(len(c))):
        by_h, by_s = reset_slopes(charged[t], s[t], firing)
        gtotal = gs[t] if firing.detach_reset else gs[t] + gv * by_s
        gv = gc[t] = gtotal * firing.surrogate.derivative(charged[t] - firing.v_threshold) + gv * by_h
    return gc, gv


# functions/steady.py
class SteadyLeak(F.LIF):
    """An IF neuron that loses a constant leak = 1 - decay in each step: h[t] = v[t-1] - leak + c[t]; else as LIF."""

    def forward(self, c, v0=None):
        s, v = self.kernels.steady_forward(c, v0, self.firing)
        self.save(c, s, v0)
        return (s, v) if self.return_state else s

    def backward(self, gs, gv=None):
        c, s, v0 = self.saved
        return self.kernels.steady_backward(gs, gv, c, s, v0, self.firing)

    def cost(self, inputs, outputs):
        """Cost of an IF neuron, and a subtraction for each entry that finds a membrane."""
        c, v0 = inputs
        leaks = OpCount(neuron_lead(c.shape), neuron_add=charged_entries(c.shape, v0 is not None))
        return neuron_cost(self.name, c, outputs[0], v0 is not None, replace(self.firing, decay=1.0)) + leaks

    def cost_backward(self, inputs, outputs):
        c, v0 = inputs
        return neuron_backward(c, outputs[0], v0 is not None, replace(self.firing, decay=1.0))


# nn/neurons.py
class SteadyLayer(nn.LIF):
    """Layer of it."""

    def forward(self, c, norm=None):
        return self.run(SteadyLeak(firing=self.firing), (c if norm is None else norm(c),))


@pytest.fixture(autouse=True)
def added(monkeypatch):
    """What the two __init__ files and the table would say."""
    monkeypatch.setattr(reference, "__all__", [*reference.__all__, "steady_backward", "steady_forward"])
    monkeypatch.setattr(reference, "steady_forward", steady_forward, raising=False)
    monkeypatch.setattr(reference, "steady_backward", steady_backward, raising=False)
    monkeypatch.setitem(nn.NEURONS, "steady", SteadyLayer)


@pytest.mark.parametrize("choice", ["auto", "reference"])
def test_trace_by_hand(monkeypatch, choice):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    # leak 0.25: 0.75 | 0.5 + 0.75 = 1.25 fires, 0.25 left | 0 + 0.75 = 0.75
    s, v = SteadyLeak(0.75, return_state=True)(np.full((3, 1), 0.75, np.float32))
    assert s.data.ravel().tolist() == [0, 1, 0]
    assert v.data.tolist() == [0.75]


@pytest.mark.parametrize("v_reset", [None, -0.3])
def test_gradient(v_reset):
    rng = np.random.default_rng(0)
    c, v0 = rng.normal(0.8, 0.7, (5, 2, 3)), rng.normal(0.0, 0.5, (2, 3))
    function = SteadyLeak(0.75, 1.0, v_reset, Sigmoid(2.0), return_state=True)
    assert check_gradients(function, [c, v0], relaxed=True, rtol=1e-8, atol=1e-9) < 1e-8


def test_with_decay_one_it_is_the_if_neuron():
    rng = np.random.default_rng(0)
    c, gs = rng.normal(0.8, 0.7, (2, 5, 4, 3)).astype(np.float32)
    with use_kernels("reference"):  # the new neuron has no others
        found, expected = (differentiate(kind(1.0), [c], [gs]) for kind in (SteadyLeak, F.LIF))
    for a, b in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_count():
    c = np.full((3, 2, 4), 0.75, np.float32)  # T, N, neurons
    with count_ops(backward=True) as ops:
        s = SteadyLeak(0.75)(Tensor(c, requires_grad=True))
        s.backward(np.ones(c.shape, np.float32))
    totals = ops.calls[0].cost.totals()
    expected = {"neuron_add": 2 * 8, "charge_add": 2 * 8, "compare": 24, "spikes": 8, "reset_add": 8, "places": 24}
    assert {name: totals.get(name, 0) for name in (*expected, "leak_mul")} == expected | {"leak_mul": 0}


def test_a_misnet_of_it_is_built_by_the_table_trains_and_is_counted():
    config = tiny_config(neuron="steady", decay=0.75, v_threshold=0.4, mlif_v_threshold=0.4, reset="hard")
    model = MISNet(config)
    assert isinstance(model.stages[0].unimodal["a"].neuron, SteadyLayer)
    batch = make_batch(config, 4)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    assert np.isfinite(train_step(model, Adam(model.named_parameters(), 1e-2), 1e-2, batch, Totals(), step=0))
    assert all((p.data != before[name]).any() for name, p in model.named_parameters())
    with count_ops() as ops:
        model(*(Tensor(x) for x in batch[:2]))
    counted = [call for call in ops.calls if call.cost.facts and call.cost.facts[0].layer == "SteadyLeak"]
    assert len(counted) == sum(isinstance(m, SteadyLayer) for _, m in model.named_modules()) > 8
    assert apply_rule("exact", ops).energy_mj > 0
