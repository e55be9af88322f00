"""The table of a configuration agrees with the model that it describes."""

import re

import pytest

from misnet import MISNet
from misnet.models.summary import main, summarize
from snncore import nn
from tests.misnet.tiny import tiny_config
from tests.misnet.toys import one_stream

ROW = re.compile(r"(?P<layer>\S+)\s+(?P<kind>not called|[A-Za-z]\w+)?\s*(?P<output>\[.*\])?\s*(?P<count>[\d,]+)")


def rows(text):
    """(layer, kind, output, parameters) of each row; the last is the total."""
    found = [ROW.fullmatch(line) for line in text.splitlines()[1:]]
    return [(m["layer"], m["kind"], m["output"], int(m["count"].replace(",", ""))) for m in found]


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"mlif_fusion": "mlp", "head": "mlp", "head_pool": 1},
        {"mlif_fusion": "attention", "head": "attention", "pooling": "avg"},
        {"sew": "shared", "unused_modules": True, "neuron": "clif", "spatial_weight": "none"},
        {"mlif": "independent", "sew": "off", "spatial_weight": "channel", "neuron": "plif"},
        {"mlif": "fused-charge", "cells": (0, 2), "size": 13},
    ],
    ids=str,
)
def test_rows_add_up_to_the_parameters_of_the_model(switches):
    config = tiny_config(**switches)
    *layers, (name, _, _, total) = rows(summarize(MISNet(config)))
    assert name == "total"
    assert total == sum(count for *_, count in layers) == MISNet(config).count_parameters()


def test_layers_shapes_and_counts_of_a_small_network():
    table = {layer: rest for layer, *rest in rows(summarize(MISNet(tiny_config())))}
    assert table["stages.0.unimodal.v.conv"] == ["Conv2d", "[3, N, 8, 8, 2]", 9 * 2 * 2]
    assert table["stages.0.cells.0"] == ["weights", None, 2 * 8 * 8]  # W of both modalities
    assert table["stages.0.cells.0.mlif"] == ["MLIF", "[3, N, 8, 8, 2]", 2]
    assert table["stages.0.pool"] == ["MaxPool2d", "[3, N, 4, 4, 2]", 0]
    assert table["stages.1.cells.0.sew.a.c2.neuron"] == ["LIF", "[3, N, 4, 4, 3]", 0]
    assert table["pool"] == ["FeaturePool", "[3, N, 3]", 0]
    assert table["head.linear"] == ["Linear", "[3, N, 4]", 6 * 4 + 4]
    assert table["MISNet"] == ["MISNet", "[N, 4]", 0]


def test_modules_that_are_never_called_say_so():
    table = {layer: rest for layer, *rest in rows(summarize(MISNet(tiny_config(unused_modules=True))))}
    unused = {layer: kind for layer, (kind, _, count) in table.items() if "unused" in layer and count}
    assert len(unused) == 2 * (2 * 2 + 2 * 2)  # two cells, each a SEW block of two conv and BN, two projections
    assert set(unused.values()) == {"not called"}
    assert table["stages.1.cells.0.unused_projection.v.conv"][2] == 3 * 3


def test_columns_stand_below_each_other():
    text = summarize(MISNet(tiny_config(unused_modules=True)))
    assert len({len(line) for line in text.splitlines()}) == 1


def test_the_command_line_prints_the_table_of_its_switches(capsys):
    main(["--channels", "2,3", "--cells", "1,1", "--classes", "4", "--size", "8", "--timesteps", "3"])
    assert capsys.readouterr().out == summarize(MISNet(tiny_config(visual_channels=3, variant="S"))) + "\n"


def test_the_command_line_explains_a_bad_switch(capsys):
    with pytest.raises(SystemExit) as status:
        main(["--tau", "0.2"])
    assert status.value.code == 2
    assert "tau: expected a number above 1, found 0.2" in capsys.readouterr().err


def test_a_layer_that_is_no_attribute_of_the_model_stands_last_under_its_class():
    class Hiding(one_stream.build):
        def forward(self, x):
            return {"digit": nn.Tanh()(super().forward(x)["digit"])}

    *_, layer, total = rows(summarize(Hiding(one_stream.Config(classes=3))))
    assert layer == ("Tanh", "Tanh", "[N, 3]", 0)
    assert total[3] == 64 * 16 + 16 + 16 * 3 + 3
