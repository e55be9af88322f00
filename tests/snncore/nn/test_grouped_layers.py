"""Layers of grouped, dilated and padded windows: their shapes, their weights, and what they refuse."""

import numpy as np
import pytest

from snncore import Tensor, nn
from snncore import functions as F


def test_grouped_convolution_is_depthwise_unless_told_and_takes_its_own_weights(rng):
    x = Tensor(rng.integers(0, 2, (2, 3, 6, 5, 4)).astype(np.uint8))
    layer = nn.GroupedConv2d(4, 8, 3, padding=2, dilation=2, rng=rng)
    assert layer.weight.shape == (3, 3, 1, 8)
    expected = F.GroupedConv2d(1, 2, 2)(x, layer.weight, layer.bias)
    np.testing.assert_array_equal(layer(x).data, expected.data)
    assert layer(x).shape == (2, 3, 6, 5, 8)
    assert nn.GroupedConv2d(4, 6, (1, 3), groups=2, bias=False, rng=rng).weight.shape == (1, 3, 2, 6)


def test_initial_weights_follow_the_inputs_that_an_output_sees(rng):
    layer = nn.GroupedConv2d(64, 64, 3, rng=rng)
    bound = 1 / np.sqrt(9)  # fan-in of one channel, nine taps
    assert 0.9 * bound < np.abs(layer.weight.data).max() <= bound


def test_dilation_and_padding_reach_the_function(rng):
    x = Tensor(rng.integers(0, 2, (1, 1, 7, 7, 2)).astype(np.uint8))
    assert nn.Conv2d(2, 3, 3, dilation=3, rng=rng)(x).shape == (1, 1, 1, 1, 3)
    assert nn.MaxPool2d(3, 2, 1)(x).shape == (1, 1, 4, 4, 2)


@pytest.mark.parametrize(("channels", "groups"), [((4, 6), None), ((4, 6), 4), ((6, 4), 3), ((4, 4), 0)])
def test_groups_that_do_not_divide_the_channels_are_refused(channels, groups):
    given = channels[0] if groups is None else groups
    with pytest.raises(ValueError, match=f"groups: expected a number that divides .* channels, found {given}"):
        nn.GroupedConv2d(*channels, groups=groups)
