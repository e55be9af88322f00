"""The spike-driven transformer: parameters, attention by loops, gradients, counts."""

import numpy as np
import pytest

from misnet.models.spike_driven import Config, SpikeDrivenAttention, build
from snncore import Tensor, no_grad
from tests.misnet.models.checks import check_counts_of, check_gradients_of, check_rules_of, without_biases

TINY = {"width": 8, "depth": 1, "attention_heads": 2, "mlp_ratio": 2, "size": 4, "timesteps": 2, "classes": 3}


def tiny(**switches):
    return Config(**(TINY | switches))


def test_parameters():
    """By hand from the published layers; the paper prints 10.28 million."""
    d = 512
    patches = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * d + d * d) + 2 * (64 + 128 + 256 + d + d)
    attention = 3 * (d * d + 2 * d) + d * d + d + 2 * d
    mlp = d * 4 * d + 4 * d + 2 * 4 * d + 4 * d * d + d + 2 * d
    total = patches + 2 * (attention + mlp) + d * 10 + 10
    assert build(Config(streams="visual")).count_parameters() == total == 10_233_418


def test_attention_masks_by_what_tokens_add_up_to():
    config, rng = tiny(), np.random.default_rng(1)
    layer = SpikeDrivenAttention(config, rng).eval()
    c = rng.normal(size=(3, 2, 5, 8)).astype(np.float32) * 3
    for name in ("q", "k", "v"):
        getattr(layer, name).linear.weight.data *= 8  # so that neurons fire
    seen = []
    layer.linear.forward = lambda s: seen.append(s.data) or s
    layer.bn.forward = lambda s: s
    with no_grad():
        layer(Tensor(c))
        s = layer.neuron(Tensor(c))
        q, k, v = (getattr(layer, name)(s).data.astype(float) for name in ("q", "k", "v"))
    membrane, out = np.zeros((2, 8)), np.zeros((3, 2, 5, 8))
    for t in range(3):
        added = np.zeros((2, 8))
        for token in range(5):
            added += k[t, :, token] * v[t, :, token]
        membrane = membrane + (added - membrane) / 2
        fired = membrane >= 0.5
        membrane[fired] = 0
        out[t] = q[t] * fired[:, None]
    assert 0 < out.mean() < 1
    np.testing.assert_array_equal(seen[0], out)


@pytest.mark.parametrize("switches", [{"streams": "visual", "timesteps": 3}, {"fusion": "late"}], ids=str)
def test_every_parameter(switches):
    """A bias before a batch normalisation has no slope in training: there it is left out."""
    config = tiny(detach_reset=False, size=8, v_threshold=0.2, **switches)
    assert check_gradients_of(build, config, atol=1e-9, prepare=without_biases) > 20
    assert check_gradients_of(build, config, atol=1e-9, prepare=lambda model: model.eval()) > 25


def test_counts_and_rules():
    config = tiny(streams="visual", v_threshold=0.3)
    compared, _ = check_counts_of(build, config)
    assert compared > 25
    check_rules_of(build, config)
