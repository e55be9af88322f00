"""Every rule on every kind of network: no count and no energy is below 0, and nothing is left out in silence."""

import math

import numpy as np
import pytest

from snncore import CostError, Function, OpCount, Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import RULES, Reading, apply_rule, load_prices
from snncore.opcount.cost import Facts
from tests.snncore.opcount.networks import ZOO, made


def check_not_negative(reading):
    """Assert that no figure of a reading is below 0, or not a number, and that it lies in its bracket."""
    figures = [reading.mac, reading.ac, reading.energy_mj, *reading.by_layer().values(), *reading.by_part().values()]
    figures += [price for parts in reading.pj.values() for price in parts.values()]
    figures += [value for value in reading.extra.values() if isinstance(value, int | float)]
    figures += [reading.low_mj, reading.high_mj]
    assert reading.low_mj <= reading.energy_mj <= reading.high_mj, reading.rule
    for choice, of_layers in reading.hanging.items():
        assert -reading.energy_mj * 1e9 * (1 + 1e-12) <= sum(of_layers.values()), (reading.rule, choice)
    wrong = [value for value in figures if not 0 <= value < math.inf]
    assert wrong == [], f"{reading.rule}: {wrong}"


def test_the_check_finds_a_negative_layer_in_a_positive_sum():
    reading = Reading("wrong")
    reading.charge("a", "ac", 100, 1.0)
    reading.charge("b", "ac", -1, 1.0)
    with pytest.raises(AssertionError, match="wrong: "):
        check_not_negative(reading)


def test_the_check_finds_a_reading_that_spares_more_than_there_is():
    reading = Reading("wrong")
    reading.charge("a", "ac", 100, 1.0)
    reading.hang("zeros", "a", -101.0)
    with pytest.raises(AssertionError, match="zeros"):
        check_not_negative(reading)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ZOO)
def test_no_rule_is_negative(name, rule, rng):
    network, x, axis, timesteps = made(name, rng)
    for training in (False, True):
        network.train(training)
        for shift in (0, -3):  # -3: nearly all of the input is below 0
            with no_grad(), count_ops(samples=x.shape[axis], timesteps=timesteps) as ops:
                network(Tensor(x + np.float32(shift)))
            reading = apply_rule(rule, ops)
            check_not_negative(reading)
            if rule != "spikingresformer" or name not in ("analog", "loop"):  # it skips first and last layers
                assert reading.energy_mj > 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", ["analog sum", "empty mean", "no samples", "attention"])
def test_operations_at_the_edge(case, rule, rng):
    w = np.ones((3, 2), np.float32)
    with count_ops() as ops:
        h = F.ReLU()(rng.normal(-5, 1, (2, 3, 3)).astype(np.float32)) - 1.0  # made inside, and below 0
        if case == "analog sum":
            F.Linear()(h, w)
        elif case == "empty mean":
            F.Sum(1)(np.zeros((2, 0, 3), np.float32))
        elif case == "no samples":
            F.Linear()(np.zeros((2, 0, 3), np.uint8), w)
        else:
            h @ h.transpose(0, 2, 1)
    check_not_negative(apply_rule(rule, ops))


def test_analog_input_below_zero_has_no_rate(rng):
    """Made inside, and so no first layer: `paper` multiplies it, `spikingresformer` leaves it out, and both say so."""
    x = rng.normal(0, 1, (2, 1, 6)).astype(np.float32)
    with count_ops() as ops:
        F.Linear()(F.ReLU()(x) - 0.5, np.ones((6, 4), np.float32))
    paper, resformer = apply_rule("paper", ops), apply_rule("spikingresformer", ops)
    assert (paper.mac, paper.ac, paper.extra["first_mac"]) == (2 * 24, 0, 0)
    assert "the mean of analog input below 0 is no rate: 1 call of Linear" in paper.notes[0]
    assert (resformer.ac, resformer.pj) == (0, {})
    with count_ops() as ops:
        F.LIF(0.5, 1e9)(x)
        F.Linear()(F.ReLU()(x) - 0.5, np.ones((6, 4), np.float32))
        F.LIF(0.5, 1e9)(x)
    resformer = apply_rule("spikingresformer", ops)
    assert resformer.ac == 0
    assert "because they get analog input below 0: 1 call of Linear" in resformer.notes[0]


TERNARY = np.array([[[[[1], [-1]], [[0], [1]]]]], np.int8)  # [T, N, H, W, C]
ONES = np.ones_like(TERNARY)


@pytest.mark.parametrize(
    "run",
    [
        lambda: F.Linear()(TERNARY, np.ones((1, 2), np.float32)),
        lambda: F.Conv2d(1, 1)(TERNARY, np.ones((3, 3, 1, 2), np.float32)),
        lambda: F.AvgPool2d(2)(TERNARY),
        lambda: F.GlobalAvgPool()(TERNARY),
        lambda: F.Sum(0)(TERNARY),
        lambda: F.SEW()(ONES, TERNARY),
        lambda: F.Add()(TERNARY, ONES),
        lambda: F.MatMul()(ONES.swapaxes(-1, -2), TERNARY),
        lambda: F.MatMul()(TERNARY, ONES.swapaxes(-1, -2)),
        lambda: F.MLIF()(TERNARY, ONES, *[np.ones((), np.float32)] * 2),
    ],
)
def test_signed_spikes_are_refused_as_integers(run):
    message = (
        "events: expected integers of at least 0, found -1 in an array of int8; signed spikes are counted as floats"
    )
    with pytest.raises(CostError, match=message), count_ops():
        run()


class Depthwise(Function):
    """A layer of a user's own, that counts 443 accumulations and states no facts."""

    columns = {"ac_binary": 443}  # noqa: RUF012
    facts: tuple = ()

    def forward(self, x):
        return x * 2

    def backward(self, gy):
        return gy * 2

    def cost(self, inputs, outputs):
        return OpCount(facts=self.facts, **self.columns)


class Gate(Depthwise):
    columns = {"elem_mul": 3}  # noqa: RUF012


class Move(Depthwise):
    columns = {}  # noqa: RUF012


class Strange(Depthwise):
    facts = (Facts("capsule", "Strange", 3, 3),)


def notes_of(rule, *functions):
    with count_ops() as ops:
        for function in functions:
            function(np.ones(3, np.float32))
    return apply_rule(rule, ops), "\n".join(apply_rule(rule, ops).notes)


OTHERS = [rule for rule in RULES if not rule.startswith("exact")]


@pytest.mark.parametrize("rule", OTHERS)
def test_an_operation_without_facts_is_named_and_counted(rule):
    reading, notes = notes_of(rule, Depthwise(), Depthwise(), Gate(), Move())
    assert reading.energy_mj == 0
    assert notes == "not in these figures, because no facts are stated: 2 calls of Depthwise, 1 call of Gate"
    _, notes = notes_of(rule, Strange())
    assert notes == "not in these figures, because their kind is unknown: 1 call of Strange"


def test_exact_reads_it_and_exact_memory_says_that_it_states_no_bytes():
    reading, notes = notes_of("exact", Depthwise())
    assert (reading.ac, notes) == (443, "")
    _, notes = notes_of("exact-memory", Depthwise(), F.ReLU())
    assert notes == "memory not in these figures, because no bytes are stated: 1 call of Depthwise"


@pytest.mark.parametrize("rule", RULES)
def test_the_operations_of_the_engine_are_read_without_a_word(rule, rng):
    network, x, axis, _ = made("images", rng)
    with no_grad(), count_ops(samples=x.shape[axis]) as ops:
        network(Tensor(x))
    notes = [note for note in apply_rule(rule, ops).notes if "no price" not in note]
    assert notes == []


@pytest.mark.parametrize("rule", OTHERS)
def test_layer_normalisation_is_named_as_no_tool_reads_it_and_dropout_is_not(rule, rng):
    """SpikingJelly's counters give 0 for both, syops has hooks for neither, NeuroBench sees weights alone."""
    network = nn.Sequential(nn.LayerNorm(4), nn.Dropout(0.5))
    x = Tensor(rng.standard_normal((2, 3, 4)).astype(np.float32))
    with count_ops(samples=3) as ops:
        network(x)
    reading = apply_rule(rule, ops)
    assert reading.energy_mj == 0
    assert reading.notes == ["not in these figures, because their kind is unknown: 1 call of LayerNorm (in 0)"]
    with count_ops(samples=3) as ops:
        network.eval()(x)
    assert [call.function for call in ops.calls] == ["LayerNorm"]


def test_exact_prices_layer_normalisation_and_dropout():
    x, one, zero = np.ones((2, 4), np.float32), np.ones(4, np.float32), np.zeros(4, np.float32)
    prices = load_prices()
    with count_ops() as ops:
        F.Dropout(0.5)(F.LayerNorm()(x, one, zero))
    adds, muls = 2 * (4 * 4 - 1), 2 * (3 * 4 + 2) + 2 + 8  # a division a row, a factor an entry
    reading = apply_rule("exact", ops)
    assert reading.energy_mj == pytest.approx((adds * prices.add + muls * prices.mul) * 1e-9, rel=1e-12)
    assert reading.extra["unpriced_special"] == 2
