"""Each warning provoked, given once and with its name; none in a sound run."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.totals import Totals
from misnet.training.watch import watch
from snncore.checkpoint import load_checkpoint
from tests.misnet.tiny import tiny_config
from tests.misnet.tiny_run import make_run


def warnings(folder, spoil=lambda model: None, **options):
    """What a run warns of whose model was spoiled at the start."""
    said = []
    run = make_run(folder, warn=said.append, **options)
    spoil(run.model)
    run.run()
    return said, run


def parameter(model, name):
    return dict(model.named_parameters())[name].data


def test_a_dead_layer_is_named_once(tmp_path):
    def spoil(model):
        parameter(model, "stages.0.unimodal.a.bn.bias")[...] = -50

    said, run = warnings(tmp_path, spoil, lr=1e-6)
    dead = [line for line in said if "stages.0.unimodal.a" in line]
    assert len(dead) == 1
    assert dead[0].startswith("epoch 1: layer stages.0.unimodal.a")
    assert dead[0].endswith(" is dead: none of its neurons fired in the epoch")
    again, _ = [], load_checkpoint(tmp_path / "last.safetensors")
    longer = make_run(tmp_path, epochs=3, lr=1e-6, warn=again.append)
    longer.resume()
    longer.run()
    assert not [line for line in again if "stages.0.unimodal.a" in line]
    assert run.warned == longer.warned


def test_a_saturated_layer_is_named(tmp_path):
    def spoil(model):
        parameter(model, "stages.0.unimodal.v.bn.bias")[...] = 50

    said, _ = warnings(tmp_path, spoil, lr=1e-6)
    line = next(line for line in said if "stages.0.unimodal.v" in line)
    assert line.endswith("is saturated: 1.000 spikes per neuron and timestep")


def test_an_alpha_that_has_gone_negative_is_named(tmp_path):
    name = "stages.1.cells.0.mlif.alpha_v"
    said, _ = warnings(tmp_path, lambda model: parameter(model, name).fill(-0.25), lr=1e-9)
    assert f"epoch 1: {name} has gone negative (-0.25): its cell is silenced for good" in said


def test_a_sound_network_is_not_warned_of():
    model = MISNet(tiny_config())
    sound = Totals(10, 1.0, {"av": 5, "a": 5, "v": 5}, 30, 100, 1.0, {"x": [30, 100]})
    assert watch(model, sound, rows([1, 0.9, 0.8, 0.8, 0.7, 0.9], av=0.9, a=0.5, v=0.5), []) == {}


def rows(losses, av=0.9, a=0.9, v=0.9):
    """Rows with these training losses and, in each epoch, these accuracies in training."""
    heads = {"train_accuracy_av": av, "train_accuracy_a": a, "train_accuracy_v": v}
    return [{"train_loss": loss, **heads} for loss in losses]


def test_a_loss_that_explodes_without_being_infinite():
    model = MISNet(tiny_config())
    found = watch(model, Totals(), rows([0.5, 0.01, 2e26]), [])
    assert found == {"loss": "the training loss has exploded: 2e+26, after 0.01 in its best epoch"}
    assert watch(model, Totals(), rows([0.5, 0.01, 2e26]), ["loss"]) == {}
    assert watch(model, Totals(), rows([0.5, 0.001, 0.4]), []) == {}


def test_a_run_with_a_loss_that_explodes(tmp_path):
    with np.errstate(all="ignore"):
        said, _ = warnings(tmp_path, optimizer="sgd", lr=30.0, epochs=4)
    assert any("the training loss has exploded" in line for line in said), said


@pytest.mark.parametrize(("accuracy", "epochs", "warned"), [(0.25, 5, True), (0.25, 4, False), (0.5, 9, False)])
def test_a_head_at_chance_after_five_epochs_is_named(accuracy, epochs, warned):
    model = MISNet(tiny_config())  # 4 classes
    found = watch(model, Totals(), rows([1.0] * epochs, v=accuracy), [])
    expected = {
        "head v": f"head v ({model.heads['v']}) does not learn: at best 25.0 % of the training samples in 5 epochs, "
        "chance is 25.0 %"
    }
    assert found == (expected if warned else {})
