"""What an epoch's line is made of: sums over batches, and firing rates counted by hand."""

import numpy as np
import pytest

from misnet import MISNet, loss
from misnet.models.misnet.model import Outputs
from misnet.training.recording import FiringRates
from misnet.training.step import Totals, evaluate, predict
from snncore import Tensor, no_grad
from snncore.surrogate import relaxed
from tests.misnet.models.misnet.reference_run import forward_with_spikes
from tests.misnet.tiny import copy_of, lively, make_batch, shaken, tiny_config


class Rates:
    """Spikes and places as FiringRates has them."""

    def __init__(self, spikes, places):
        self.spikes, self.places = {"x": spikes, "y": 1}, {"x": places, "y": 10}


def outputs_that_say(*classes):
    """Outputs whose largest score is at the given classes, for av, a and v."""
    return Outputs(*(Tensor(np.eye(4)[list(c)]) for c in classes))


def test_sums_and_means_worked_out_by_hand():
    totals = Totals()
    totals.add(outputs_that_say([0, 1, 2], [0, 1, 0], [3, 3, 3]), np.array([0, 1, 3]), 0.5, Rates(9, 90))
    totals.add(outputs_that_say([1], [0], [0]), np.array([0]), 0.9, Rates(3, 10))
    assert totals.to_dict() == {
        "samples": 4,
        "loss": pytest.approx(3 * 0.5 + 0.9),
        "correct": {"av": 2, "a": 3, "v": 2},
        "spikes": 14,
        "places": 120,
        "seconds": 0.0,
        "layers": {"x": [12, 100], "y": [2, 20]},
    }
    assert totals.row("test") == {
        "test_loss": pytest.approx(2.4 / 4),
        "test_accuracy_av": 0.5,
        "test_accuracy_a": 0.75,
        "test_accuracy_v": 0.5,
        "test_firing_rate": pytest.approx(14 / 120),
    }


def test_sums_come_back_from_their_plain_values():
    totals = Totals(3, 1.5, {"av": 1, "a": 2, "v": 0}, 10, 100, 0.25)
    assert Totals.from_dict(totals.to_dict(), ["other"]) == totals
    before_heads_had_names = totals.to_dict() | {"correct": [1, 2, 0]}
    assert Totals.from_dict(before_heads_had_names, MISNet.heads) == totals


def test_no_samples_are_no_division_by_zero():
    assert set(Totals().row("train").values()) == {0.0}


@pytest.mark.parametrize("switches", [{}, {"sew": "shared"}, {"neuron": "clif", "pooling": "avg"}], ids=str)
def test_firing_rates_are_the_spikes_counted_by_hand(switches):
    config = tiny_config(**switches)
    model, (x_a, x_v, _) = lively(config), make_batch(config)
    rates = FiringRates()
    with rates.recording():
        predict(model, x_a, x_v)
    with no_grad():
        _, spikes = forward_with_spikes(model, (Tensor(x_a), Tensor(x_v)))
    assert sum(s.sum() for s in spikes.values()) > 100
    for path, s in spikes.items():  # a shared SEW block runs twice, and the recorder above keeps its last run
        if "sew." not in path or "shared" not in switches.values():
            assert (rates.spikes[path], rates.places[path]) == (int(s.sum()), s.size), path
            assert rates.rates()[path] == s.mean(dtype=np.float64)
    assert rates.mean() == sum(rates.spikes.values()) / sum(rates.places.values())
    mlif = [path for path in rates.places if "mlif" in path]
    assert mlif == [f"stages.{i}.cells.0.mlif.{m}" for i in range(2) for m in "av"]


def test_nothing_is_counted_after_the_block():
    config = tiny_config()
    model, (x_a, x_v, _) = MISNet(config), make_batch(config)
    rates = FiringRates()
    with rates.recording():
        predict(model, x_a, x_v)
    places = dict(rates.places)
    predict(model, x_a, x_v)
    assert rates.places == places
    assert rates.places["stages.0.unimodal.a.neuron"] == 3 * 3 * 8 * 8 * 2
    assert rates.places["stages.1.cells.0.mlif.v"] == 3 * 3 * 4 * 4 * 3


def test_every_step_of_a_fused_neuron_is_counted():
    config = tiny_config(mlif_fusion="attention")
    model, (x_a, x_v, _) = lively(config), make_batch(config)
    rates = FiringRates()
    with rates.recording():
        predict(model, x_a, x_v)
    assert rates.places["stages.0.cells.0.mlif"] == 2 * 3 * 3 * 8 * 8 * 2  # both modalities under one name


def test_evaluation_sums_batches_and_leaves_the_model_alone():
    config = tiny_config()
    model = lively(config)
    model.train()
    batches = [make_batch(config, n, seed=n) for n in (4, 1, 3)]
    before = copy_of(model.state_dict())
    seen, rates = [], FiringRates()
    totals = evaluate(model, batches, seen=lambda outputs, labels: seen.append((outputs, labels)), rates=rates)
    assert not model.training
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    assert totals.samples == 8
    assert [len(labels) for _, labels in seen] == [4, 1, 3]
    correct = {head: sum(int((o[head].data.argmax(1) == y).sum()) for o, y in seen) for head in ("av", "a", "v")}
    assert totals.correct == correct
    assert totals.loss == pytest.approx(sum(loss(o, y, config).item() * len(y) for o, y in seen), rel=1e-12)
    assert (totals.spikes, totals.places) == (sum(rates.spikes.values()), sum(rates.places.values()))
    assert totals.spikes > 100
    assert all(x.node is None for o, _ in seen for x in o.values())  # nothing was recorded for backward


def test_firing_rates_are_not_in_the_way_of_relaxed_mode():
    config = tiny_config()
    model, (x_a, x_v, labels) = shaken(MISNet(config)), make_batch(config)
    rates = FiringRates()
    with relaxed(), rates.recording():
        value = loss(model(Tensor(x_a), Tensor(x_v)), labels, config)
    assert np.isfinite(value.item())
    assert rates.mean() == 0
