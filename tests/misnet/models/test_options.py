"""Every switch has an option, and options make the configuration that they say."""

import argparse
from dataclasses import fields

import pytest

from misnet import ConfigError, MISNetConfig, preset
from misnet.models.options import add_model_options, first_look, split
from misnet.models.options import model_config as model_config_of


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    return parser


def parse(parser, text):
    others, switches = split(vars(parser.parse_args(text.split())))
    assert others == {}
    return switches


def model_config(switches):
    return model_config_of(MISNetConfig, switches)


def test_every_switch_has_an_option_with_help(parser):
    helps = split({a.dest: a.help for a in parser._actions})[1]
    for switch in fields(MISNetConfig):
        assert helps[switch.name].startswith(switch.metadata["help"])
        if switch.default is not None:
            assert f"(default: {switch.default})" in helps[switch.name]
    assert "--mlif-v-threshold MLIF_V_THRESHOLD" in " ".join(parser.format_help().split())


def test_options_that_are_not_given_are_absent(parser):
    assert parse(parser, "") == {}
    assert model_config({}) == MISNetConfig()


@pytest.mark.parametrize(
    ("text", "switches"),
    [
        ("--variant XL --size 64", {"variant": "XL", "size": 64}),
        ("--channels 4,6,8 --cells 0,1,2", {"channels": (4, 6, 8), "cells": (0, 1, 2)}),
        ("--tau 4 --v-threshold 0.5", {"tau": 4.0, "v_threshold": 0.5}),
        ("--decay 0", {"decay": 0.0}),
        ("--detach-reset --no-learn-alpha", {"detach_reset": True, "learn_alpha": False}),
        ("--reset hard --surrogate atan --surrogate-scale 3", {"reset": "hard", "surrogate": "atan"}),
        ("--mlif-fusion attention --head hadamard", {"mlif_fusion": "attention", "head": "hadamard"}),
        ("--loss cross-entropy --beta-a 0 --beta-v 1", {"loss": "cross-entropy", "beta_a": 0.0, "beta_v": 1.0}),
    ],
)
def test_options_set_their_switches_and_no_other(parser, text, switches):
    if "--surrogate-scale" in text:
        switches = switches | {"surrogate_scale": 3.0}
    assert model_config(parse(parser, text)) == MISNetConfig(**switches)


def test_options_override_a_preset(parser):
    config = model_config(parse(parser, "--preset public-code --variant XS --neuron lif --no-cell-residual"))
    assert config == preset("public-code", "XS", neuron="lif", cell_residual=False)
    assert (config.sew, config.stage_cells) == ("shared", (1, 1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--variant M", "argument --variant: invalid choice: 'M'"),
        ("--channels 4,x", "argument --channels: invalid list of integers value: '4,x'"),
        ("--size big", "argument --size: invalid int value: 'big'"),
        ("--tau two", "argument --tau: invalid float value: 'two'"),
        ("--neuron relu", "argument --neuron: invalid choice: 'relu'"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused_by_name(parser, text, message, capsys):
    with pytest.raises(SystemExit) as status:
        parse(parser, text)
    assert status.value.code == 2
    assert message in capsys.readouterr().err


def test_values_that_do_not_go_together_are_refused(parser):
    with pytest.raises(ConfigError, match="reset: CLIF defines a soft reset only"):
        model_config(parse(parser, "--preset public-code --reset hard"))
    with pytest.raises(ConfigError, match="cells: expected 3 numbers"):
        model_config(parse(parser, "--cells 1,1"))


def test_a_value_that_is_no_switch_is_refused():
    with pytest.raises(ConfigError, match="unknown switch epochs; known are"):
        model_config({"size": 16, "epochs": 4})


def test_a_switch_with_the_name_of_another_option_has_an_option_and_a_value_of_its_own():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=float)
    parser.add_argument("--tau", default="mine")
    add_model_options(parser)
    parsed = vars(parser.parse_args(["--size", "0.5", "--model-size", "16", "--decay", "0.25"]))
    others, switches = split(parsed)
    assert others == {"size": 0.5, "tau": "mine"}
    assert switches == {"size": 16, "decay": 0.25}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", {}),
        ("--variant S --size 8", {}),
        ("--size 8 --model other --variant S", {"model": "other"}),
        ("--model=other --config x/config.json --lr 3", {"model": "other", "config": "x/config.json"}),
        ("--help", {}),
    ],
)
def test_the_first_look_finds_the_model_whatever_else_there_is(line, found):
    assert first_look(line.split(), "config") == found
