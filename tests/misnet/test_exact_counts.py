"""Counts of whole networks equal, to the last integer, those of the interpreter that executes them scalar by scalar."""

import pytest

from misnet import MISNet
from snncore import Tensor
from tests.misnet.tiny import shaken, streams_of, tiny_config
from tests.reference.exact import check, record
from tests.reference.interpreter import FREE, RULES

SWITCHES = {
    "paper": {},
    "public code": {"neuron": "clif", "sew": "shared", "cell_residual": True, "pooling": "avg", "head_pool": 2},
    "plif, hard reset, per channel": {"neuron": "plif", "reset": "hard", "spatial_weight": "channel"},
    "if, iand, no W": {"neuron": "if", "connect": "iand", "spatial_weight": "none", "head": "hadamard"},
    "and, independent": {"connect": "and", "mlif": "independent", "head": "sum"},
    "mlp": {"mlif_fusion": "mlp", "head": "mlp"},
    "attention": {"mlif_fusion": "attention", "head": "attention"},
    "spikes fused by mlp": {"mlif": "independent", "mlif_fusion": "mlp"},
    "spikes fused by attention": {"mlif": "independent", "mlif_fusion": "attention"},
    "second threshold": {"mlif": "second-threshold", "alpha": 0.8},
    "no neuron in the cell": {"mlif": "off"},
    "windows": {"block": "swin", "window": 2, "swin_heads": 1, "mlp_ratio": 2},
    "vision alone": {"streams": "visual"},
    "sound alone, no W": {"streams": "audio", "spatial_weight": "none", "pooling": "avg"},
    "fused charge": {"mlif": "fused-charge", "decay": 0.0, "tau": 2.0},
    "fused charge by mlp": {"mlif": "fused-charge", "mlif_fusion": "mlp"},
    "fused charge by attention, no W": {"mlif": "fused-charge", "mlif_fusion": "attention", "spatial_weight": "none"},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SWITCHES)
def test_whole_networks(name, training):
    config = tiny_config(timesteps=2, size=4 if name != "public code" else 8, v_threshold=0.4, **SWITCHES[name])
    model = shaken(MISNet(config)).train(training)
    inputs = streams_of(config, n=2)
    calls, ops = record(lambda: model(*map(Tensor, inputs)))
    assert {function.name for function, _, _ in calls} <= set(RULES) | set(FREE)
    assert check(calls, ops) > 20
    assert ops.totals()["spikes"] > 0
