"""Which neuron a configuration gives, with which constants, and that each of them trains."""

import math

import numpy as np
import pytest

from misnet import MISNet
from misnet.models.misnet.mlif import make_mlif
from misnet.models.misnet.residual import make_neuron
from misnet.training.step import Totals, train_step
from snncore import Tensor, nn, surrogate
from snncore import functions as F
from snncore.firing import Firing
from snncore.optim import Adam
from tests.misnet.tiny import copy_of, make_batch, tiny_config

CURRENTS = np.array([0.6, 0.6, 1.7, 0.2], np.float32).reshape(4, 1, 1, 1, 1)


def trace(**switches):
    return make_neuron(tiny_config(**switches))(Tensor(CURRENTS)).data.ravel().tolist()


def test_spike_trains_worked_out_by_hand():
    # h: 0.6 | 0.3 + 0.6 = 0.9 | 0.45 + 1.7 = 2.15, fires, 1.15 left | 0.575 + 0.2 = 0.775
    assert trace() == [0, 0, 1, 0]
    # no leak: 0.6 | 1.2, fires, 0.2 left | 1.9, fires, 0.9 left | 1.1, fires
    assert trace(neuron="if") == [0, 1, 1, 1]
    # tau 4, decay 0.75: 0.6 | 1.05, fires, 0.05 left | 1.7375, fires, 0.7375 left | 0.753
    assert trace(tau=4.0) == [0, 1, 1, 0]
    # decay 0.75 and a hard reset: 0.6 | 1.05, fires, 0 left | 1.7, fires, 0 left | 0.2
    assert trace(decay=0.75, reset="hard") == [0, 1, 1, 0]
    # threshold 0.5: 0.6, fires, 0.1 | 0.65, fires, 0.15 | 1.775, fires, 1.275 | 0.8375, fires
    assert trace(v_threshold=0.5) == [1, 1, 1, 1]
    # the same with a hard reset: the rest is lost, and 0.2 stays below
    assert trace(v_threshold=0.5, reset="hard") == [1, 1, 1, 0]
    # no leak and a hard reset: 0.6 | 1.2, fires, 0 left | 1.7, fires, 0 left | 0.2
    assert trace(neuron="if", reset="hard") == [0, 1, 1, 0]
    assert trace(neuron="plif") == trace()  # before it has learnt
    assert trace(neuron="plif", v_threshold=0.5, reset="hard") == [1, 1, 1, 0]


@pytest.mark.parametrize("neuron", nn.NEURONS)
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_every_setting_reaches_every_neuron(neuron, detach_reset, reset):
    rng = np.random.default_rng(0)
    if (neuron, reset) == ("clif", "hard"):
        pytest.skip("CLIF defines a soft reset only")
    switches = {"decay": 0.75, "v_threshold": 0.7, "surrogate": "atan", "surrogate_scale": 3.0}
    layer = make_neuron(tiny_config(neuron=neuron, detach_reset=detach_reset, reset=reset, **switches))
    decay = 1.0 if neuron == "if" else 0.75
    firing = Firing(decay, 0.7, None if reset == "soft" else 0.0, surrogate.ATan(3.0), detach_reset)
    assert layer.firing == firing
    c, gs = rng.normal(0.6, 0.8, (2, 5, 3, 4)).astype(np.float32)
    found, expected = Tensor(c, requires_grad=True), Tensor(c, requires_grad=True)
    layer(found).backward(gs)
    function = F.CLIF if neuron == "clif" else F.LIF  # of which a PLIF that has not learnt yet is one
    function(firing=firing)(expected).backward(gs)
    np.testing.assert_allclose(found.grad, expected.grad, rtol=0, atol=1e-5)


def test_plif_and_clif_take_their_tau_from_the_decay():
    plif = make_neuron(tiny_config(neuron="plif", decay=0.75))
    assert plif.w.data == pytest.approx(-math.log(3), rel=1e-6)  # sigmoid(w) = 1 / tau = 1 / 4
    clif = make_neuron(tiny_config(neuron="clif", decay=0.75, v_threshold=0.8, surrogate="atan", detach_reset=True))
    assert clif.firing == Firing(0.75, 0.8, None, surrogate.ATan(), True)


def test_each_neuron_has_its_own_threshold():
    config = tiny_config(v_threshold=0.7, mlif_v_threshold=0.3, reset="hard", detach_reset=True)
    assert make_neuron(config).firing == Firing(0.5, 0.7, 0.0, surrogate.Sigmoid(), True)
    mlif = make_mlif(config, 2, np.random.default_rng(0))
    assert isinstance(mlif, nn.MLIF)
    assert mlif.firing == Firing(0.5, 0.3, 0.0, surrogate.Sigmoid(), True)


@pytest.mark.parametrize("mlif", ["full", "fused-charge"])
@pytest.mark.parametrize("fusion", ["concat", "mlp", "attention"])
def test_a_frozen_alpha_is_no_parameter_but_is_saved(mlif, fusion):
    neuron = make_mlif(
        tiny_config(mlif=mlif, mlif_fusion=fusion, learn_alpha=False, alpha=0.75), 2, np.random.default_rng(0)
    )
    assert not [name for name, _ in neuron.named_parameters() if "alpha" in name]
    assert {name: float(b.data) for name, b in neuron.named_buffers()} == {"alpha_a": 0.75, "alpha_v": 0.75}


@pytest.mark.parametrize(
    ("neuron", "reset"),
    [("lif", "soft"), ("lif", "hard"), ("if", "soft"), ("if", "hard"), ("plif", "soft"), ("plif", "hard")]
    + [("clif", "soft")],
)
def test_every_neuron_trains_a_step(neuron, reset):
    config = tiny_config(neuron=neuron, reset=reset)
    model = MISNet(config)
    before = copy_of(model.state_dict())
    optimizer = Adam(model.named_parameters(), 1e-2)
    value = train_step(model, optimizer, 1e-2, make_batch(config, 4), Totals(), step=0)
    assert np.isfinite(value)
    for name, p in model.named_parameters():
        assert np.isfinite(p.data).all(), name
        assert (p.data != before[name]).any(), name
