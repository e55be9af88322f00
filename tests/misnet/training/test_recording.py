"""Where the first value that is not finite appears, and the memory of the process."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.recording import first_nonfinite, peak_memory_mib
from tests.misnet.tiny import copy_of, make_batch, tiny_config


@pytest.fixture
def network():
    config = tiny_config()
    return MISNet(config).eval(), *make_batch(config)[:2]


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


@pytest.mark.parametrize("head", ["head", "head_a", "head_v"])
def test_then_the_head_whose_scores_are_too_large_to_square(network, head):
    model, x_a, x_v = network
    parameter(model, f"{head}.linear.bias" if head == "head" else f"{head}.bias")[...] = 1e25
    assert first_nonfinite(model, x_a, x_v) == f"the loss alone, of a score of 1e+25 from {head}"


def test_peak_memory_is_in_mib_and_never_falls():
    before = peak_memory_mib()
    block = np.ones(8 * 2**20)  # 64 MiB
    after = peak_memory_mib()
    assert 20 < before <= after < 2**20
    assert block.nbytes == 64 * 2**20
