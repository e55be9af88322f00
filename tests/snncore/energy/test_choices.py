"""The readings that decide a figure: what each changes, worked out by hand, and what all of them leave."""

import numpy as np
import pytest

from snncore import Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import CHOICES, RULES, Reading, apply_rule, load_prices
from tests.snncore.energy.test_zoo import check_not_negative

PRICES = load_prices()
MAC, ADD, MUL = PRICES.mac, PRICES.add, PRICES.mul


def read(run, rule="exact", samples=1):
    with no_grad(), count_ops(samples=samples) as ops:
        run()
    reading = apply_rule(rule, ops, PRICES)
    check_not_negative(reading)
    return reading


def pj(reading, choice):
    return sum(reading.hanging[choice].values())


def analog(*values):
    """[T, 1, values] of one timestep for each row."""
    return np.array(values, np.float32)[:, None, :]


def test_zeros_zero_weights_and_a_static_input_by_hand():
    """Two inputs, three targets, two timesteps that are alike: 12 multiply-accumulates, of which 2 are left."""
    w = np.array([[1, 0, 2], [3, 4, 5]], np.float32)
    found = read(lambda: F.Linear()(analog([1, 0], [1, 0]), w, np.ones(3, np.float32)))
    assert found.energy_mj == pytest.approx((12 * MAC + 6 * ADD) * 1e-9)
    assert pj(found, "zeros") == pytest.approx(-6 * MAC)  # the second entry, at both timesteps
    assert pj(found, "zero-weights") == pytest.approx(-2 * MAC)
    assert pj(found, "static") == pytest.approx(-6 * MAC - 3 * ADD)  # the second timestep, with its biases
    assert found.low_mj == pytest.approx((2 * MAC + 3 * ADD) * 1e-9)
    assert found.high_mj == found.energy_mj
    assert found.shares()["zeros"] == pytest.approx(-6 * MAC / (12 * MAC + 6 * ADD))
    assert list(found.shares()) == ["zeros", "static", "zero-weights"]


def test_events_into_a_pruned_layer_by_hand():
    w = np.array([[1, 0, 2], [3, 4, 5]], np.float32)
    found = read(lambda: F.Linear()(np.array([[[1, 2]]], np.uint8), w))
    assert found.energy_mj == pytest.approx(6 * ADD * 1e-9)
    assert pj(found, "zero-weights") == pytest.approx(-ADD)
    assert pj(found, "by-value") == pytest.approx(3 * ADD)  # a 2 three times, as two accumulations
    assert (found.low_mj, found.high_mj) == (pytest.approx(5 * ADD * 1e-9), pytest.approx(9 * ADD * 1e-9))


def test_averaged_spikes_as_events_by_hand():
    """A 2x2 mean of one spike and one of none, into 3 targets: 6 multiply-accumulates, or 3 accumulations."""
    s = np.zeros((1, 1, 2, 4, 1), np.uint8)
    s[0, 0, 0, 0] = 1
    w = np.ones((1, 1, 1, 3), np.float32)
    found = read(lambda: F.Conv2d()(F.AvgPool2d(2)(s), w))
    assert found.energy_mj == pytest.approx((6 * MAC + ADD + 2 * MUL) * 1e-9)
    assert pj(found, "averaged") == pytest.approx(-6 * MAC + 3 * ADD - 2 * MUL)
    assert pj(found, "zeros") == pytest.approx(-3 * MAC)
    assert found.low_mj == pytest.approx((3 * ADD + ADD) * 1e-9)  # not 6 MAC less twice 3


def test_average_pooling_costs_what_max_pooling_does_once_its_means_are_events(rng):
    """As an audit found on the public code: 2.7 times as much by one reading, and as much by the other."""
    x = Tensor(rng.normal(0, 1, (4, 2, 8, 8, 3)).astype(np.float32))
    fire, conv = nn.LIF(v_threshold=1.0), nn.Conv2d(3, 16, 3, 1, 1, bias=False, rng=rng)
    averaged = read(lambda: conv(nn.AvgPool2d(2)(fire(x))), samples=2)
    largest = read(lambda: conv(nn.MaxPool2d(2)(fire(x))), samples=2)
    part = averaged.by_part()["mac"]
    assert averaged.energy_mj > 2 * largest.energy_mj
    assert averaged.energy_mj + pj(averaged, "averaged") * 1e-9 == pytest.approx(largest.energy_mj, rel=0.1)
    assert averaged.shares()["averaged"] < -0.5 * part / averaged.energy_mj


def test_alpha_and_the_decay_of_an_mlif_by_hand():
    o = np.ones((3, 1, 1, 1, 2), np.uint8)
    half, one = np.float32(0.5), np.float32(1)
    found = read(lambda: F.MLIF(0.5)(o, o, np.array(half), np.array(half)))
    assert pj(found, "alpha") == pytest.approx(-12 * MUL)  # 2 modalities, 3 timesteps, 2 entries
    assert pj(found, "shift") == pytest.approx(-8 * MUL)  # a membrane at rest leaks nothing
    assert found.low_mj == pytest.approx(found.energy_mj - 20 * MUL * 1e-9)
    found = read(lambda: F.MLIF(0.4)(o, o, np.array(one), np.array(one)))
    assert set(found.hanging) == set()


@pytest.mark.parametrize("fixed", [True, False])
def test_two_plain_neurons_are_not_charged_for_an_alpha_of_one(fixed, rng):
    """`--mlif independent`: the ablation without MLIF does not cost what the MLIF does, by bookkeeping."""
    o = Tensor((rng.random((3, 1, 2, 2, 2)) < 0.5).astype(np.uint8))
    neuron = nn.MLIF(decay=0.4, alpha=1.0 if fixed else 0.5, learn_alpha=not fixed)
    found = read(lambda: neuron(o, o))
    assert ("alpha" in found.hanging) != fixed


def test_batch_normalisation_that_is_not_folded_raises_and_in_training_there_is_nothing_to_fold(rng):
    x, norm = Tensor(rng.normal(0, 1, (2, 1, 2, 2, 3)).astype(np.float32)), nn.BatchNorm(3)
    found = read(lambda: norm.eval()(x))
    assert found.energy_mj == pytest.approx(24 * ADD * 1e-9)
    assert found.high_mj == pytest.approx(24 * (MUL + ADD) * 1e-9)
    assert "unfolded" not in read(lambda: norm.train()(x)).hanging


def test_memory_has_readings_of_its_own():
    """400 weights of 4 bytes, 20 events in 2 timesteps: weights come 400 times, or at most twice 400."""
    x = np.zeros((2, 1, 20), np.uint8)
    x[0] = 1
    w = np.ones((20, 20), np.float32)
    found, small = read(lambda: F.Linear()(x, w), "exact-memory"), PRICES.sram_byte(1600)
    assert "weights-kept" not in found.hanging
    assert pj(found, "sums-in-memory") == pytest.approx(2 * 400 * 4 * PRICES.sram_byte(80))
    x = np.ones((1, 1, 5, 20), np.uint8)  # 5 places share the weights
    found = read(lambda: F.Linear()(x, w), "exact-memory")
    assert pj(found, "weights-kept") == pytest.approx(-4 * 1600 * small)
    large = np.ones((600, 600), np.float32)
    found = read(lambda: F.Linear()(np.ones((1, 1, 600), np.uint8), large), "exact-memory")
    assert "priced too low" in found.notes[0]
    sram = PRICES.sram[-1][1] / PRICES.access_bytes
    assert pj(found, "dram") == pytest.approx(large.nbytes * (PRICES.dram / PRICES.access_bytes - sram))


def test_the_first_layer_of_a_static_image_once_under_the_rule_of_papers(rng):
    conv, image = nn.Conv2d(1, 3, 3, 1, 1, rng=rng), rng.normal(0, 1, (1, 4, 4, 1)).astype(np.float32)
    found = read(lambda: conv(Tensor(np.stack([image] * 4))), "paper")
    assert found.low_mj == pytest.approx(found.energy_mj / 4)
    assert found.shares() == {"static": pytest.approx(-0.75)}


def test_every_reading_is_hung_by_a_rule_and_has_a_source(rng):
    assert all(choice.title and choice.text.endswith(".") and choice.source for choice in CHOICES.values())
    w = np.ones((700, 700), np.float32)
    w[0] = 0
    s = np.full((2, 1, 2, 2, 700), 2, np.uint8)
    one = np.ones(700, np.float32)

    def run():
        y = F.Linear()(s, w)
        F.BatchNorm(one, one, training=False)(y, one, one)
        F.MLIF()(s, s, np.array(np.float32(0.5)), np.array(np.float32(0.5)))
        F.Linear()(F.AvgPool2d(2)(F.SEW()(s, s)), w)
        F.Linear()(np.zeros((2, 1, 700), np.float32), w)

    found = {name for rule in RULES for name in read(run, rule).hanging}
    assert found == set(CHOICES)


def test_an_unknown_reading_is_refused():
    with pytest.raises(KeyError, match=r"choice: expected one of zeros, .*found 'luck'"):
        Reading("exact").hang("luck", "layer", 1.0)
