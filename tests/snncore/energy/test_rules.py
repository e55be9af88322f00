"""Every rule on a network small enough to work out by hand."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from snncore.energy import RULES, apply_rule, load_prices

T, N = 2, 1
ANALOG = np.full((T, N, 3, 3, 1), 0.25, np.float32)
FIRST = np.ones((3, 3, 1, 1), np.float32)
SPIKES = np.zeros((T, N, 3, 3, 1), np.uint8)
SPIKES[0, 0, 1, 1] = SPIKES[1, 0, 0, 0] = 1  # one in the middle, then one in the corner
SECOND = np.ones((3, 3, 1, 2), np.float32)
HEAD = np.ones((2, 4), np.float32)

INSIDE = 49  # taps of a 3x3 window on 3x3 pixels with padding 1 that land inside: (2 + 3 + 2)^2
PADDED = 81


def run(second=SPIKES):
    """First convolution on analog input, second on spikes, LIF, mean over pixels, head. Nothing fires here."""
    with count_ops() as ops:
        F.Conv2d(1, 1)(ANALOG, FIRST)
        s = F.ReLU()(second)  # so that the spikes come from an operation
        y = F.Conv2d(1, 1)(s, SECOND)
        fired = F.LIF(0.5, 100.0)(y)
        F.Linear()(F.GlobalAvgPool()(fired), HEAD)
    return ops


LIF_ENTRIES = T * 9 * 2


def test_paper():
    reading = apply_rule("paper", run())
    assert reading.mac == T * PADDED
    rate = 2 / (T * 9)
    assert reading.ac == pytest.approx(rate * T * PADDED * 2)
    assert reading.extra["dense_ac"] == T * PADDED * 2 + T * 8
    assert reading.energy_mj == pytest.approx((reading.mac * 4.6 + reading.ac * 0.9) * 1e-9)


def test_neurobench_and_spikingresformer_are_exact_at_borders():
    reading = apply_rule("neurobench", run())
    assert (reading.mac, reading.ac) == (T * INSIDE, (9 + 4) * 2)
    assert reading.extra["dense"] == T * INSIDE * 3 + T * 8
    reading = apply_rule("spikingresformer", run())
    assert (reading.mac, reading.ac) == (0, (9 + 4) * 2)
    assert reading.extra["skipped"] == ["Conv2d", "Linear"]


def test_syops():
    reading = apply_rule("syops", run())
    assert reading.mac == T * PADDED
    pooled = 0  # nothing fires: a rate of 0
    assert reading.ac == pytest.approx(2 / (T * 9) * T * PADDED * 2 + LIF_ENTRIES + pooled)


def test_spikingjelly():
    reading = apply_rule("spikingjelly", run())
    means = T * 9 * 2 - T * 2
    assert (reading.mac, reading.ac) == (T * PADDED, (9 + 4) * 2 + means)
    assert reading.extra["synops"] == (9 + 4) * 2


def test_graded_spikes_split_the_rules():
    graded = SPIKES.copy()
    graded[0, 0, 1, 1] = 2
    ops = run(graded)
    assert apply_rule("exact", ops).ac == (9 + 4) * 2
    assert apply_rule("spikingresformer", ops).ac == (2 * 9 + 4) * 2
    assert apply_rule("neurobench", ops).mac == T * INSIDE + (9 + 4) * 2
    assert apply_rule("spikingjelly", ops).mac == T * PADDED * 3
    assert apply_rule("spikingjelly", ops).extra["synops"] == 0
    assert apply_rule("syops", ops).mac == T * PADDED * 3
    assert apply_rule("paper", ops).ac == pytest.approx(3 / (T * 9) * T * PADDED * 2)


def test_exact_prices_everything_that_ran():
    prices = load_prices()
    reading = apply_rule("exact", run(), prices)
    assert (reading.mac, reading.ac) == (T * INSIDE + T * 8, (9 + 4) * 2)
    later = 9 * 2  # entries of the second timestep, which finds a membrane
    neurons = later * prices.mul + later * prices.add + LIF_ENTRIES * prices.compare
    pooling = T * 2 * prices.mul
    arithmetic = T * 9 * prices.compare  # ReLU
    expected = reading.mac * 4.6 + reading.ac * 0.9 + neurons + pooling + arithmetic
    assert reading.energy_mj == pytest.approx(expected * 1e-9)
    assert sum(reading.by_layer().values()) == pytest.approx(reading.energy_mj)


def test_exact_memory_adds_accesses():
    prices, ops = load_prices(), run()
    plain, memory = apply_rule("exact", ops, prices), apply_rule("exact-memory", ops, prices)
    weights = T * INSIDE * 4 * prices.sram_byte(36) + (9 + 4) * 2 * 4 * prices.sram_byte(72)
    weights += T * 8 * 4 * prices.sram_byte(32)
    assert memory.by_part()["memory: weights"] == pytest.approx(weights * 1e-9)
    state = (LIF_ENTRIES + 18) * 4 * prices.sram_byte(18 * 4)
    assert memory.by_part()["memory: state"] == pytest.approx(state * 1e-9)
    spikes = sum(part for name, part in memory.by_part().items() if name.startswith("memory"))
    assert memory.energy_mj == pytest.approx(plain.energy_mj + spikes)


def test_lemaire():
    reading = apply_rule("lemaire", run())
    assert reading.ac == 2 * 2 * 9  # two spikes, two channels, nine taps wherever they stand
    assert reading.mac == T * PADDED + T * 8 + LIF_ENTRIES
    int32 = 4 / 4 * 10 / 8192  # pJ for each byte of capacity, for an access of 32 bits
    assert reading.by_part()["memory: potentials"] == pytest.approx(
        (2 * 36 * 18 * 4 * int32 + 2 * LIF_ENTRIES * 18 * 4 * int32) * 1e-9
    )


def test_batch_norm_folds_in_evaluation_and_not_in_training():
    x = np.random.default_rng(0).normal(size=(2, 1, 3, 3, 2)).astype(np.float32)
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    for training, pj in ((False, x.size * 0.9), (True, 2 * x.size * 3.7 + (4 * x.size - 4) * 0.9)):
        with count_ops() as ops:
            F.BatchNorm(zero.copy(), one.copy(), training)(x, one, zero)
        assert apply_rule("exact", ops).energy_mj == pytest.approx(pj * 1e-9)


def test_exponentials_are_not_priced_unless_the_table_does():
    with count_ops() as ops:
        F.Softmax()(np.ones((2, 3)))
    reading = apply_rule("exact", ops)
    assert reading.extra["unpriced_special"] == 6
    assert reading.notes == ["no price in horowitz-45nm-fp32 for exponentials and sigmoids: 6"]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_it_counts_leaves_out_and_where_that_is_wrong(name):
    text = " ".join(RULES[name].__doc__.split())
    assert "eaves out" in text
    assert "Wrong where" in text


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"rule: expected one of exact, .*found 'guess'"):
        apply_rule("guess", run())


@pytest.mark.parametrize(("samples", "said"), [(2, "6 a sample"), (4, "3 a sample"), (None, "12")])
def test_notes_count_for_one_sample_as_the_figures_beside_them_do(samples, said):
    with count_ops(samples=samples) as ops:
        F.Softmax()(np.ones((1, samples or 2, 12 // (samples or 2)), np.float32))
    assert apply_rule("exact", ops).notes == [f"no price in horowitz-45nm-fp32 for exponentials and sigmoids: {said}"]
