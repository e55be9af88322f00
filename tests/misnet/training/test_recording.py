"""Where the first value that is not finite appears, and the memory of the process."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.recording import FiringRates, first_nonfinite, peak_memory_mib
from snncore import Function, Tensor, nn, no_grad, observe
from snncore.functions.conv_batch_norm_lif import ConvBatchNormLIF
from snncore.kernels.choice import use_kernels
from tests.misnet.tiny import copy_of, make_batch, tiny_config


@pytest.fixture(params=["evaluation", "training"])
def network(request):
    config = tiny_config()
    return MISNet(config).train(request.param == "training"), *make_batch(config)[:2]


def parameter(model, name):
    return dict(model.named_parameters())[name].data


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_input_is_named_first(network, value):
    model, x_a, x_v = network
    parameter(model, "head_a.bias")[0] = value
    x_v[1, 0, 3, 3, 1] = value
    assert first_nonfinite(model, x_a, x_v) == "visual input"
    x_a[0, 2, 0, 0, 0] = value
    assert first_nonfinite(model, x_a, x_v) == "audio input"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_then_a_parameter(network, value):
    model, x_a, x_v = network
    parameter(model, "head_a.bias")[0] = value
    assert first_nonfinite(model, x_a, x_v) == "parameter head_a.bias"
    parameter(model, "stages.1.cells.0.mlif.alpha_v")[...] = value
    assert first_nonfinite(model, x_a, x_v) == "parameter stages.1.cells.0.mlif.alpha_v"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stages.0.unimodal.v.conv.weight", "stages.0.unimodal.v.conv (Conv2d)"),
        ("stages.0.unimodal.a.bn.weight", "stages.0.unimodal.a.bn (BatchNorm)"),
    ],
)
def test_then_the_output_of_a_layer_in_order(network, name, layer):
    model, x_a, x_v = network
    parameter(model, name)[...] = 3e38
    assert first_nonfinite(model, 9 * x_a, 9 * x_v) == f"output of layer {layer}"


def test_nothing_is_found_in_a_sound_network_and_nothing_is_changed(network):
    model, x_a, x_v = network
    before = copy_of(model.state_dict())
    assert first_nonfinite(model, x_a, x_v) is None
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize(("head", "bias"), [("av", "head.linear.bias"), ("a", "head_a.bias"), ("v", "head_v.bias")])
def test_then_the_head_whose_scores_are_too_large_to_square(network, head, bias):
    model, x_a, x_v = network
    parameter(model, bias)[...] = 1e25
    assert first_nonfinite(model, x_a, x_v) == f"the loss alone, of a score of 1e+25 from head {head}"


def test_a_neuron_that_is_no_part_of_the_model_is_counted_by_its_class():
    class Outside(nn.Module):
        def forward(self, x):
            return nn.LIF(tau=2.0)(x)  # made anew at each call: no attribute of the model

    rates = FiringRates()
    with rates.recording():
        Outside()(Tensor(np.full((2, 3), 1.5, np.float32)))
    assert (dict(rates.spikes), dict(rates.places)) == ({"LIF": 6}, {"LIF": 6})


class Split(Function):
    """Three trains, of which the first has no spike, the second one, and so on."""

    spiking = True

    def forward(self, x):
        return tuple((np.arange(x.size) < k).astype(np.uint8) for k in range(3))

    def backward(self, *grads):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("names", "expected"), [(None, {"0": 0, "1": 1, "2": 2}), (("x", "y", "z"), {"x": 0, "y": 1, "z": 2})]
)
def test_every_output_of_a_neuron_is_counted(names, expected):
    class Neuron(nn.Module):
        def forward(self, x):
            function = Split()
            if names is not None:
                function.output_names = names
            return function(x)

    class Network(nn.Module):
        def __init__(self):
            self.neuron = Neuron()

        def forward(self, x):
            return self.neuron(x)

    network = Network()
    rates = FiringRates()
    with rates.recording():
        network(Tensor(np.zeros(4, np.float32)))
    assert dict(rates.spikes) == {f"neuron.{name}": n for name, n in expected.items()}
    assert set(rates.places.values()) == {4}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_looking_moves_no_running_statistic(network, value):
    model, x_a, x_v = network
    parameter(model, "stages.0.unimodal.v.conv.weight")[...] = 3e38
    before = copy_of(model.state_dict())
    for _ in range(2):
        assert first_nonfinite(model, 9 * x_a, 9 * x_v).startswith("output of layer stages.0.unimodal.v.conv")
    x_a[0, 2, 0, 0, 0] = value
    first_nonfinite(model, x_a, x_v)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)


def test_peak_memory_is_in_mib_and_never_falls():
    before = peak_memory_mib()
    block = np.ones(8 * 2**20)  # 64 MiB
    after = peak_memory_mib()
    assert 20 < before <= after < 2**20
    assert block.nbytes == 64 * 2**20


class Layer(nn.Module):
    def __init__(self, rng):
        self.conv, self.bn, self.neuron = (
            nn.Conv2d(8, 16, 3, padding=1, bias=False, rng=rng),
            nn.BatchNorm(16),
            nn.LIF(),
        )

    def forward(self, x):
        return nn.conv_norm_neuron(x, self.conv, self.bn, self.neuron)


def test_firing_rates_leave_layers_in_one_pass_and_count_what_they_count_without(monkeypatch):
    rng = np.random.default_rng(0)
    passes = []
    forward = ConvBatchNormLIF.forward
    monkeypatch.setattr(ConvBatchNormLIF, "forward", lambda self, *x: passes.append(1) or forward(self, *x))
    layer, x = Layer(rng).eval(), Tensor((rng.random((3, 2, 5, 5, 8)) < 0.4).astype(np.uint8))
    found = []
    for one_by_one in (False, True):
        rates = FiringRates()
        with no_grad(), use_kernels("reference"), rates.recording(), observe(lambda *_: None, currents=one_by_one):
            layer(x)
        found.append((dict(rates.spikes), dict(rates.places)))
    assert len(passes) == 1
    assert found[0] == found[1]
    assert found[0][0]["neuron"] > 0
