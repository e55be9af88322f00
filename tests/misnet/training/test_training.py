"""One optimizer step: it lowers the loss, it counts, and it refuses to go on from a loss that is not finite."""

import numpy as np
import pytest

from misnet import MISNet, loss
from misnet.training.step import Diverged, Totals, predict, train_step
from snncore import Tensor
from snncore.optim import SGD, Adam
from tests.misnet.tiny import copy_of, make_batch, tiny_config


@pytest.mark.parametrize("switches", [{}, {"loss": "cross-entropy"}, {"mlif_fusion": "mlp"}], ids=str)
def test_thirty_steps_on_one_batch_lower_the_loss(switches):
    config = tiny_config(channels=(4, 6), **switches)
    model = MISNet(config)
    optimizer = Adam(model.named_parameters(), 1e-2)
    batch = make_batch(config, n=6)
    values = [train_step(model, optimizer, 1e-2, batch, Totals(), step) for step in range(30)]
    assert np.mean(values[-5:]) < 0.7 * np.mean(values[:3])


def test_a_step_is_forward_backward_update_with_the_rate_that_is_given():
    config = tiny_config()
    batch = make_batch(config)
    model, twin = MISNet(config), MISNet(config)
    totals = Totals()
    value = train_step(model, SGD(model.named_parameters(), lr=9.0), 0.1, batch, totals, step=0)
    by_hand = loss(twin.train()(Tensor(batch[0]), Tensor(batch[1])), batch[2], config)
    by_hand.backward()
    assert value == by_hand.item()
    weights = model.state_dict()
    for name, p in twin.named_parameters():
        np.testing.assert_array_equal(weights[name], p.data - 0.1 * p.grad, err_msg=name)
    assert (totals.samples, totals.loss) == (3, pytest.approx(3 * value))
    assert totals.places > 0


def test_gradients_of_the_last_step_are_forgotten():
    config = tiny_config()
    batch = make_batch(config)
    model = MISNet(config)
    optimizer = SGD(model.named_parameters(), lr=0.0)
    train_step(model, optimizer, 0.0, batch, Totals(), step=0)
    first = {name: p.grad.copy() for name, p in model.named_parameters()}
    train_step(model, optimizer, 0.0, batch, Totals(), step=1)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.grad, first[name], err_msg=name)


def test_a_step_trains_after_an_evaluation():
    config = tiny_config()
    model = MISNet(config)
    x_a, x_v, labels = make_batch(config)
    predict(model, x_a, x_v)
    before = copy_of(model.state_dict())
    train_step(model, SGD(model.named_parameters(), 0.1), 0.1, (x_a, x_v, labels), Totals(), step=0)
    mean = "stages.0.unimodal.a.bn.running_mean"
    assert (model.state_dict()[mean] != before[mean]).any()


def refused(model, batch, message):
    """Run step 7, expect Diverged, and every parameter, running statistic and average as it was."""
    optimizer = Adam(model.named_parameters(), 1e-2)
    before = copy_of(model.state_dict())
    assert any("running" in name for name in before)
    state, totals = optimizer.state_dict(), Totals()
    with pytest.raises(Diverged, match=message):
        train_step(model, optimizer, 1e-2, batch, totals, step=7)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)
    for name, x in optimizer.state_dict().items():
        np.testing.assert_array_equal(x, state[name], err_msg=name)
    assert totals == Totals()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["head.linear.weight", "head_a.bias", "head_v.weight"])
def test_a_parameter_that_is_not_finite_is_named(name, value):
    config = tiny_config()
    model = MISNet(config)
    dict(model.named_parameters())[name].data.flat[0] = value
    refused(model, make_batch(config), rf"^step 7: the loss is (nan|inf); first not finite: parameter {name}$")


def test_a_layer_that_overflows_is_named():
    config = tiny_config()
    model = MISNet(config)
    model.head.linear.bias.data[...] = 3e38
    model.head.linear.weight.data[...] = 3e38
    batch = make_batch(config)
    message = r"^step 7: the loss is (nan|inf); first not finite: output of layer head\.linear \(Linear\)$"
    model.stages[1].cells[0].mlif.alpha_a.data[...] = 5  # make the features fire
    refused(model, batch, message)


# A membrane that is NaN never fires: what follows does not reach the loss, and is found all the same.


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("index", "name"), [(0, "audio input"), (1, "visual input")])
def test_an_input_that_is_not_finite_is_named(index, name, value):
    config = tiny_config()
    batch = make_batch(config)
    batch[index][1, 0, 2, 2, 0] = value
    refused(MISNet(config), batch, f"^step 7: .*first not finite: {name}$")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name",
    [
        "stages.0.unimodal.a.conv.weight",
        "stages.0.unimodal.v.bn.weight",
        "stages.0.unimodal.a.bn.bias",
        "stages.0.cells.0.w_a",
        "stages.1.cells.0.mlif.alpha_v",
    ],
)
def test_a_parameter_below_a_neuron_that_is_not_finite_is_named(name, value):
    config = tiny_config()
    model = MISNet(config)
    dict(model.named_parameters())[name].data.flat[0] = value
    refused(model, make_batch(config), f"^step 7: .*first not finite: parameter {name}$")


def test_a_layer_below_a_neuron_that_overflows_is_named():
    config = tiny_config()
    model = MISNet(config)
    dict(model.named_parameters())["stages.0.unimodal.v.conv.weight"].data[...] = 3e38
    layer = r"output of layer stages\.0\.unimodal\.v\.conv \(Conv2d\)"
    refused(model, make_batch(config), f"^step 7: .*first not finite: {layer}$")


def test_training_goes_on_after_a_refused_batch_as_if_it_had_not_been():
    config = tiny_config()
    good, bad = make_batch(config), make_batch(config, seed=1)
    bad[0][0, 0, 0, 0, 0] = np.nan
    ends = []
    for batches in ((good, bad, good), (good, good)):
        model = MISNet(config)
        optimizer = Adam(model.named_parameters(), 1e-2)
        for step, batch in enumerate(batches):
            try:
                train_step(model, optimizer, 1e-2, batch, Totals(), step)
            except Diverged:
                assert batch is bad
        ends.append(copy_of(model.state_dict()) | optimizer.state_dict())
    for name, x in ends[1].items():
        np.testing.assert_array_equal(ends[0][name], x, err_msg=name)
