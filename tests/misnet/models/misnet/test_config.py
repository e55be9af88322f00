"""Table 1, the presets, and what is said about every switch that cannot be used."""

import json

import pytest

from misnet import ConfigError, MISNetConfig, preset
from misnet.models.misnet.config import PRESETS, VARIANTS
from snncore import surrogate

TABLE_1 = {  # variant: channels, cells, as printed
    "XS": ((64, 128, 256), (2, 2, 1)),
    "S": ((64, 128, 256), (2, 2, 2)),
    "L": ((64, 128, 256, 512), (2, 2, 2, 1)),
    "XL": ((64, 128, 256, 512), (2, 2, 2, 2)),
}


@pytest.mark.parametrize("variant", TABLE_1)
def test_variants_have_the_channels_and_cells_of_table_1(variant):
    config = MISNetConfig(variant=variant)
    assert (config.stage_channels, config.stage_cells) == TABLE_1[variant]
    assert set(VARIANTS) == set(TABLE_1)


def test_defaults_are_the_paper_s_where_it_can_be_followed():
    config = MISNetConfig()
    assert (config.variant, config.mlif, config.mlif_fusion, config.head) == ("S", "full", "concat", "concat")
    assert (config.alpha, config.learn_alpha, config.beta_a, config.beta_v) == (0.5, True, 0.5, 0.5)
    assert (config.sew, config.connect, config.reset, config.v_reset) == ("per-modality", "add", "soft", None)
    assert (config.tau, config.membrane_decay, config.v_threshold, config.mlif_v_threshold) == (2.0, 0.5, 1.0, 1.0)
    assert config.make_surrogate() == surrogate.Sigmoid(4.0)


def test_channels_and_cells_replace_those_of_the_variant():
    config = MISNetConfig(variant="XL", channels=[3, 5], cells=[0, 2])
    assert (config.stage_channels, config.stage_cells) == ((3, 5), (0, 2))


def test_decay_wins_over_tau_and_zero_is_a_decay():
    assert MISNetConfig(tau=4.0).membrane_decay == 0.75
    assert MISNetConfig(tau=4.0, decay=0.2).membrane_decay == 0.2
    assert MISNetConfig(decay=0.0).membrane_decay == 0.0


def test_hard_reset_goes_to_zero_and_the_scale_goes_to_the_surrogate():
    config = MISNetConfig(reset="hard", surrogate="rectangle", surrogate_scale=0.7)
    assert config.v_reset == 0.0
    assert config.make_surrogate() == surrogate.Rectangle(0.7)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"variant": "M"}, "variant: expected one of XS, S, L, XL, found 'M'"),
        ({"reset": "none"}, "reset: expected one of soft, hard, found 'none'"),
        ({"surrogate": "step"}, "surrogate: expected one of sigmoid, .*, found 'step'"),
        ({"neuron": "relu"}, "neuron: expected one of lif, if, plif, clif, found 'relu'"),
        ({"mlif": "half"}, "mlif: expected one of full, fused-charge, independent, second-threshold, off, found"),
        ({"mlif_fusion": "sum"}, "mlif_fusion: expected one of concat, mlp, attention, found 'sum'"),
        ({"spatial_weight": "row"}, "spatial_weight: expected one of pixel, channel, none, found 'row'"),
        ({"sew": "on"}, "sew: expected one of per-modality, shared, off, found 'on'"),
        ({"connect": "or"}, "connect: expected one of add, and, iand, found 'or'"),
        ({"pooling": "min"}, "pooling: expected one of max, avg, found 'min'"),
        ({"head": "product"}, "head: expected one of concat, sum, hadamard, mlp, attention, found 'product'"),
        ({"loss": "l1"}, "loss: expected one of mse, cross-entropy, found 'l1'"),
        ({"classes": 0}, "classes: expected a positive integer, found 0"),
        ({"size": 32.0}, "size: a value of the wrong type: expected an integer, found 32.0"),
        ({"timesteps": -1}, "timesteps: expected a positive integer, found -1"),
        ({"audio_channels": 0}, "audio_channels: expected a positive integer, found 0"),
        ({"visual_channels": 0}, "visual_channels: expected a positive integer, found 0"),
        ({"v_threshold": 0.0}, r"^v_threshold: expected a positive number, found 0\.0"),
        ({"v_threshold": float("nan")}, "^v_threshold: expected a finite number, found nan"),
        ({"mlif_v_threshold": -1.0}, r"^mlif_v_threshold: expected a positive number, found -1\.0"),
        ({"beta_a": -0.1}, r"beta_a: expected a number of at least 0, found -0\.1"),
        ({"beta_v": -0.1}, r"beta_v: expected a number of at least 0, found -0\.1"),
        ({"channels": ()}, r"channels: expected integers of at least 1, one a stage, found \(\)"),
        ({"channels": (4, 0, 8)}, r"channels: expected integers of at least 1, one a stage, found \(4, 0, 8\)"),
        ({"cells": (1, -1, 1)}, r"cells: expected integers of at least 0, one a stage, found \(1, -1, 1\)"),
        ({"cells": (1, 1)}, r"cells: expected 3 numbers, one for each of the channels .*, found \(1, 1\)"),
        ({"decay": 1.0}, r"decay: expected a number in \[0, 1\), found 1\.0"),
        ({"decay": -0.5}, r"decay: expected a number in \[0, 1\), found -0\.5"),
        ({"surrogate_scale": 0.0}, r"Sigmoid: slope must be positive, found 0\.0"),
        ({"size": 7}, "size: expected at least 8, as 3 stages halve it, found 7"),
        ({"variant": "L", "size": 15}, "size: expected at least 16, as 4 stages halve it, found 15"),
        ({"head_pool": 5}, "head_pool: expected 0 or at most 4, the size after the last stage, found 5"),
        ({"head_scale": -0.1}, "head_scale: expected a number of at least 0, found -0.1"),
        ({"head_pool": -1}, "head_pool: expected 0 or at most 4, .*, found -1"),
        ({"neuron": "clif", "reset": "hard"}, "reset: CLIF defines a soft reset only, found 'hard'"),
        ({"mlif": "second-threshold", "alpha": 0.0}, r"alpha: expected a positive number, as .*, found 0\.0"),
        ({"mlif": "off", "cell_residual": True}, "cell_residual: without a neuron in the cell .* would double"),
        ({"neuron": "plif", "decay": 0.0}, "decay: PLIF learns a tau above 1 and cannot start from decay 0"),
    ],
    ids=str,
)
def test_a_bad_switch_is_refused_by_name(switches, message):
    with pytest.raises(ConfigError, match=message):
        MISNetConfig(**switches)


@pytest.mark.parametrize("tau", [0.2, 1.0, -3.0])
def test_tau_of_one_or_less_is_refused_with_the_reason(tau):
    with pytest.raises(ConfigError, match=f"tau: expected a number above 1, found {tau}: the membrane keeps 1 - 1"):
        MISNetConfig(tau=tau)


@pytest.mark.parametrize("fusion", ["mlp", "attention"])
@pytest.mark.parametrize("mlif", ["second-threshold", "off"])
def test_controls_have_no_fusion_to_replace(mlif, fusion):
    with pytest.raises(
        ConfigError, match=f"mlif_fusion: the control mlif={mlif} fuses .* expected concat, found '{fusion}'"
    ):
        MISNetConfig(mlif=mlif, mlif_fusion=fusion)


def test_from_dict_names_unknown_switches():
    with pytest.raises(ConfigError, match="unknown switch depth, taus; known are alpha, audio_channels, beta_a"):
        MISNetConfig.from_dict({"taus": 2.0, "depth": 3, "tau": 2.0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tau", "2"),
        ("channels", 5),
        ("channels", "16,32,64"),
        ("v_threshold", None),
        ("surrogate_scale", "1"),
        ("alpha", "half"),
        ("head_pool", 1.5),
        ("detach_reset", "false"),
        ("learn_alpha", 1),
        ("timesteps", True),
        ("reset", ["soft"]),
    ],
)
@pytest.mark.parametrize(
    "make",
    [lambda **s: MISNetConfig(**s), lambda **s: MISNetConfig.from_dict(s), lambda **s: preset("paper", **s)],
    ids=["init", "from_dict", "preset"],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(make, name, value):
    with pytest.raises(ConfigError, match=f"^{name}: "):
        make(**{name: value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e300])
@pytest.mark.parametrize(
    "name", ["tau", "v_threshold", "mlif_v_threshold", "beta_a", "beta_v", "surrogate_scale", "alpha"]
)
def test_a_number_that_single_precision_does_not_hold_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: "):
        MISNetConfig(**{name: value})


@pytest.mark.parametrize("neuron", ["lif", "plif", "clif"])
def test_a_tau_so_large_that_nothing_leaks_is_refused(neuron):
    with pytest.raises(ConfigError, match=r"^tau: .* found 1e\+20"):
        MISNetConfig(tau=1e20, neuron=neuron)


def test_a_preset_names_unknown_switches():
    with pytest.raises(ConfigError, match="unknown switch taus; known are"):
        preset("paper", "S", taus=2.0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name, variant):
    config = preset(name, variant, beta_v=0.25)
    assert MISNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_public_code_preset_sets_what_that_code_does():
    config = preset("public-code", "XS")
    assert (config.neuron, config.surrogate, config.sew, config.pooling) == ("clif", "rectangle", "shared", "avg")
    assert (config.cell_residual, config.learn_alpha, config.spatial_weight) == (True, False, "none")
    assert (config.stage_cells, config.size, config.head_pool, config.head_scale) == ((1, 1, 1), 32, 2, 1.0)
    assert (preset("public-code", "XL").size, preset("public-code", "XL").head_pool) == (64, 4)
    assert preset("public-code", "S").stage_cells == (2, 2, 2)


def test_switches_override_a_preset_and_the_rest_stays():
    config = preset("public-code", "XS", cells=(2, 1, 1), neuron="lif")
    assert (config.stage_cells, config.neuron, config.sew) == ((2, 1, 1), "lif", "shared")
    assert preset("paper", "L") == MISNetConfig(variant="L")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("private-code", "S"), "preset: expected one of paper, public-code, found 'private-code'"),
        (("paper", "M"), "variant: expected one of XS, S, L, XL, found 'M'"),
    ],
)
def test_an_unknown_preset_or_variant_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        preset(*arguments)


def test_as_many_residual_cells_as_a_byte_can_count_are_taken_and_no_more():
    MISNetConfig(channels=(4,), cells=(254,), cell_residual=True)
    MISNetConfig(channels=(4,), cells=(255,))  # without a residual nothing is added up
    with pytest.raises(ConfigError, match=r"cells: expected at most 254 a stage with cell_residual, .* found 255"):
        MISNetConfig(channels=(4,), cells=(255,), cell_residual=True)
