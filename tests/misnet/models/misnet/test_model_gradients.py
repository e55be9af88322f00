"""The gradient of the whole network: each parameter tensor by finite differences, relaxed, over three steps."""

import numpy as np
import pytest

from snncore import functions as F
from tests.misnet.tiny import WrongGradient, check_parameters, double_model, make_batch, tiny_config

PUBLIC_CODE = {  # as the preset, with a surrogate whose primitive has no kinks
    "neuron": "clif",
    "sew": "shared",
    "cell_residual": True,
    "spatial_weight": "none",
    "pooling": "avg",
    "learn_alpha": False,
    "head_pool": 1,
}


def checked(config, **options):
    model = double_model(config)
    return check_parameters(model, make_batch(config, 2, np.float64), **options), model


def test_every_parameter_of_the_default_network():
    count, model = checked(tiny_config(cells=(2, 1)), directions=2)
    assert count == len(dict(model.named_parameters())) == 2 * (2 * 3) + 3 * (4 * 3 + 2 + 2) + 6


@pytest.mark.parametrize(
    "switches",
    [
        PUBLIC_CODE,
        PUBLIC_CODE | {"surrogate": "rectangle", "cell_residual": False},  # kinks, but none within eps of a membrane
        {"neuron": "clif", "surrogate": "triangle"},
        {"surrogate": "atan", "surrogate_scale": 1.5},
        {"mlif_fusion": "mlp"},
        {"mlif_fusion": "attention"},
        {"mlif": "fused-charge", "mlif_fusion": "mlp"},
        {"mlif": "independent"},
        {"mlif": "independent", "mlif_fusion": "mlp"},
        {"mlif": "independent", "mlif_fusion": "attention"},
        {"mlif": "second-threshold", "alpha": 0.8},
        {"mlif": "off"},
        {"streams": "visual"},
        {"streams": "audio", "mlif": "second-threshold", "alpha": 0.8, "sew": "shared", "cell_residual": True},
        {"sew": "shared"},
        {"sew": "off", "spatial_weight": "channel"},
        {"pooling": "avg"},
        {"neuron": "plif"},
        {"neuron": "if"},
        {"reset": "hard"},
        {"connect": "and"},
        {"connect": "iand", "cell_residual": True},
        {"head": "mlp"},
        {"head": "attention"},
        {"head": "hadamard", "head_pool": 1},
        {"head": "sum", "loss": "cross-entropy", "beta_a": 0.2, "beta_v": 0.9},
    ],
    ids=str,
)
def test_every_parameter_of_other_networks(switches):
    count, model = checked(tiny_config(size=4, **switches))
    assert count == len(dict(model.named_parameters()))


def test_every_parameter_with_swint_blocks():
    """Products of three spike trains and twelve neurons in a row bend more than other blocks: a smaller eps."""
    config = tiny_config(size=4, block="swin", window=2, swin_heads=1, mlp_ratio=1, streams="visual", cells=(1, 0))
    count, model = checked(config, eps=2e-7, rtol=1e-5, atol=2e-9)
    assert count == len(dict(model.named_parameters()))


def test_a_detached_reset_is_no_true_gradient_and_is_noticed():
    with pytest.raises(WrongGradient, match=r"stages\.0\."):
        checked(tiny_config(size=4, detach_reset=True), rtol=1e-3)


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    monkeypatch.setattr(F.SEW, "backward", lambda self, go: (go, go * 1.001))
    with pytest.raises(WrongGradient, match=r"stages\.0\.unimodal\.a\.conv\.weight: backward gives"):
        checked(tiny_config(size=4))
