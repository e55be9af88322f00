"""A claim that was checked, in words: the verdict under each rule, what it rests on, what would have to be true."""

from collections.abc import Mapping
from typing import Any

from misnet.audit.text import table

__all__ = ["at_the_rate", "claim_lines", "claim_rows", "claim_words", "legend"]

OTHER = "other inputs, shapes or prices"
_OVER = "sd, min and max over the samples"


def claim_lines(checked: Mapping[str, Any]) -> list[str]:
    """Return the lines on one claim of `misnet.audit.claims.check_claims`."""
    first, *words = claim_words(checked)
    (heading, *cells), *rows = claim_rows(checked)
    return [
        first,
        *(f"  {text}" for text in words),
        *table([(f"  {heading}", *cells), *((f"    {name}", *of) for name, *of in rows)]),
        f"  ({legend(checked)})",
        *(f"  {text}" for text in at_the_rate(checked)),
    ]


def claim_words(checked: Mapping[str, Any]) -> list[str]:
    """Return sentences: the claim, the verdicts with what they rest on, the rate that it implies."""
    first = f"claim: {checked['claim']}, that is {number(checked['value'])} {checked['unit']} for one sample"
    if checked["kind"] == "rate":
        first = f"claim: {checked['claim']}, that is {number(checked['value'])} events a place and timestep"
    lines = [first]
    for verdict, names in checked["verdicts"].items():
        for reason, of in _by_reason(checked, verdict, names).items():
            lines.append(f"{verdict} under {', '.join(of)}: {reason}")
    return lines + _rate_lines(checked)


def claim_rows(checked: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the heading and a row for each rule: what was claimed beside what was measured and what can be."""
    found = _found(checked)
    rows: list[tuple[str, ...]] = [("rule", f"claimed / {found}", found, "sd", "min", "max", "no spike", "all firing")]
    for name, of in checked["rules"].items():
        figures = (of["ratio"], of["measured"], of["sd"], of["min"], of["max"], of["no_spike"], of["all_firing"])
        rows.append((name, *(number(x) for x in figures)))
    return rows


def legend(checked: Mapping[str, Any]) -> str:
    """Return what the rows are in."""
    over = "told: by the rates, of which min and max are the ends, for no sample ran" if checked["by_rates"] else _OVER
    own = f"in {checked['unit']}; {over}; all firing: every neuron at every timestep"
    if "high" not in checked:
        return own
    lower = f"{_found(checked)}, no spike and all firing"
    return f"{lower} are those at the lower ends of the rates, max at the upper; {own}"


def at_the_rate(checked: Mapping[str, Any]) -> list[str]:
    """Return what a sample would take at a rate that was claimed, a sentence a rule."""
    energies = checked["energy_at_rate"].items()
    return [f"at that rate a sample would take {number(mj)} mJ under {name}" for name, mj in energies]


def _found(checked: Mapping[str, Any]) -> str:
    """What the figures beside a claim are: measured, or told by somebody's rates."""
    return "told" if checked["by_rates"] else "measured"


def number(value: float | None) -> str:
    """A number with four significant digits, however small; a hyphen for one that does not exist."""
    return "-" if value is None else f"{value:.4g}"


def _by_reason(checked: Mapping[str, Any], verdict: str, names: list[str]) -> dict[str, list[str]]:
    """Rules by the words that say why; rules of one verdict may have several reasons."""
    reasons: dict[str, list[str]] = {}
    for name in names:
        reasons.setdefault(_reason(checked, verdict, checked["rules"][name]), []).append(name)
    return reasons


def _reason(checked: Mapping[str, Any], verdict: str, of: Mapping[str, Any]) -> str:
    value, by_rates, ends = checked["value"], checked["by_rates"], "high" in checked
    if verdict == "impossible":
        if value > of["possible"][1]:
            return f"more than with every neuron firing at every timestep; true of {OTHER} that do more"
        return f"less than without a single spike; true of {OTHER} that do less"
    if verdict == "within":
        if not by_rates:
            return "between the least and the most of the samples"
        return "between the lower and the upper ends of the rates" if ends else "what the rates give, as it was rounded"
    side = f"{'more than the most' if verdict == 'above' else 'less than the least'} of any sample"
    if by_rates:
        at = f" at their {'upper' if verdict == 'above' else 'lower'} ends" if ends else ""
        side = f"{'more' if verdict == 'above' else 'less'} than the rates give{at}"
    otherwise = of["other_readings"]
    if otherwise and otherwise[0] <= value <= otherwise[1]:
        return f"{side}, though within what other readings make of {'it' if by_rates else 'them'}"
    return f"{side}; true of other spikes, see below"


def _rate_lines(checked: Mapping[str, Any]) -> list[str]:
    """What the claim implies for the mean input rate, and for the part of all places that fires, rule by rule."""
    if checked["kind"] == "rate":
        return []
    rate, lines = checked["rate"], []
    if rate["implied"] is None:
        lines.append("the first layers alone, as multiply-accumulates, cost more than that")
    else:
        limit = f"no event here was above {rate['limit']}"
        lines.append(f"implies a mean input rate of {number(rate['implied'])} under the rule of the paper ({limit})")
    if rate["all_ac"] is not None:
        lines.append(f"({number(rate['all_ac'])} if every operation were an accumulation)")
    lines.append(f"mean input rate {_found(checked)}: {number(rate['measured'])}")
    if rate["implied"] is not None and rate["measured"]:
        lines.append(f"implied / {_found(checked)} rate: {number(rate['implied'] / rate['measured'])}")
    for name, of in checked["rules"].items():
        if of["part_firing"] is not None and of["verdict"] in ("above", "below"):
            parts = (
                f"{100 * of['part_firing']:.3g} % of all places where {100 * of['part_firing_measured']:.3g} % had one"
            )
            lines.append(f"true under {name} of events in {parts}")
    return lines
