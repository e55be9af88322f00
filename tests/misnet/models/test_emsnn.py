"""EMSNN: parameters, recurrence and attention by loops, gradients through time, counts, and what is refused."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.emsnn import AttentionHead, Config, RecurrentLayer, build
from snncore import Tensor, count_ops, no_grad
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of
from tests.misnet.tiny import WrongGradient, shaken

TINY = {"channels": (2, 3), "width": 4, "size": 4, "timesteps": 3, "classes": 3, "visual_channels": 2}
TINY |= {"v_threshold": 0.3, "audio_size": (1, 5)}


def tiny(**switches):
    return Config(**(TINY | switches))


CNN = 9 * 3 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64 + 64 * 64 * 256 + 2 * 256  # 8x8 pixels of 64 channels at the end
RNN = 1024 * 256 + 2 * 256 + 256 * 256


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        ({}, CNN + RNN + (512 * 2 + 2) + (512 * 10 + 10)),
        ({"streams": "audio"}, RNN + 2570),
        ({"streams": "visual"}, CNN + 2570),
        ({"streams": "audio", "audio_size": (1, 64), "neuron": "plif"}, RNN - 960 * 256 + 2570 + 1),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert CNN + RNN + 6156 == 1_402_924
    assert build(Config(**switches)).count_parameters() == parameters


@pytest.mark.parametrize(
    "switches", [{}, {"neuron": "if", "reset": "soft"}, {"decay_input": False, "tau": 4.0}], ids=str
)
def test_recurrence_is_that_of_its_equation_in_loops(switches):
    config = tiny(v_threshold=0.5, timesteps=6, width=7, **switches)
    rng = np.random.default_rng(0)
    layer = shaken(RecurrentLayer((6, 1, 5, 1), config, rng)).astype(np.float64).eval()
    x = 2 * rng.standard_normal((6, 3, 1, 5, 1))
    with no_grad():
        found = layer(Tensor(x)).data
    w, u = layer.input.weight.data, layer.recurrent.weight.data
    scale, shift = layer.bn.weight.data / np.sqrt(1 + layer.bn.eps), layer.bn.bias.data  # running statistics 0 and 1
    v, s = np.zeros((3, 7)), np.zeros((3, 7))
    expected, without = [], []
    for t in range(6):
        c = x[t].reshape(3, 5) @ w * scale + shift
        for spikes, current in ((without, c), (expected, c + s @ u)):
            if config.neuron == "if":
                h = v + current
            else:
                h = (1 - 1 / config.tau) * v + current / (config.tau if config.decay_input else 1)
            spikes.append(h >= 0.5)
        s = expected[-1].astype(float)
        v = h - 0.5 * s if config.reset == "soft" else h * (1 - s)
    np.testing.assert_array_equal(found, expected)
    assert (np.array(without) != expected).any()  # so that U is seen


def test_attention_weighs_the_modalities_in_loops():
    rng = np.random.default_rng(0)
    head = shaken(AttentionHead(4, 3, rng)).astype(np.float64)
    g_a, g_v = ((rng.random((2, 2, 4)) < 0.5).astype(np.uint8) for _ in range(2))
    with no_grad():
        found = head(Tensor(g_a), Tensor(g_v)).data
    expected = np.zeros((2, 3))
    for t, n in np.ndindex(2, 2):
        both = np.concatenate((g_a[t, n], g_v[t, n]))
        e = np.exp(both @ head.attention.weight.data + head.attention.bias.data)
        weighed = np.concatenate((g_a[t, n] * e[0], g_v[t, n] * e[1])) / e.sum()
        expected[n] += (weighed @ head.linear.weight.data + head.linear.bias.data) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("switches", "tensors"),
    [
        ({}, 9 + 4 + 4),
        ({"streams": "audio", "neuron": "plif", "reset": "soft", "timesteps": 4}, 4 + 1 + 2),
        ({"streams": "audio", "neuron": "clif", "reset": "soft", "timesteps": 4, "loss": "mse"}, 4 + 2),
    ],
    ids=str,
)
def test_every_parameter(switches, tensors):
    assert check_gradients_of(build, tiny(detach_reset=False, **switches)) == tensors


def test_a_gradient_that_is_cut_at_the_recurrence_is_noticed(monkeypatch):
    linear = type(build(tiny()).encoders["audio"].recurrent)
    whole = linear.forward

    def cut(self, x):
        return whole(self, x.detach() if self.weight.shape == (4, 4) else x)

    monkeypatch.setattr(linear, "forward", cut)
    with pytest.raises(WrongGradient, match=r"encoders\.audio\..*backward gives"):
        check_gradients_of(build, tiny(streams="audio", detach_reset=False))


@pytest.mark.parametrize("switches", [{}, {"streams": "audio", "neuron": "clif", "reset": "soft"}], ids=str)
def test_counts_and_rules(switches):
    config = tiny(v_threshold=0.2, **switches)
    compared, totals = check_counts_of(build, config)
    assert compared > 10
    assert totals["spikes"] > 0
    check_rules_of(build, config)


def test_every_step_of_the_recurrence_is_counted_at_its_timestep():
    model = shaken(build(tiny(v_threshold=0.05))).train()
    streams, _ = batch_of(model.config, 4)
    with no_grad(), count_ops(samples=4, timesteps=3) as ops:
        spikes = model.encoders["audio"](Tensor(streams[0])).data
    assert 0 < spikes.sum() < spikes.size
    assert ops.by_timestep("spikes") == [int(s.sum()) for s in spikes]
    assert ops.by_sample("spikes") == spikes.sum(axis=(0, 2)).tolist()
    assert ops.by_timestep("ac_binary", "recurrent") == [0, *(4 * int(s.sum()) for s in spikes[:2])]


def test_of_one_timestep_nothing_recurs():
    config = tiny(timesteps=1)
    model = build(config)
    streams, labels = batch_of(config)
    model.loss(model(*map(Tensor, streams)), labels).backward()
    assert model.encoders["audio"].recurrent.weight.grad is None


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"fusion": "early", "audio_size": None}, "fusion: expected late, as each modality has an encoder of its own"),
        ({"width": 0}, "width: expected a positive integer, found 0"),
        ({"channels": ()}, r"channels: expected positive integers, one a convolution, found \(\)"),
        (
            {"visual_size": (3, 9)},
            r"channels: expected at most 1 numbers, as each halves 3x9 pixels, found \(2, 3\)",
        ),
        ({"neuron": "clif"}, "reset: CLIF defines a soft reset only, found 'hard'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
