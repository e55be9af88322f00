"""Claims of a paper: an energy, a number of operations or a rate, read from text and held against what was counted."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snncore import Ops
from snncore.energy import Prices, Reading, apply_rule
from snncore.energy.limits import all_firing, largest_event, silent
from snncore.opcount import UnresolvedWarning

__all__ = ["VERDICTS", "Claim", "accumulations", "check_claims", "parse_claim"]

MICRO = "u", "\u00b5", "\u03bc"  # the micro sign, and the Greek letter that looks like it
ENERGY = {"J": 1e3, "mJ": 1.0, "nJ": 1e-6, "pJ": 1e-9} | {f"{letter}J": 1e-3 for letter in MICRO}
PREFIX = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
NUMBER = r"(?P<digits>[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE](?P<power>[-+]?[0-9]{1,6}))?"
OPERATIONS = re.compile(r"([kMGT]?)\s*((?i:SOPs?|SyOps?|SynOps?|ACs?))")
MULTIPLY = re.compile(r"[kMGT]?\s*(?i:MACs?)")
"""MAC in one word: nobody who writes it means mega-accumulations."""
EXPECTED = (
    "a positive, finite number and a unit, of energy (J, mJ, uJ, nJ, pJ, such as 1.32mJ) or of accumulations "
    "(SOPs, SyOps or AC, such as '3.1 GSOPs'), for one sample; or rate=0.12, or rate=12%"
)

VERDICTS = ("impossible", "above", "within", "below")
"""What a claim can be, beside what was measured."""

BY_EVENTS = ("exact", "exact-memory", "exact-dram", "paper", "spikingresformer", "lemaire")
"""Rules whose figures grow with the events in a straight line. The others look at values: one 2 makes a layer dense."""


@dataclass(frozen=True)
class Claim:
    """What was claimed for one sample. text: as it was given. kind: `energy` (mJ), `operations` or `rate`.

    value: in that unit. half: half a unit of the last digit that was given, in which a printed figure may be rounded.
    """

    text: str
    kind: str
    value: float
    half: float

    @property
    def unit(self) -> str:
        """The unit of value and of everything that it is compared with."""
        return {"energy": "mJ", "operations": "accumulations", "rate": "events a place"}[self.kind]


def parse_claim(text: str) -> Claim:
    """Return the claim in a text; raises ValueError, naming what was expected, for anything else."""
    wrong = ValueError(f"expected {EXPECTED}; found {text!r}")
    rate = re.fullmatch(rf"\s*rate\s*=\s*{NUMBER}\s*(%?)\s*", text)
    found = rate or re.fullmatch(rf"\s*{NUMBER}\s*(\S(?:.*\S)?)\s*", text)
    if not found:
        raise wrong
    if rate:
        kind, factor = "rate", 0.01 if rate[3] else 1.0
    else:
        unit = re.sub(r"\s*(?:/|\bper\b)\s*(?:sample|image|input|inference)$", "", found[3])
        if MULTIPLY.fullmatch(unit):
            raise ValueError(
                f"expected energy or accumulations; found {text!r}: MAC is a multiply-accumulate, and no rule counts a "
                "spike as one (a million accumulations are written 'M AC' or MSOPs)"
            )
        operations = OPERATIONS.fullmatch(unit)
        if unit not in ENERGY and not operations:
            raise wrong
        kind, factor = ("operations", PREFIX[operations[1]]) if operations else ("energy", ENERGY[unit])
    digits, power = found["digits"], int(found["power"] or 0)
    value = float(f"{digits}e{power}") * factor
    last = power - len(digits.partition(".")[2])
    if not 0 < value < math.inf:
        raise wrong
    return Claim(text.strip(), kind, value, 0.5 * float(f"1e{last}") * factor)


@dataclass(frozen=True)
class _Figure:
    """What a rule says of one sample: the mean, with no spike, with every neuron firing.

    mean_ends, ends: the lowest and the highest that its other readings make of the mean, and of all that can be.
    """

    mean: float
    least: float
    most: float
    mean_ends: tuple[float, float]
    ends: tuple[float, float]


def accumulations(ops: Ops) -> list[int]:
    """Return the accumulations of each sample; none if some of them belong to no sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)
        counts = [ops.by_sample(name) for name in ("ac_binary", "ac_graded")]
    whole = not any(ops.unresolved(name, by="sample") for name in ("ac_binary", "ac_graded"))
    return [sum(pair) for pair in zip(*counts, strict=True)] if whole else []


def check_claims(
    claims: Sequence[Claim],
    ops: Ops,
    readings: Mapping[str, Reading],
    prices: Mapping[str, Prices],
    spreads: Mapping[str, Mapping[str, float] | None] | None = None,
    high: Ops | None = None,
    by_rates: bool = False,
) -> list[dict[str, Any]]:
    """Return for each claim what it implies and a verdict by rule, as plain values that JSON can hold.

    A claim is `impossible` under a rule that gives less for this network with every neuron firing at every timestep, or
    more without a single spike. Else it is `above`, `within` or `below` what the samples gave, from the least to the
    most. spreads: the energies of the samples by rule, `std`, `least` and `most` in mJ. Of a rule without them only the
    mean over the samples is known: what of it depends on spikes is taken to vary as the accumulations of a sample do.
    A claim is compared as it was rounded: 1.3 mJ is anything from 1.25 to 1.35. high: where rates are known within
    bounds alone, the counts at the upper ends; `ops` has those at the lower. by_rates: no sample ran, and a claim is
    `within` if it is what the rates give.
    """
    if high is not None:
        above = {name: apply_rule(name, high, prices[name]) for name in readings}
        both = (check_claims(claims, *of, prices, by_rates=by_rates) for of in ((ops, readings), (high, above)))
        return [_between(*pair) for pair in zip(*both, strict=True)]
    samples = max(1, ops.samples or 1)
    prices = {"paper": next(iter(prices.values())), **prices}
    low, high = silent(ops), all_firing(ops)
    names = dict.fromkeys([*readings, "paper"])
    read = {name: readings.get(name) or apply_rule(name, ops, prices[name]) for name in names}
    ends = {name: (apply_rule(name, low, prices[name]), apply_rule(name, high, prices[name])) for name in names}
    counts = accumulations(ops)
    found = []
    for claim in claims:
        figures: dict[str, _Figure] = {}
        for name in names if claim.kind != "rate" else ():
            if name in readings:
                figures[name] = _figure(claim.kind, read[name], *ends[name], samples)
        if claim.kind == "rate":
            figures = _rates(ops, read["paper"], ends["paper"][1])
        known = (spreads or {}) if claim.kind == "energy" else {}
        rules = {
            name: _compared(claim, name, of, _varying(of, counts, known.get(name))) for name, of in figures.items()
        }
        found.append(
            {
                "claim": claim.text,
                "kind": claim.kind,
                "value": claim.value,
                "unit": claim.unit,
                "by_rates": by_rates,
                "verdicts": _by_verdict(rules),
                "rules": rules,
                "rate": _implied(claim, ops, read["paper"], prices["paper"], samples),
                "energy_at_rate": _energy_at(claim, read, ends, samples),
            }
        )
    return found


def _by_verdict(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    return {verdict: [name for name, of in rules.items() if of["verdict"] == verdict] for verdict in VERDICTS}


def _between(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """What is left of two checks of a claim, at the lower and at the upper ends of rates: `high` has the upper one."""
    rules = {}
    for name, of in low["rules"].items():
        above = high["rules"][name]
        rules[name] = of | {"max": above["max"]}
        if "impossible" not in (of["verdict"], above["verdict"]):
            beyond = {of["verdict"], above["verdict"]}
            rules[name]["verdict"] = beyond.pop() if len(beyond) == 1 else "within"
        elif of["verdict"] != above["verdict"]:
            rules[name]["verdict"] = (of if above["verdict"] == "impossible" else above)["verdict"]
    return low | {"rules": rules, "verdicts": _by_verdict(rules), "high": high}


def _figure(kind: str, mean: Reading, least: Reading, most: Reading, samples: int) -> _Figure:
    if kind == "energy":
        values = [one.energy_mj / samples for one in (mean, least, most)]
        mean_ends = mean.low_mj / samples, mean.high_mj / samples
        return _Figure(*values, mean_ends, (least.low_mj / samples, most.high_mj / samples))
    values = [one.ac / samples for one in (mean, least, most)]
    return _Figure(*values, (values[0], values[0]), (values[1], values[2]))


def _rates(ops: Ops, paper: Reading, most: Reading) -> dict[str, _Figure]:
    """Rates that a claim may mean, each with the least and the most that it can be."""
    totals = ops.totals()
    rates = {}
    if totals["places"]:
        mean = totals["spikes"] / totals["places"]
        rates["spikes of the neurons"] = _Figure(mean, 0.0, 1.0, (mean, mean), (0.0, 1.0))
    if paper.extra["dense_ac"]:
        dense = paper.extra["dense_ac"]
        mean, largest = paper.ac / dense, most.ac / dense
        rates["inputs of the layers"] = _Figure(mean, 0.0, largest, (mean, mean), (0.0, largest))
    return rates


@dataclass(frozen=True)
class _Spread:
    """How a figure varies over the samples; sd is None of a single one."""

    sd: float | None
    least: float
    most: float


def _varying(figure: _Figure, counts: Sequence[int], known: Mapping[str, float] | None) -> _Spread:
    """The spread that is known, or else that of what depends on spikes, which goes with the accumulations."""
    if known and known.get("least") is not None:
        return _Spread(known.get("std"), known["least"], known["most"])
    mean = sum(counts) / len(counts) if counts else 0
    if not mean:
        return _Spread(None, figure.mean, figure.mean)
    varies = (figure.mean - figure.least) / mean
    sd = None
    if len(counts) > 1:
        sd = varies * math.sqrt(sum((n - mean) ** 2 for n in counts) / (len(counts) - 1))
    return _Spread(sd, *(figure.mean + varies * (n - mean) for n in (min(counts), max(counts))))


def _compared(claim: Claim, name: str, figure: _Figure, spread: _Spread) -> dict[str, Any]:
    """The verdict on a claim under one rule, with everything that it rests on."""
    low, high = claim.value - claim.half, claim.value + claim.half
    if low > figure.ends[1] or high < figure.ends[0]:
        verdict = "impossible"
    else:
        verdict = "above" if low > spread.most else "below" if high < spread.least else "within"
    span = figure.most - figure.least
    straight = name in BY_EVENTS and span > 0
    return {
        "verdict": verdict,
        "measured": figure.mean,
        "ratio": claim.value / figure.mean if figure.mean else None,
        "sd": spread.sd,
        "min": spread.least,
        "max": spread.most,
        "no_spike": figure.least,
        "all_firing": figure.most,
        "other_readings": list(figure.mean_ends) if figure.mean_ends[0] < figure.mean_ends[1] else None,
        "possible": list(figure.ends),
        "part_firing": (claim.value - figure.least) / span if straight else None,
        "part_firing_measured": (figure.mean - figure.least) / span if straight else None,
    }


def _implied(claim: Claim, ops: Ops, paper: Reading, prices: Prices, samples: int) -> dict[str, Any]:
    """The mean input rate that a claim implies under the rule `paper`, and beside it what was measured.

    implied: None below the price of the first layers alone. all_ac: if every operation were an accumulation. limit: the
    largest event that a layer got; no mean of such events is above it.
    """
    dense, first = paper.extra["dense_ac"] / samples, paper.mac / samples
    implied = all_ac = None
    if claim.kind == "rate":
        implied = claim.value
    elif claim.kind == "operations":
        implied = claim.value / dense if dense else None
    elif dense and prices.add:
        left = claim.value * 1e9 - first * prices.mac
        implied = left / (dense * prices.add) if left >= 0 else None
        all_ac = claim.value * 1e9 / ((dense + first) * prices.add)
    return {"implied": implied, "all_ac": all_ac, "measured": paper.extra["mean_rate"], "limit": largest_event(ops)}


def _energy_at(
    claim: Claim, read: Mapping[str, Reading], ends: Mapping[str, tuple[Reading, Reading]], samples: int
) -> dict[str, float]:
    """What a sample would take under each rule, in mJ, if all inputs of layers held as many events as a rate says."""
    if claim.kind != "rate":
        return {}
    at = {}
    for name in read:
        if name in BY_EVENTS:
            least, most = (end.energy_mj / samples for end in ends[name])
            at[name] = least + min(1.0, claim.value) * (most - least)
    return at
