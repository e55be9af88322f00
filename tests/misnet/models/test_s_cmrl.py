"""S-CMRL: parameters, cross-attention and alignment by loops, gradients, counts, and what is refused."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.parts.cross_attention import CrossAttention, SpikingCrossAttention
from misnet.models.s_cmrl import Config, alignment_loss, build
from snncore import Tensor, no_grad
from snncore import functions as F
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of, without_biases
from tests.misnet.tiny import WrongGradient

TINY = {
    "width": 8,
    "attention_heads": 2,
    "mlp_ratio": 2,
    "halvings": 1,
    "size": 4,
    "visual_size": (2, 4),
    "audio_size": (2, 4),
    "timesteps": 2,
    "classes": 3,
}


def tiny(**switches):
    return Config(**(TINY | switches))


@pytest.mark.parametrize(
    ("switches", "attentions", "last"),
    [
        ({}, 2, 256),
        ({"attention": "spatial"}, 1, 256),
        ({"attention": "temporal", "interaction": "concat"}, 1, 512),
        ({"alignment": False}, 2, 256),
    ],
    ids=str,
)
def test_parameters(switches, attentions, last):
    """By hand from the layers of the public code, without those that it never calls."""
    d = 256
    patches = 9 * (4 * 32 + 2 * (32 * 64 + 64 * 128 + 128 * d + d * d)) + 4 * (32 + 64 + 128 + 2 * d)
    attention = 2 * attentions * 4 * (d * d + 2 * d)
    alignment = 2 * (d * d + d) if switches.get("alignment", True) else 0
    mlp = 2 * (2 * 4 * d * d + 3 * (4 * d + d))
    total = patches + attention + alignment + mlp + last * 10 + 10
    assert build(Config(**switches)).count_parameters() == total


def fire(currents, threshold):
    """Spikes of a LIF with tau 2 and a hard reset, currents divided by tau: [T, ...]."""
    membrane, spikes = np.zeros(currents.shape[1:]), np.zeros(currents.shape)
    for t, c in enumerate(currents):
        membrane = membrane + (c - membrane) / 2
        spikes[t] = membrane >= threshold
        membrane[spikes[t] > 0] = 0
    return spikes


@pytest.mark.parametrize("temporal", [False, True])
def test_cross_attention_is_that_of_its_equations_in_loops(temporal):
    rng = np.random.default_rng(0)
    layer = SpikingCrossAttention(8, 2, temporal, tiny(), rng).eval()
    x, y = ((rng.random((3, 2, p, 8)) < 0.5).astype(np.uint8) for p in (4, 4 if temporal else 5))
    for name in ("q", "k", "v"):
        getattr(layer, name).linear.weight.data *= 5  # so that neurons fire
    seen = []
    layer.projection.forward = lambda s: seen.append(s.data) or s
    with no_grad():
        layer(Tensor(x), Tensor(y))
        q = layer.q(Tensor(x)).data.astype(float)
        k, v = (getattr(layer, name)(Tensor(y)).data.astype(float) for name in ("k", "v"))
    a = np.zeros(x.shape)
    for t, n, i, h in np.ndindex(3, 2, 4, 2):
        part = slice(4 * h, 4 * h + 4)
        for other in [(u, n, i) for u in range(3)] if temporal else [(t, n, j) for j in range(5)]:
            a[t, n, i, part] += 0.25 * (q[t, n, i, part] @ k[other][part]) * v[other][part]
    assert 0 < fire(a, 0.5).mean() < 1
    np.testing.assert_array_equal(seen[0], fire(a, 0.5))


def test_attention_over_both_multiplies_the_means():
    rng = np.random.default_rng(0)
    layer = CrossAttention("spatial-temporal", 8, 2, tiny(v_threshold=0.1), rng).eval()
    for p in layer.parameters():
        p.data *= 3  # so that neurons fire
    x, y = (Tensor((rng.random((3, 2, 4, 8)) < 0.5).astype(np.uint8)) for _ in range(2))
    with no_grad():
        c, a, b = layer(x, y).data, layer.spatial(x, y).data, layer.temporal(x, y).data
    assert a.any()
    assert b.any()
    for t, n, p, d in np.ndindex(3, 2, 4, 8):
        np.testing.assert_allclose(c[t, n, p, d], a[t, n, :, d].mean() * b[:, n, p, d].mean(), rtol=1e-6)


def test_alignment_loss_in_loops():
    rng = np.random.default_rng(0)
    f_a, f_v, labels = rng.random((2, 4, 5)), rng.random((2, 4, 5)), np.array([0, 1, 0, 2])
    total = 0.0
    for t, i in np.ndindex(2, 4):
        z = np.array([f_a[t, i] @ f_v[t, j] / 0.07 for j in range(4)])
        log_p = z - np.log(np.exp(z).sum())
        total -= sum(log_p[j] for j in range(4) if labels[i] == labels[j])
    value = alignment_loss(Tensor(f_a), Tensor(f_v), labels, 0.07).item()
    assert value == pytest.approx(total / (2 * 4 * 4), rel=1e-12)


def test_the_alignment_is_added_in_training_only():
    config = tiny(v_threshold=0.2)
    model = build(config)
    streams, labels = batch_of(config, 4)
    scores = model(*map(Tensor, streams))
    plain = F.CrossEntropy()(scores["av"], labels).item()
    added = alignment_loss(*scores.features, labels, config.temperature).item()
    assert added > 0
    assert model.train().loss(scores, labels).item() == pytest.approx(plain + added, rel=1e-6)
    assert model.eval().loss(scores, labels).item() == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize(
    "switches",
    [
        {"temperature": 1.0},
        {"attention": "spatial", "visual_size": (4, 4), "interaction": "concat", "loss": "mse", "temperature": 1.0},
        {"attention": "temporal", "alignment": False, "timesteps": 3},
    ],
    ids=str,
)
def test_every_parameter(switches):
    config = tiny(detach_reset=False, **switches)
    assert check_gradients_of(build, config, prepare=without_biases) > 40


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.MatMul.backward
    monkeypatch.setattr(F.MatMul, "backward", lambda self, gy: tuple(g * 1.001 for g in right(self, gy)))
    with pytest.raises(WrongGradient, match="backward gives"):
        check_gradients_of(build, tiny(attention="spatial", detach_reset=False), prepare=without_biases)


def test_counts_and_rules():
    config = tiny(v_threshold=0.2)
    compared, totals = check_counts_of(build, config, n=1)
    assert compared > 50
    assert totals["spikes"] > 0
    check_rules_of(build, config, n=1)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected a positive integer, found 0"),
        ({"streams": "audio"}, "streams: expected both, as each modality is given what the other has, found 'audio'"),
        ({"fusion": "early"}, "fusion: expected late, as each modality has an encoder, found 'early'"),
        ({"attention": "none"}, "attention: expected one of spatial, temporal, spatial-temporal, found 'none'"),
        ({"attention_heads": 3}, "attention_heads: expected a divisor of the width 8, found 3"),
        ({"width": 12}, "width: expected a multiple of 8, which the first convolution divides it by, found 12"),
        ({"halvings": 5}, "halvings: expected an integer from 0 to 4, found 5"),
        ({"halvings": 2}, "size: patch splitting halves the audio input 2 times; .* multiple of 4 pixels, found 2x4"),
        ({"temperature": 0.0}, "temperature: expected a positive number, found 0.0"),
        ({"alpha": -1.0}, "alpha: expected a number of at least 0, found -1.0"),
        (
            {"visual_size": None},
            r"attention: spatial-temporal attention needs as many tokens .* \(2, 4\) and visual of \(4, 4\) pixels",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
