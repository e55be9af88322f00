"""A batch in parts: the gradients of the whole batch where no layer mixes samples, and a step of its own."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.accumulate import accumulated_step, parts_of
from misnet.training.step import Diverged, train_step
from misnet.training.totals import Totals
from snncore.optim import SGD, Adam
from tests.misnet.tiny import copy_of, double_model, make_batch, tiny_config
from tests.misnet.tiny_run import make_run


@pytest.mark.parametrize(
    ("samples", "parts", "sizes"), [(7, 3, [2, 3, 2]), (4, 4, [1] * 4), (3, 5, [1] * 3), (8, 2, [4, 4]), (1, 1, [1])]
)
def test_parts_are_even_and_cover_the_batch_once(samples, parts, sizes):
    found = parts_of(samples, parts)
    assert [part.stop - part.start for part in found] == sizes
    assert [i for part in found for i in range(samples)[part]] == list(range(samples))


def fixed_statistics(config):
    """A float64 network whose normalisations use running statistics, in training too."""
    model = double_model(config).eval()
    model.train = lambda mode=True: model
    return model


def gradients(parts, switches, statistics=fixed_statistics):
    config = tiny_config(**switches)
    batch = make_batch(config, n=7, dtype=np.float64)
    model, totals = statistics(config), Totals()
    model.train()
    optimizer = SGD(model.named_parameters(), 0.0)
    if parts == 1:
        value = train_step(model, optimizer, 0.0, batch, totals, 0)
    else:
        value = accumulated_step(model, optimizer, 0.0, batch, totals, 0, parts)
    return value, {name: p.grad.copy() for name, p in model.named_parameters() if p.grad is not None}, totals


@pytest.mark.parametrize("switches", [{}, {"loss": "cross-entropy", "mlif_fusion": "mlp"}], ids=str)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_gradients_are_those_of_the_whole_batch(switches, parts):
    value, expected, totals = gradients(1, switches)
    again, found, sums = gradients(parts, switches)
    assert again == pytest.approx(value, rel=1e-12)
    assert found.keys() == expected.keys()
    for name, g in expected.items():
        np.testing.assert_allclose(found[name], g, rtol=1e-9, atol=1e-14, err_msg=name)
    assert max(abs(g).max() for g in expected.values()) > 1e-3
    assert (sums.samples, sums.correct, sums.spikes) == (totals.samples, totals.correct, totals.spikes)
    assert (sums.places, sums.layers) == (totals.places, totals.layers)
    assert sums.loss == pytest.approx(totals.loss, rel=1e-12)


def test_statistics_of_each_part_give_other_gradients():
    """That the comparison above can fail: with batch norm over the parts it does."""
    _, expected, _ = gradients(1, {}, double_model)
    _, found, _ = gradients(2, {}, double_model)
    assert max(abs(found[name] - g).max() for name, g in expected.items()) > 1e-6


@pytest.mark.parametrize("at", [0, 6])
def test_a_part_that_is_not_finite_changes_nothing(at):
    config = tiny_config()
    model = MISNet(config)
    optimizer = Adam(model.named_parameters(), 1e-2)
    x_a, x_v, labels = make_batch(config, n=7)
    x_v[0, at] = np.nan
    before, totals = copy_of(model.state_dict()), Totals()
    with pytest.raises(Diverged, match=r"^step 4: the loss is .*visual input"):
        accumulated_step(model, optimizer, 1e-2, (x_a, x_v, labels), totals, 4, 3)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)
    assert (totals, optimizer.steps) == (Totals(), 0)


def test_a_run_takes_its_batches_in_parts(tmp_path):
    whole, parts = (make_run(tmp_path / str(k), accumulate=k) for k in (1, 2))
    whole.run()
    parts.run()
    assert parts.optimizer.steps == whole.optimizer.steps == 6
    assert [row["train_firing_rate"] for row in parts.rows] != [row["train_firing_rate"] for row in whole.rows]
