"""Claims: what is read from their text, and each verdict with its figures."""

import json
import math

import numpy as np
import pytest

from misnet.audit.claims import VERDICTS, accumulations, check_claims, parse_claim
from misnet.audit.claims_text import claim_lines
from snncore import Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import RULES, apply_rule, load_prices

# Two samples, T = 2, a first layer of 3 -> 4 on analog input, a second of 4 -> 5 on spikes.
T, N = 2, 2
FIRST, SECOND = T * 3 * 4, T * 4 * 5  # dense multiply-accumulates of a sample
EVENTS = [2, 4]  # of the first and of the second sample, of 8 places each


@pytest.fixture(scope="module")
def ops():
    spikes = np.zeros((T, N, 4), np.uint8)
    spikes[0, 0, :2] = 1
    spikes[:, 1, :2] = 1
    with count_ops(samples=N) as ops:
        F.Linear()(np.full((T, N, 3), 0.5, np.float32), np.ones((3, 4), np.float32))
        F.LIF(0.5, 100.0)(F.Linear()(spikes, np.ones((4, 5), np.float32)))
    return ops


def pj(value):
    """A figure in mJ, in picojoules."""
    return value * 1e9


def check(text, ops, *rules):
    prices = {name: load_prices() for name in rules}
    readings = {name: apply_rule(name, ops, prices[name]) for name in rules}
    (found,) = check_claims([parse_claim(text)], ops, readings, prices)
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1.32mJ", "energy", 1.32),
        ("1.32 mJ per sample", "energy", 1.32),
        ("1.32mJ/image", "energy", 1.32),
        ("0.5J", "energy", 500),
        ("25 uJ", "energy", 0.025),
        ("25\u00b5J", "energy", 0.025),
        ("25 \u03bcJ", "energy", 0.025),
        ("250nJ", "energy", 2.5e-4),
        ("3e2 pJ", "energy", 3e-7),
        ("3.1 GSOPs", "operations", 3.1e9),
        ("0.25GSOP", "operations", 2.5e8),
        ("7 MSOPs per inference", "operations", 7e6),
        ("120 SOPs", "operations", 120),
        ("2 GSyOps", "operations", 2e9),
        ("2.5 G AC", "operations", 2.5e9),
        ("40kACs", "operations", 4e4),
        ("1 TSynOps", "operations", 1e12),
        ("rate=0.12", "rate", 0.12),
        (" rate = 12% ", "rate", 0.12),
        ("rate=.5", "rate", 0.5),
    ],
)
def test_units(text, kind, value):
    claim = parse_claim(text)
    assert (claim.kind, claim.value) == (kind, pytest.approx(value, rel=1e-12))


@pytest.mark.parametrize(
    ("text", "half"), [("1.32mJ", 0.005), ("25 uJ", 0.0005), ("3.1 GSOPs", 5e7), ("rate=12%", 0.005), ("1e-3 J", 0.5)]
)
def test_a_figure_may_be_rounded_in_its_last_digit(text, half):
    assert parse_claim(text).half == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.32",
        "0mJ",
        "-1mJ",
        "nan mJ",
        "inf mJ",
        "1e400mJ",
        "1e308J",
        "1e-400mJ",
        "3 kJ",
        "3 MJ",
        "3 gSOPs",
        "1.2.3mJ",
    ]
    + ["rate=0", "rate=-0.1", "rate=nan", "rate", "rate=1e400", "5 per sample", "1,3 mJ", "2 FLOPs", "1e99999999 mJ"],
)
def test_what_is_no_claim_is_refused_and_told_what_is(text):
    with pytest.raises(
        ValueError, match=r"expected a positive, finite number and a unit.* GSOPs.*rate=12%; found "
    ) as e:
        parse_claim(text)
    assert str(e.value).endswith(repr(text))


def test_accumulations_of_each_sample(ops):
    assert accumulations(ops) == [5 * n for n in EVENTS]
    with count_ops() as untold:
        F.Linear()(np.ones((2, 4), np.uint8), np.ones((4, 5), np.float32))
    assert accumulations(untold) == []


def test_a_rate_above_that_of_any_spike_is_impossible(ops):
    """By hand: the first layer takes 24 x 4.6 = 110.4 pJ, the second 40 x 0.9 = 36 pJ if all fire, 13.5 as it is."""
    found = check("1 nJ", ops, "paper")
    assert found["verdicts"] == {"impossible": ["paper"], "above": [], "within": [], "below": []}
    of = found["rules"]["paper"]
    assert pj(of["no_spike"]) == pytest.approx(FIRST * 4.6)
    assert pj(of["all_firing"]) == pytest.approx(FIRST * 4.6 + SECOND * 0.9)
    assert pj(of["measured"]) == pytest.approx(FIRST * 4.6 + 15 * 0.9)
    assert found["rate"]["implied"] == pytest.approx((1000 - FIRST * 4.6) / (SECOND * 0.9))
    assert found["rate"]["all_ac"] == pytest.approx(1000 / ((FIRST + SECOND) * 0.9))
    assert (found["rate"]["measured"], found["rate"]["limit"]) == (0.375, 1)
    text = "\n".join(claim_lines(found))
    assert "impossible under paper: more than with every neuron firing at every timestep" in text
    assert "implies a mean input rate of 24.71" in text
    assert "no event here was above 1" in text


def test_a_claim_below_the_cost_of_no_spike_at_all_is_impossible(ops):
    """The first layer takes 110.4 pJ, or 55.2 if its input, the same in both timesteps, is multiplied once."""
    found = check("50.0 pJ", ops, "paper")
    assert found["verdicts"]["impossible"] == ["paper"]
    assert check("56.0 pJ", ops, "paper")["verdicts"]["below"] == ["paper"]
    assert found["rate"]["implied"] is None
    text = "\n".join(claim_lines(found))
    assert "impossible under paper: less than without a single spike" in text
    assert "the first layers alone, as multiply-accumulates, cost more than that" in text


@pytest.mark.parametrize(
    ("picojoules", "verdict"),
    [
        (115, "below"),
        (119.5, "within"),
        (123.9, "within"),
        (128.3, "within"),
        (131, "above"),
        (146.3, "above"),
        (147, "impossible"),
    ],
)
def test_above_within_and_below_the_samples(ops, picojoules, verdict):
    """110.4 pJ of the first layer; 10 and 20 accumulations of 0.9 pJ of the two samples: 119.4 and 128.4 pJ."""
    found = check(f"{picojoules:.1f} pJ", ops, "paper")
    of = found["rules"]["paper"]
    assert of["verdict"] == verdict
    assert (pj(of["min"]), pj(of["max"])) == (pytest.approx(119.4), pytest.approx(128.4))
    assert pj(of["sd"]) == pytest.approx(9 / math.sqrt(2))
    assert of["ratio"] == pytest.approx(picojoules / 123.9)
    assert of["part_firing"] == pytest.approx((picojoules - 110.4) / 36)
    assert of["part_firing_measured"] == pytest.approx(0.375)


def test_rounding_counts_for_the_claim(ops):
    assert check("118 pJ", ops, "paper")["verdicts"]["below"] == ["paper"]
    assert check("119 pJ", ops, "paper")["verdicts"]["within"] == ["paper"]  # it may be 119.4


@pytest.mark.parametrize(
    ("text", "verdict"), [("9 SOPs", "below"), ("15 SOPs", "within"), ("30 SOPs", "above"), ("41 SOPs", "impossible")]
)
def test_operations(ops, text, verdict):
    found = check(text, ops, "exact", "neurobench")
    of = found["rules"]["exact"]
    assert (of["verdict"], of["measured"], of["min"], of["max"], of["all_firing"]) == (verdict, 15, 10, 20, SECOND)
    assert found["rules"]["neurobench"]["verdict"] == verdict
    assert found["rate"]["implied"] == pytest.approx(float(text.split()[0]) / SECOND)
    assert found["rules"]["neurobench"]["part_firing"] is None  # it looks at values: no straight line


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("rate=0.20", "below"), ("rate=38%", "within"), ("rate=0.6", "above"), ("rate=1.2", "impossible")],
)
def test_rates(ops, text, verdict):
    found = check(text, ops, "exact")
    of = found["rules"]["inputs of the layers"]
    assert (of["verdict"], of["measured"], of["min"], of["max"]) == (verdict, 0.375, 0.25, 0.5)
    value = parse_claim(text).value
    least, most = found["rules"]["spikes of the neurons"], found["energy_at_rate"]
    assert least["measured"] == 0
    assert least["verdict"] == ("impossible" if value > 1 else "above")
    assert pj(most["paper"]) == pytest.approx(FIRST * 4.6 + SECOND * 0.9 * min(1, value))
    assert "at that rate a sample would take" in "\n".join(claim_lines(found))


def test_graded_events_raise_the_limit():
    """Events of 2 in half of the places: a mean of 1.5 is possible, one of 2.5 is not."""
    spikes = np.zeros((1, 1, 4), np.uint8)
    spikes[..., :2] = 2
    with count_ops(samples=1) as ops:
        F.Linear()(spikes, np.ones((4, 5), np.float32))
    assert check("27 pJ", ops, "paper")["rate"] | {} == {
        "implied": pytest.approx(1.5),
        "all_ac": pytest.approx(1.5),
        "measured": 1.0,
        "limit": 2,
    }
    assert check("27 pJ", ops, "paper")["verdicts"]["above"] == ["paper"]
    assert check("45 pJ", ops, "paper")["verdicts"]["impossible"] == ["paper"]


@pytest.mark.parametrize(
    ("picojoules", "verdict"), [(111, "below"), (116, "within"), (121, "within"), (133, "above"), (147, "impossible")]
)
def test_rates_within_bounds(picojoules, verdict):
    """One event at least and four at most: 110.4 pJ of the first layer, and 4.5 to 18 pJ of the second."""
    ends = []
    for events in (1, 4):
        spikes = np.zeros((T, 1, 4), np.uint8)
        spikes[0, 0, :events] = 1
        with count_ops(samples=1) as ops:
            F.Linear()(np.full((T, 1, 3), 0.5, np.float32), np.ones((3, 4), np.float32))
            F.Linear()(spikes, np.ones((4, 5), np.float32))
        ends.append(ops)
    readings, prices = {"paper": apply_rule("paper", ends[0])}, {"paper": load_prices()}
    claim = parse_claim(f"{picojoules}.0 pJ")
    (found,) = check_claims([claim], ends[0], readings, prices, high=ends[1])
    assert found["verdicts"][verdict] == ["paper"]
    assert pj(found["rules"]["paper"]["min"]) == pytest.approx(114.9)
    assert pj(found["rules"]["paper"]["max"]) == pytest.approx(128.4)
    json.dumps(found, allow_nan=False)
    assert any("upper" in line for line in claim_lines(found))


def test_other_readings_of_a_rule_are_possible_too():
    """Half of the analog input is zero: 12 of 24 multiply-accumulates are spared, which no other input may undo."""
    x = np.zeros((T, 1, 3), np.float32)
    x[:, :, :2] = 0.5
    with count_ops(samples=1) as ops:
        F.Linear()(x, np.ones((3, 4), np.float32))
    found = check("80 pJ", ops, "exact")  # 24 x 4.6 = 110.4; 16 without zeros 73.6; of a static input 36.8
    assert found["verdicts"]["below"] == ["exact"]
    assert found["rules"]["exact"]["other_readings"][0] <= 73.7e-9
    assert "though within what other readings make of them" in "\n".join(claim_lines(found))


def test_a_spread_that_is_known_is_taken(ops):
    readings, prices = {"paper": apply_rule("paper", ops)}, {"paper": load_prices()}
    known = {"paper": {"std": 1e-9, "least": 123e-9, "most": 125e-9}}
    claims = [parse_claim("120.0 pJ"), parse_claim("15 SOPs")]
    energy, operations = check_claims(claims, ops, readings, prices, known)
    assert energy["verdicts"]["below"] == ["paper"]
    assert energy["rules"]["paper"]["sd"] == 1e-9
    assert operations["rules"]["paper"]["min"] == 10


def test_small_claims_keep_their_digits(ops):
    text = "\n".join(claim_lines(check("2 pJ", ops, "paper")))
    assert "0.01614" in text  # 2 / 123.9
    assert "0.000 " not in text


def test_a_network_without_spikes_and_one_sample():
    with no_grad(), count_ops(samples=1) as ops:
        nn.Linear(3, 2)(Tensor(np.ones((1, 3), np.float32)))
    prices = {name: load_prices() for name in RULES}
    readings = {name: apply_rule(name, ops, prices[name]) for name in RULES}
    claims = [parse_claim(text) for text in ("1mJ", "1 GSOPs", "rate=0.1")]
    for found in check_claims(claims, ops, readings, prices):
        json.dumps(found, allow_nan=False)
        assert {*found["verdicts"]} == {*VERDICTS}
        assert all(of["sd"] is None for of in found["rules"].values())
        claim_lines(found)


@pytest.mark.parametrize("text", ["46464 MAC", "0.3 GMAC", "3 MACs", "2 kMACs per sample", "1 mac", "5 G MACs"])
def test_multiply_accumulates_are_no_accumulations(text):
    with pytest.raises(ValueError, match=r"MAC is a multiply-accumulate.*written 'M AC'"):
        parse_claim(text)


def told(text, ops, high=None):
    readings = {"paper": apply_rule("paper", ops)}
    (found,) = check_claims([parse_claim(text)], ops, readings, {"paper": load_prices()}, high=high, by_rates=True)
    return "\n".join(claim_lines(found))


def test_a_claim_beside_rates_speaks_of_no_samples(ops):
    """15 accumulations of a sample by the mean of 2 and 4 events of 5 outputs; at the upper end as many again."""
    only = told("15 AC", ops)
    assert "within under paper: what the rates give, as it was rounded" in only
    assert "implied / told rate: 1" in only
    assert "mean input rate told: 0.375" in only  # 6 events of 16 places
    assert "above under paper: more than the rates give; true of other spikes" in told("30 AC", ops)
    both = told("15 AC", ops, ops)
    assert "within under paper: between the lower and the upper ends of the rates" in both
    assert "less than the rates give at their lower ends" in told("5 AC", ops, ops)
    for text in (only, both):
        assert "of any sample" not in text
        assert "over the samples" not in text
        assert "measured" not in text


def test_the_rate_that_was_measured_is_named(ops):
    assert "  mean input rate measured: 0.375\n" in "\n".join(claim_lines(check("15 AC", ops, "paper"))) + "\n"
