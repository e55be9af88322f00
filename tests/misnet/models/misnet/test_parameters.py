"""Parameter counts: those of the paper and its authors' code, and a formula that shares nothing with the model."""

import pytest

from misnet import MISNet, preset
from tests.misnet.tiny import tiny_config


def batch_norm(c):
    return 2 * c


def conv_bn(c_in, c_out, kernel=3):
    return kernel * kernel * c_in * c_out + batch_norm(c_out)


def linear(c_in, c_out):
    return c_in * c_out + c_out


def by_formula(config):
    """Count from channels, cells and size alone, for LIF neurons, concat fusion and a concat head."""
    total, size = 0, config.size
    c_a, c_v = config.audio_channels, config.visual_channels
    for c, cells in zip(config.stage_channels, config.stage_cells, strict=True):
        total += conv_bn(c_a, c) + conv_bn(c_v, c)
        sews = {"per-modality": 2, "shared": 1, "off": 0}[config.sew]
        weights = {"pixel": 2 * size * size, "channel": 2 * c, "none": 0}[config.spatial_weight]
        cell = sews * 2 * conv_bn(c, c) + weights + 2 * config.learn_alpha
        if config.unused_modules:
            cell += 2 * conv_bn(c, c) + 2 * conv_bn(c, c, kernel=1)
        total += cells * cell
        c_a = c_v = c
        size //= 2
    features = c * (size // config.head_pool) ** 2 if config.head_pool else c
    return total + linear(2 * features, config.classes) + 2 * linear(features, config.classes)


BEFORE_W_AND_ALPHA = {"spatial_weight": "none", "learn_alpha": False}


@pytest.mark.parametrize(
    ("name", "variant", "switches", "count"),
    [
        ("public-code", "XS", {}, 4_056_350),
        ("public-code", "S", {}, 7_330_334),
        ("public-code", "L", {}, 19_638_814),
        ("public-code", "XL", {}, 29_606_430),
        ("paper", "XS", BEFORE_W_AND_ALPHA, 4_590_622),
        ("paper", "S", BEFORE_W_AND_ALPHA, 6_951_966),
        ("paper", "L", BEFORE_W_AND_ALPHA, 18_764_830),
        ("paper", "XL", BEFORE_W_AND_ALPHA, 28_206_110),
    ],
)
def test_the_known_counts_are_met_exactly(name, variant, switches, count):
    config = preset(name, variant, **switches)
    assert MISNet(config).count_parameters() == count
    assert by_formula(config) == count


@pytest.mark.parametrize("variant", ["XS", "S"])
def test_w_and_alpha_add_two_maps_and_two_scalars_a_cell(variant):
    config = preset("paper", variant)
    h1, h2, h3 = ((2 * h * h + 2) for h in (32, 16, 8))
    without = {"XS": 4_590_622, "S": 6_951_966}[variant]
    extra = 2 * h1 + 2 * h2 + h3 * config.stage_cells[2]
    assert MISNet(config).count_parameters() == without + extra == by_formula(config)


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"size": 13, "head_pool": 2},
        {"sew": "shared", "spatial_weight": "channel"},
        {"sew": "off", "cells": (2, 0)},
        {"unused_modules": True, "classes": 7, "audio_channels": 2},
    ],
    ids=str,
)
def test_switches_change_the_count_as_the_formula_says(switches):
    config = tiny_config(**switches)
    assert MISNet(config).count_parameters() == by_formula(config)


@pytest.mark.parametrize(
    ("switches", "extra"),
    [
        ({"neuron": "plif"}, 2 * (2 + 4)),  # a w for each of the neurons: per stage 2 unimodal and 4 in the SEW blocks
        ({"mlif_fusion": "mlp"}, sum(linear(2 * c, c) + linear(c, 2 * c) for c in (2, 3))),
        ({"mlif_fusion": "attention"}, sum(3 * c * c for c in (2, 3))),
        ({"mlif": "fused-charge"}, 0),
        ({"mlif": "independent"}, -4),  # no alpha
        ({"mlif": "independent", "mlif_fusion": "mlp"}, sum(linear(2 * c, c) + linear(c, 2 * c) for c in (2, 3)) - 4),
        ({"mlif": "independent", "mlif_fusion": "attention"}, sum(3 * c * c for c in (2, 3)) - 4),
        ({"mlif": "second-threshold"}, 0),  # a threshold for each alpha
        ({"mlif": "second-threshold", "learn_alpha": False}, -4),
        ({"mlif": "off"}, -4 - 2 * (8 * 8 + 4 * 4)),  # no alpha, no W
        ({"head": "mlp"}, linear(6, 3) + linear(3, 4) - linear(6, 4)),
        ({"head": "attention"}, 3 * 3 * 3),
        ({"head": "sum"}, linear(3, 4) - linear(6, 4)),
    ],
    ids=str,
)
def test_other_neurons_and_fusions_add_their_own_parameters(switches, extra):
    assert MISNet(tiny_config(**switches)).count_parameters() == by_formula(tiny_config()) + extra
