"""A layer in one pass in evaluation: when, with which bits, and that who watches sees the operations one by one."""

from contextlib import nullcontext

import numpy as np
import pytest

from snncore import Tensor, arithmetic, count_ops, monitor, nn, no_grad, observe
from snncore import functions as F
from snncore.context import changed, context, current_path
from snncore.energy import apply_rule
from snncore.functions.conv_batch_norm_lif import ConvBatchNormLIF
from snncore.graph import GraphError
from snncore.kernels.choice import use_kernels
from snncore.tape import Unwritten
from tests.snncore.kernels.cpu.layers import draw_spikes


class Layer(nn.Module):
    def __init__(self, rng, neuron=nn.LIF, stride=1, bias=False, **settings):
        self.conv = nn.Conv2d(8, 16, 3, stride, padding=1, bias=bias, rng=rng)
        self.bn = nn.BatchNorm(16)
        self.neuron = neuron(**settings)
        self.bn.running_mean.data[...] = rng.normal(0, 0.2, 16)
        self.bn.running_var.data[...] = rng.uniform(0.02, 0.1, 16)

    def forward(self, x):
        return nn.conv_norm_neuron(x, self.conv, self.bn, self.neuron)


def plain(layer, x):
    return layer.neuron(layer.conv(x), layer.bn).data


@pytest.fixture
def passes(monkeypatch):
    """The calls of the pass, as they are made."""
    made = []
    forward = ConvBatchNormLIF.forward
    monkeypatch.setattr(ConvBatchNormLIF, "forward", lambda self, *x: made.append(x[0].shape) or forward(self, *x))
    return made


@pytest.fixture
def x(rng):
    return Tensor(draw_spikes(rng, (4, 2, 6, 6, 8), 0.2, largest=1))


@pytest.mark.parametrize("kernels", ["reference", "event", "dense", "auto"])
@pytest.mark.parametrize("sums", ["float32", "exact"])
def test_one_pass_has_the_bits_of_the_layers(x, passes, rng, kernels, sums):
    for layer in (Layer(rng), Layer(rng, nn.IF, stride=2, v_reset=0.0), Layer(rng, nn.LIF, tau=3.0, v_threshold=0.5)):
        layer.eval()
        with no_grad(), use_kernels(kernels), arithmetic(sums):
            s = layer(x).data
            np.testing.assert_array_equal(s, plain(layer, x))
        assert s.dtype == np.uint8
        assert 0.05 < s.mean() < 0.95
    assert len(passes) == 3


@pytest.mark.parametrize(
    "change",
    [
        "training",
        "gradient",
        "unfused",
        "relaxed",
        "bias",
        "plif",
        "clif",
        "stateful",
        "subclass",
        "analog",
        "float64",
        "observed",
    ],
)
def test_otherwise_the_layers_run(x, passes, rng, change):
    class Other(nn.LIF):
        pass

    neuron = {"plif": nn.PLIF, "clif": nn.CLIF, "subclass": Other}.get(change, nn.LIF)
    settings = {"stateful": True} if change == "stateful" else {}
    layer = Layer(rng, neuron, bias=change == "bias", **settings).eval()
    if change == "training":
        layer.train()
    if change == "float64":
        layer.astype(np.float64)
    if change == "analog":
        x = Tensor(x.data.astype(np.float32))
    names = []
    with (
        changed("grad_enabled", change == "gradient"),
        changed("fused", change != "unfused"),
        changed("relaxed", change == "relaxed"),
        observe(lambda function, *_: names.append(function.name)) if change == "observed" else nullcontext(),
    ):
        layer(x)
    assert names == (["Conv2d", "BatchNormLIF"] if change == "observed" else [])
    assert passes == []


def test_a_carried_membrane_is_that_of_a_longer_call(rng):
    x = draw_spikes(rng, (6, 2, 5, 5, 8), 0.3, largest=1)
    layer, kept = Layer(rng).eval(), Layer(rng, stateful=True).eval()
    kept.load_state_dict(layer.state_dict())
    with no_grad():
        whole = layer(Tensor(x)).data
        parts = [kept(Tensor(part)).data for part in (x[:2], x[2:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_who_wants_currents_sees_what_ran_before(x, passes, rng):
    layer = Layer(rng).eval()
    with no_grad():
        with count_ops() as ops, monitor(layer) as seen:
            s = layer(x).data
        with count_ops() as right:
            plain(layer, x)
        assert passes == []
        np.testing.assert_array_equal(layer(x).data, s)
    assert ops.totals() == right.totals()
    np.testing.assert_array_equal(seen["neuron"].spikes, s)
    np.testing.assert_array_equal(seen["neuron"].charge[0], layer.bn(layer.conv(x)).data[0])
    assert passes == [x.shape]


class Two(nn.Module):
    """Two layers, of which the first takes spikes from outside, and a connection."""

    def __init__(self, rng):
        self.a, self.b = Layer(rng), Layer(rng)
        self.b.conv = nn.Conv2d(16, 16, 3, padding=1, bias=False, rng=rng)

    def forward(self, x):
        s = self.a(x)
        return F.SEW()(self.b(s), s)


@pytest.mark.parametrize("kernels", ["reference", "auto"])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("settings", [{"samples": 2, "timesteps": 4}, {}])
def test_counts_of_one_pass_are_those_of_the_layers(x, passes, rng, kernels, fixed, settings):
    net = Two(rng).eval()
    x.data[2] = x.data[1]  # a timestep of the input is repeated
    counted = []
    with use_kernels(kernels), no_grad():
        for one_by_one in (False, True):
            with observe(lambda *_: None, currents=one_by_one), count_ops(fixed=fixed, **settings) as ops:
                net(x)
            counted.append(ops)
            assert len(passes) == 2
    found, right = counted
    assert [(c.layer, c.function, c.step) for c in found.calls] == [(c.layer, c.function, c.step) for c in right.calls]
    assert [call.layer for call in found.calls[:2]] == ["a.conv", "a.neuron"]
    assert found.layers() == right.layers()
    assert found.facts() == right.facts()
    assert found.by_timestep("spikes") == right.by_timestep("spikes")
    if settings:
        assert found.by_sample("ac_binary") == right.by_sample("ac_binary")
    assert apply_rule("exact", found).hanging == apply_rule("exact", right).hanging
    assert found.totals()["ac_repeated"] > 0


def test_who_needs_no_currents_is_told_of_the_layers_and_of_no_entry_between(x, passes, rng):
    layer = Layer(rng).eval()
    told = []
    with no_grad(), observe(lambda *call: told.append((current_path(), *call)), currents=False):
        s = layer(x).data
    assert passes == [x.shape]
    assert [(path, function.name) for path, function, *_ in told] == [("conv", "Conv2d"), ("neuron", "BatchNormLIF")]
    (_, _, taken, (y,)), (_, _, (c, *_), (out,)) = told
    assert taken[0] is x.data
    assert out is s
    assert c is y
    assert isinstance(y, Unwritten)
    assert (y.shape, y.dtype, y.ndim, y.size) == (s.shape, np.float32, 5, s.size)
    with pytest.raises(TypeError):
        y[0]
    assert context.currents == 0
    assert context.scope == []


def test_spikes_are_monitored_in_one_pass(x, passes, rng):
    layer = Layer(rng).eval()
    with no_grad():
        with monitor(layer, record="spikes") as seen:
            s = layer(x).data
        assert passes == [x.shape]
        np.testing.assert_array_equal(seen["neuron"].spikes, s)
        with monitor(layer, record=("spikes", "output")):
            layer(x)
    assert passes == [x.shape]


def test_the_operation_itself_states_what_its_parts_state(x, rng):
    layer = Layer(rng).eval()
    statistics = layer.bn.running_mean.data, layer.bn.running_var.data, layer.bn.eps
    function = ConvBatchNormLIF((1, 1), (1, 1), *statistics, firing=layer.neuron.firing)
    inputs = x, layer.conv.weight, layer.bn.weight, layer.bn.bias
    with no_grad():
        with count_ops() as ops:
            s = function(*inputs).data
        with count_ops() as right:
            np.testing.assert_array_equal(plain(layer, x), s)
    assert ops.totals() == right.totals()
    assert ops.totals()["charge_add"] > 0
    with pytest.raises(GraphError, match="ConvBatchNormLIF: is for evaluation, under no_grad"):
        function(*inputs)


def test_a_layer_that_does_not_fit_is_named_as_before(rng):
    layer = nn.Sequential(Layer(rng)).eval()
    with no_grad(), pytest.raises(ValueError, match=r"^0\.conv \(Conv2d\): expected x .* with the same Ci"):
        layer(Tensor(np.ones((2, 1, 6, 6, 7), np.uint8)))


@pytest.mark.parametrize("choice", ["float32", "exact"])
def test_negated_weights_are_other_weights(rng, choice):
    layer = Layer(rng).eval()
    x = Tensor(draw_spikes(rng, (3, 2, 6, 6, 8), 0.2))
    with no_grad(), arithmetic(choice):
        for change in (slice(None), np.s_[..., 3], np.s_[0, 0, :2, 0]):
            layer(x)
            layer.conv.weight.data[change] *= -1
            with use_kernels("reference"):
                right = plain(layer, x)
            np.testing.assert_array_equal(layer(x).data, right)
