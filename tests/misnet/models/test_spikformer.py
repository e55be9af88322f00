"""Spikformer: parameters, attention by loops, gradients, counts, and what is refused."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.parts.attention import SpikingSelfAttention
from misnet.models.spikformer import Config, build
from snncore import Tensor, no_grad
from snncore import functions as F
from tests.misnet.models.checks import check_counts_of, check_gradients_of, check_rules_of, without_biases
from tests.misnet.tiny import WrongGradient

TINY = {"width": 8, "depth": 1, "attention_heads": 2, "mlp_ratio": 2, "size": 4, "timesteps": 2, "classes": 3}


def tiny(**switches):
    return Config(**(TINY | switches))


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        ({"unused_modules": True}, 9_330_874),  # the public code's count, its unused layer normalisations in it
        ({}, 9_330_874 - 4 * 2 * 2 * 384),
        ({"streams": "audio"}, 9_324_730 - 2 * 9 * 48),
        ({"fusion": "early", "streams": "both"}, 9_324_730 + 9 * 48),
        ({"streams": "both"}, 2 * (9_324_730 - 3850) - 2 * 9 * 48 + 7690),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert build(Config(**({"streams": "visual"} | switches))).count_parameters() == parameters


def test_attention_is_that_of_its_equations_in_loops():
    config = tiny(tau=2.0)
    rng = np.random.default_rng(0)
    layer = SpikingSelfAttention(8, 2, config, rng, scale=0.5).eval()
    x = (rng.random((3, 2, 5, 8)) < 0.5).astype(np.uint8)
    seen = []
    for name in ("q", "k", "v"):
        getattr(layer, name).linear.weight.data *= 4  # so that neurons fire
    layer.projection.forward = lambda s: seen.append(s.data) or s
    with no_grad():
        layer(Tensor(x))
        q, k, v = (getattr(layer, name)(Tensor(x)).data.astype(float) for name in ("q", "k", "v"))
    a = np.zeros((3, 2, 5, 8))
    for t, n, i, h in np.ndindex(3, 2, 5, 2):
        part = slice(4 * h, 4 * h + 4)
        for j in range(5):
            a[t, n, i, part] += 0.5 * (q[t, n, i, part] @ k[t, n, j, part]) * v[t, n, j, part]
    membrane, spikes = np.zeros((2, 5, 8)), np.zeros((3, 2, 5, 8))
    for t in range(3):
        membrane = membrane + (a[t] - membrane) / 2
        spikes[t] = membrane >= 0.5
        membrane[spikes[t] > 0] = 0
    assert 0 < spikes.mean() < 1
    np.testing.assert_array_equal(seen[0], spikes)


@pytest.mark.parametrize(
    "switches", [{"streams": "visual", "timesteps": 3}, {"fusion": "late", "loss": "mse"}], ids=str
)
def test_every_parameter(switches):
    """A bias before a batch normalisation has no slope in training: there it is left out."""
    config = tiny(detach_reset=False, size=8, v_threshold=0.2, **switches)
    assert check_gradients_of(build, config, atol=1e-9, prepare=without_biases) > 20
    assert check_gradients_of(build, config, atol=1e-9, prepare=lambda model: model.eval()) > 25


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.MatMul.backward
    monkeypatch.setattr(F.MatMul, "backward", lambda self, gy: right(self, gy * 1.001))
    with pytest.raises(WrongGradient, match="backward gives"):
        check_gradients_of(
            build,
            tiny(streams="visual", size=8, v_threshold=0.2, detach_reset=False),
            prepare=lambda model: model.eval(),
        )


def test_counts_and_rules():
    config = tiny(streams="visual", v_threshold=0.3)
    compared, totals = check_counts_of(build, config)
    assert compared > 25
    assert totals["ac_graded"] > 0  # residual sums of spikes go into the linear layers
    check_rules_of(build, config)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected a positive integer, found 0"),
        ({"attention_heads": 3}, "attention_heads: expected a divisor of the width 8, found 3"),
        ({"width": 12}, "width: expected a multiple of 8, which the first convolution divides it by, found 12"),
        (
            {"size": 6},
            "size: patch splitting halves the audio input 2 times; expected a multiple of 4 pixels, found 6x6",
        ),
        ({"depth": -1}, "depth: expected an integer of at least 0, found -1"),
        (
            {"fusion": "early", "audio_size": (8, 8)},
            "fusion: early fusion joins the channels of two inputs of one size",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
