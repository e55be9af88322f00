"""SMMT: parameters, cross-attention by loops, gradients, counts, and what is refused."""

import itertools

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.parts.attention import SpikingSelfAttention
from misnet.models.smmt import Config, build
from snncore import Tensor, no_grad
from snncore import functions as F
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of, without_biases
from tests.misnet.tiny import WrongGradient

TINY = {"width": 8, "depth": 1, "attention_heads": 2, "mlp_ratio": 2, "size": 8, "timesteps": 2, "classes": 3}
TINY |= {"v_threshold": 0.2, "audio_size": (4, 8)}  # 2 tokens of audio, 4 of vision


def tiny(**switches):
    return Config(**(TINY | switches))


def block(d):
    """Parameters of attention and an MLP of ratio 4 by hand: weights, biases, and two numbers a channel of each BN."""
    return 4 * (d * d + 3 * d) + (4 * d * d + 12 * d) + (4 * d * d + 3 * d)


def encoder(d, depth, channels):
    """Parameters of patch splitting and its blocks, by hand."""
    widths = (channels, d // 8, d // 4, d // 2, d, d)
    return sum(9 * ci * co + 2 * co for ci, co in itertools.pairwise(widths)) + depth * block(d)


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        ({}, 9_896_458),
        ({"cross_depth": 2, "classes": 3}, 9_896_458 + 2 * block(256) - 7 * 513),
        ({"streams": "visual"}, encoder(256, 4, 3) + 2570),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert encoder(256, 4, 1) + encoder(256, 4, 3) + 2 * block(256) + 5130 == 9_896_458
    assert abs(9_896_458 / 9.99e6 - 1) < 0.01  # MISNet's Table 2 prints 9.99 M
    assert build(Config(**switches)).count_parameters() == parameters


def test_cross_attention_takes_queries_of_one_and_the_rest_of_the_other_in_loops():
    rng = np.random.default_rng(0)
    layer = SpikingSelfAttention(8, 2, tiny(v_threshold=1.0), rng, scale=0.5).eval()
    x, other = ((rng.random((1, 2, p, 8)) < 0.5).astype(np.uint8) for p in (3, 5))
    for name in ("q", "k", "v"):
        getattr(layer, name).linear.weight.data *= 4  # so that neurons fire
    seen = []
    layer.projection.forward = lambda s: seen.append(s.data) or s
    with no_grad():
        layer(Tensor(x), Tensor(other))
        q = layer.q(Tensor(x)).data.astype(float)
        k, v = (part(Tensor(other)).data.astype(float) for part in (layer.k, layer.v))
    a = np.zeros((1, 2, 3, 8))
    for n, i, j, h in np.ndindex(2, 3, 5, 2):
        part = slice(4 * h, 4 * h + 4)
        a[0, n, i, part] += 0.5 * (q[0, n, i, part] @ k[0, n, j, part]) * v[0, n, j, part]
    spikes = a / 2 >= 0.5  # one step of a LIF with tau 2 from rest
    assert 0 < spikes.mean() < 1
    np.testing.assert_array_equal(seen[0], spikes)


def test_both_directions_read_what_the_other_had_before():
    config = tiny()
    cross = build(config).cross[0].eval()
    rng = np.random.default_rng(0)
    x_a, x_v = (Tensor((rng.random((2, 2, p, 8)) < 0.5).astype(np.uint8)) for p in (2, 4))
    with no_grad():
        y_a, y_v = cross(x_a, x_v)
        np.testing.assert_array_equal(y_a.data, cross.audio(x_a, x_v).data)
        np.testing.assert_array_equal(y_v.data, cross.visual(x_v, x_a).data)
    assert y_a.shape == (2, 2, 2, 8)
    assert y_v.shape == (2, 2, 4, 8)
    assert y_a.data.dtype == np.uint8


def test_every_parameter():
    """A bias before a batch normalisation has no slope in training: there it is left out."""
    config = tiny(detach_reset=False, depth=0)
    assert check_gradients_of(build, config, atol=1e-9, prepare=without_biases) == 2 * (15 + 18) + 2
    config = tiny(detach_reset=False, streams="audio", timesteps=3, loss="mse")
    assert check_gradients_of(build, config, atol=1e-9, prepare=lambda model: model.eval()) == 15 + 18 + 6 + 2


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.MatMul.backward
    monkeypatch.setattr(F.MatMul, "backward", lambda self, gy: right(self, gy * 1.001))
    with pytest.raises(WrongGradient, match="backward gives"):
        check_gradients_of(build, tiny(detach_reset=False, depth=0), atol=1e-9, prepare=lambda model: model.eval())


def test_counts_and_rules():
    config = tiny(depth=0, size=4, audio_size=(4, 8))
    compared, totals = check_counts_of(build, config, n=1)
    assert compared > 40
    assert totals["ac_graded"] > 0  # residual sums of spikes go into the linear layers
    check_rules_of(build, config)


def test_one_stream_is_the_subnetwork_alone():
    config = tiny(streams="audio")
    model = build(config)
    assert len(model.cross) == 0
    (x,), _ = batch_of(config)
    with no_grad():
        assert model(Tensor(x))["a"].shape == (2, 3)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"fusion": "early", "audio_size": None}, "fusion: expected late, as each modality has an encoder of its own"),
        ({"cross_depth": -1}, "cross_depth: expected an integer of at least 0, found -1"),
        ({"attention_heads": 3}, "attention_heads: expected a divisor of the width 8, found 3"),
        ({"audio_size": (6, 8)}, "patch splitting halves the audio input 2 times; .* found 6x8"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
