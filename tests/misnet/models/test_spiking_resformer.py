"""SpikingResformer: parameters, attention by loops, firing rates, gradients, counts, and what is refused."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.parts.dual_attention import DSSA, FiringRate
from misnet.models.spiking_resformer import Config, build
from snncore import Tensor, no_grad
from snncore import functions as F
from tests.misnet.models.checks import check_counts_of, check_gradients_of, check_rules_of
from tests.misnet.tiny import WrongGradient

TINY = {
    "channels": (4, 6),
    "blocks": (1, 1),
    "attention_heads": (2, 3),
    "patches": (2, 1),
    "mlp_ratio": 2,
    "group": 4,
    "size": 4,
    "timesteps": 2,
    "classes": 3,
}


def tiny(**switches):
    return Config(**(TINY | switches))


def body(channels_in):
    """Parameters of the encoder by hand: convolutions, and two numbers a channel of each normalisation."""
    total, ci = 9 * channels_in * 64 + 2 * 64, 64
    for k, (c, pairs, p) in enumerate(((64, 1, 4), (192, 2, 2), (384, 3, 1))):
        total += 9 * ci * c + 2 * c if k else 0
        attention = p * p * c * 2 * c + 4 * c + c * c + 2 * c
        forward = 4 * c * c + 8 * c + 9 * 64 * 4 * c + 8 * c + 4 * c * c + 2 * c
        total, ci = total + pairs * (attention + forward), c
    return total


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        ({"streams": "visual"}, 10_793_152),  # the paper prints 10.79 million
        ({"streams": "audio"}, 10_793_152 - 2 * 9 * 64),
        ({"fusion": "early"}, 10_793_152 + 9 * 64),
        ({}, body(1) + body(3) + 2 * 3840),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert build(Config(**switches)).count_parameters() == parameters
    assert body(3) + 3840 == 10_793_152


def fire(currents):
    """Spikes of a LIF with tau 2, threshold 1 and a hard reset, currents divided by tau: [T, ...]."""
    membrane, spikes = np.zeros(currents.shape[1:]), np.zeros(currents.shape)
    for t, c in enumerate(currents):
        membrane = membrane + (c - membrane) / 2
        spikes[t] = membrane >= 1
        membrane[spikes[t] > 0] = 0
    return spikes


def test_attention_is_that_of_its_equations_in_loops():
    rng = np.random.default_rng(0)
    layer = DSSA(6, 2, 2, 4, tiny(), rng).astype(np.float64).eval()
    layer.rate_s.rate.data[:], layer.rate_a.rate.data[:] = (0.1, 0.2), (0.05, 0.3)
    layer.embed.conv.weight.data *= 40  # so that neurons fire
    seen = []
    layer.projection.forward = lambda b: seen.append(b.data) or F.Cast(np.float64)(b)
    x = rng.normal(size=(3, 2, 4, 4, 6)) * 2
    with no_grad():
        y = layer(Tensor(x)).data
    s, w = fire(x), layer.embed.conv.weight.data
    a, z = np.zeros((3, 2, 2, 4, 4, 4)), np.zeros((3, 2, 4, 12))  # [T, N, head, row, column, patch], [T, N, L, 2 C]
    for row, column in np.ndindex(2, 2):
        part = s[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        z[:, :, 2 * row + column] = np.einsum("tnijc,ijck->tnk", part, w) / np.sqrt(1 + 1e-5)
    for head, patch in np.ndindex(2, 4):
        own = s[..., 3 * head : 3 * head + 3]
        y1 = z[:, :, patch, 6 * head : 6 * head + 3]
        a[:, :, head, :, :, patch] = np.einsum("tnijd,tnd->tnij", own, y1) / np.sqrt((0.1, 0.2)[head] * 3)
    a = fire(a)
    b = np.zeros((3, 2, 4, 4, 6))
    for head, d in np.ndindex(2, 3):
        y2 = z[..., 6 * head + 3 + d]
        b[..., 3 * head + d] = np.einsum("tnijl,tnl->tnij", a[:, :, head], y2) / np.sqrt((0.05, 0.3)[head] * 4)
    assert 0.01 < a.mean() < 0.9
    assert 0.01 < fire(b).mean() < 0.9
    np.testing.assert_array_equal(seen[0], fire(b))
    np.testing.assert_array_equal(y, fire(b) + x)


def test_rates_begin_with_the_first_batch_and_then_move_slowly():
    layer = FiringRate(2, 4)
    np.testing.assert_array_equal(layer.eval()(Tensor(np.zeros((1, 1, 2, 2, 2), np.uint8))).ravel(), [0.5, 0.5])
    s = np.zeros((2, 1, 2, 2, 2), np.uint8)
    s[:, :, 0, 0] = 1  # head 0 fires half the time, head 1 never
    scale = layer.train()(Tensor(s))
    np.testing.assert_array_equal(layer.rate.data, [0.5, 0])
    np.testing.assert_allclose(scale.ravel(), [2**-0.5, 0.5], rtol=1e-6)
    layer(Tensor(np.ones_like(s)))
    np.testing.assert_allclose(layer.rate.data, [0.5005, 0.001], rtol=1e-4)
    layer.eval()(Tensor(s))
    np.testing.assert_allclose(layer.rate.data, [0.5005, 0.001], rtol=1e-4)


def steady(model):
    """Rates that do not move, as they have no gradient."""
    for _, module in model.named_modules():
        if isinstance(module, FiringRate):
            module.rate.data[...], module.momentum = 0.3, 1.0


@pytest.mark.parametrize(
    "switches",
    [{"streams": "visual", "timesteps": 3}, {"loss": "mse", "audio_size": (4, 8)}, {"fusion": "early", "neuron": "if"}],
    ids=str,
)
def test_every_parameter(switches):
    assert check_gradients_of(build, tiny(detach_reset=False, **switches), prepare=steady) > 30


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.MatMul.backward
    monkeypatch.setattr(F.MatMul, "backward", lambda self, gy: tuple(g * 1.001 for g in right(self, gy)))
    with pytest.raises(WrongGradient, match="backward gives"):
        check_gradients_of(build, tiny(streams="visual", detach_reset=False), prepare=steady)


def test_counts_and_rules():
    config = tiny(streams="visual", v_threshold=0.3)
    compared, totals = check_counts_of(build, config, n=1)
    assert compared > 25
    assert totals["spikes"] > 0
    check_rules_of(build, config, n=1)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected a positive integer, found 0"),
        ({"channels": ()}, r"channels: expected positive integers, one a stage, found \(\)"),
        ({"blocks": (1,)}, r"blocks: expected 2 numbers, one a stage, found \(1,\)"),
        ({"attention_heads": (2, 4)}, "attention_heads: expected a divisor of 6 channels in stage 1, found 4"),
        ({"group": 5}, "group: expected a divisor of 8 hidden channels in stage 0, found 5"),
        ({"mlp_ratio": 0}, "mlp_ratio: expected a positive integer, found 0"),
        ({"size": 5}, "size: stage 0 cuts the audio input into patches of 2 of its pixels; .* found 5x5"),
        ({"fusion": "early", "streams": "audio"}, "fusion: early fusion joins two streams, found streams 'audio'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
