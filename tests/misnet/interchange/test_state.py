"""State dicts by the names of the same networks elsewhere: names, shapes, numbers, there and back; and what differs."""

import numpy as np
import pytest

from misnet.interchange.about import neuron_lines, neurons_of
from misnet.interchange.peers import PEERS
from misnet.interchange.state import from_state_dict, state_dict_of
from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.models.registry import MODELS, build, config_class
from snncore.interchange import InterchangeError
from tests.snncore.interchange.networks import lively

TINY = {"streams": "visual", "size": 8, "timesteps": 2, "classes": 5}
SMALL = TINY | {"width": 16, "depth": 1, "attention_heads": 2, "mlp_ratio": 2}
RESNET = TINY | {"channels": (4, 6), "blocks": (1, 1)}
MISNET = {"size": 8, "timesteps": 2, "channels": (4, 6), "cells": (1, 2), "classes": 5}
SWITCHES = {
    "misnet": MISNET,
    "sew-resnet18": RESNET,
    "spiking-resnet18": RESNET,
    "concat-resnet18": RESNET,
    "spikformer": SMALL,
    "spike-driven-transformer": SMALL,
    "spikingresformer-ti": TINY
    | {"channels": (8, 12), "blocks": (1, 2), "attention_heads": (2, 3), "patches": (4, 1), "group": 16},
}
SHAPES = {  # by hand, from the public code of each
    "misnet": {"stems.1.v.conv.weight": (6, 4, 3, 3), "cells.1.1.w.a": (4, 4), "cells.0.0.alpha.v": ()}
    | {"heads.a.weight": (5, 6), "head.bias": (5,)},
    "sew-resnet18": {"conv1.weight": (4, 3, 3, 3), "layer2.0.downsample.0.weight": (6, 4, 1, 1), "fc.weight": (5, 6)},
    "spiking-resnet18": {"layer1.0.bn2.running_var": (4,), "layer2.0.downsample.1.num_batches_tracked": ()},
    "concat-resnet18": {"layer2.0.conv2.weight": (6, 6, 3, 3), "bn1.bias": (4,)},
    "spikformer": {
        "patch_embed.proj_conv.weight": (2, 3, 3, 3),
        "patch_embed.proj_bn3.running_mean": (16,),
        "patch_embed.rpe_conv.weight": (16, 16, 3, 3),
        "block.0.attn.q_linear.bias": (16,),
        "block.0.attn.proj_bn.weight": (16,),
        "block.0.mlp.fc1_linear.weight": (32, 16),
        "head.weight": (5, 16),
    },
    "spike-driven-transformer": {
        "patch_embed.stages.2.0.bias": (8,),
        "patch_embed.final_stage.1.running_mean": (16,),
        "patch_embed.rpe_bn.weight": (16,),
        "blocks.0.attn.v_conv.weight": (16, 16, 1, 1),
        "blocks.0.mlp.fc2.weight": (16, 32, 1, 1),
        "blocks.0.mlp.bn2.bias": (16,),
    },
    "spikingresformer-ti": {
        "prologue.0.weight": (8, 3, 3, 3),
        "prologue.1.bn.running_var": (8,),
        "layers.0.0.W.weight": (16, 8, 4, 4),
        "layers.0.0.firing_rate_x": (1, 1, 2, 1, 1),
        "layers.0.1.conv.0.1.weight": (32, 16, 3, 3),
        "layers.1.0.conv.weight": (12, 8, 3, 3),
        "layers.1.0.norm.bn.weight": (12,),
        "layers.1.3.Wproj.weight": (12, 12, 1, 1),
        "layers.1.3.firing_rate_attn": (1, 1, 3, 1, 1),
        "layers.1.3.norm_proj.bn.bias": (12,),
        "layers.1.4.up.2.bn.num_batches_tracked": (),
        "layers.1.4.down.1.weight": (12, 48, 1, 1),
        "classifier.weight": (5, 12),
    },
}


def model_of(name, **more):
    return lively(build(name, config_class(name).from_dict(SWITCHES.get(name, {}) | more)))


@pytest.mark.parametrize("name", PEERS)
def test_names_and_shapes_there_and_the_same_bits_back(name):
    model = model_of(name)
    found = state_dict_of(model, name)
    assert {key: found[key].shape for key in SHAPES[name]} == SHAPES[name]
    assert not [key for key in found if key.startswith(("encoders", "stages", "head_", "head.l"))]
    back = from_state_dict(model, name, found, "file")
    own = model.state_dict()
    assert set(back) == set(own)
    for key, x in own.items():
        np.testing.assert_array_equal(back[key], x)


def test_every_entry_is_where_pytorch_has_it():
    model = model_of("spike-driven-transformer")
    found = state_dict_of(model, "spike-driven-transformer")
    q = model.encoders["visual"].blocks[0].attention.q.linear.weight.data
    np.testing.assert_array_equal(found["blocks.0.attn.q_conv.weight"][:, :, 0, 0], q.T)


def test_a_bias_before_a_normalisation_goes_into_its_mean():
    """BN(W x + b) with mean m is BN(W x) with mean m - b."""
    model = model_of("spike-driven-transformer")
    arrays = state_dict_of(model, "spike-driven-transformer")
    assert not arrays["patch_embed.stages.0.0.bias"].any()
    arrays["patch_embed.stages.0.0.bias"] = np.array([0.5, -0.25], np.float32)
    back = from_state_dict(model, "spike-driven-transformer", arrays, "file")
    mean = arrays["patch_embed.stages.0.1.running_mean"]
    np.testing.assert_array_equal(
        back["encoders.visual.patches.convs.0.bn.running_mean"], mean - np.array([0.5, -0.25], np.float32)
    )


def test_two_encoders_have_their_names_before_those_there():
    model = model_of("sew-resnet18", streams="both")
    found = state_dict_of(model, "sew-resnet18")
    alone = {key for key in state_dict_of(model_of("sew-resnet18"), "sew-resnet18") if not key.startswith("fc")}
    for stream in ("audio", "visual"):
        assert {key.removeprefix(f"{stream}.") for key in found if key.startswith(stream)} == alone
    assert found["fc.weight"].shape == (5, 12)
    back = from_state_dict(model, "sew-resnet18", found, "file")
    assert set(back) == set(model.state_dict())
    deep = model_of("spike-driven-transformer", streams="both")
    found = state_dict_of(deep, "spike-driven-transformer")
    found["audio.patch_embed.final_stage.0.bias"] += 1
    back = from_state_dict(deep, "spike-driven-transformer", found, "file")
    mean = deep.encoders["audio"].patches.last.bn.running_mean.data
    np.testing.assert_array_equal(back["encoders.audio.patches.last.bn.running_mean"], mean - 1)


def test_what_is_never_used_there_may_be_in_the_file():
    arrays = state_dict_of(model_of("spikformer", unused_modules=True), "spikformer")
    assert arrays["block.0.norm2.weight"].shape == (16,)
    model = model_of("spikformer")
    assert set(from_state_dict(model, "spikformer", arrays, "file")) == set(model.state_dict())
    model = model_of("spikformer", unused_modules=True)
    assert "encoders.visual.blocks.0.unused.1.weight" in from_state_dict(model, "spikformer", arrays, "file")


def test_models_without_a_twin_keep_their_names():
    name = "s-cmrl"
    assert name in MODELS
    assert name not in PEERS
    model = build(name, config_class(name).from_dict({"width": 16, "attention_heads": 2}))
    found = state_dict_of(model, name)
    assert {key for key in found if not key.endswith("num_batches_tracked")} == set(model.state_dict())
    back = from_state_dict(model, name, found, "file")
    assert all((back[key] == x).all() for key, x in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("fc.bias"), "fc.bias is missing"),
        (lambda a: a.update({"fc.weight": a["fc.weight"].T}), r"fc.weight has the shape \(6, 5\), expected \(5, 6\)"),
        (lambda a: a.update({"layer9.x": a["fc.bias"]}), "layer9.x has no place in the network"),
        (lambda a: a.clear(), "conv1.weight is missing; .*; and 26 more"),
    ],
)
def test_what_does_not_fit_is_listed_by_the_names_there(change, words):
    model = model_of("sew-resnet18")
    arrays = state_dict_of(model, "sew-resnet18")
    change(arrays)
    with pytest.raises(InterchangeError, match=rf"^w\.pt: expected weights of SpikingJelly's sew_resnet18 .*{words}"):
        from_state_dict(model, "sew-resnet18", arrays, "w.pt")


def test_neurons_are_told():
    model = model_of("spikformer", tau=4.0)
    found = dict(neurons_of(model))
    assert found["encoders.visual.blocks.0.attention.neuron"] == {
        "kind": "lif", "decay": 0.75, "v_threshold": 2.0, "v_reset": 0.0,
    }  # fmt: skip
    assert neuron_lines(model) == [
        "11 layers of lif: keeps 0.75, fires at 4, resets to 0",
        "1 layer of lif: keeps 0.75, fires at 2, resets to 0",
    ]
    plif = model_of("sew-resnet18", neuron="plif", tau=4.0, reset="soft")
    assert neuron_lines(plif) == ["6 layers of plif: keeps 0.75, fires at 1, subtracts it"]


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        ({}, "1 layer of mlif: keeps 0.5, fires at 2 / alpha, subtracts 2"),
        ({"mlif_fusion": "mlp"}, "1 layer of fusedmlif: keeps 0.5, fires at 2 / alpha, subtracts 2"),
        (
            {"mlif": "second-threshold"},
            "2 layers of raisedlif: keeps 0.5, fires at a threshold of its own, subtracts 2",
        ),
    ],
)
def test_neurons_that_do_not_fire_at_what_they_subtract_are_told(switches, line):
    model = MISNet(MISNetConfig(channels=(4,), cells=(1,), size=4, mlif_v_threshold=2.0, **switches))
    assert line in neuron_lines(model)
