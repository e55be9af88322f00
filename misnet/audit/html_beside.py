"""What an audit is held against, on its page: networks that do not spike, a training step, claims."""

import html
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from misnet.audit.baselines_text import break_even_line, break_even_words
from misnet.audit.claims_text import at_the_rate, claim_rows, claim_words, legend
from misnet.audit.figures import COUNT_UNITS, ENERGY_UNITS, count_unit, energy_unit, significant
from misnet.audit.html_parts import note, section, table
from misnet.audit.text import in_unit
from misnet.audit.training_step import training_lines

__all__ = ["beside_section", "claims_section"]


def beside_section(report: Mapping[str, Any]) -> str:
    """Return the networks that do not spike, and the training step, where a report has them."""
    parts = []
    if found := report.get("baselines"):
        parts += [note("Of one sample. Break-even: the firing rate at which both cost the same."), *_baselines(found)]
        if "high" in found:
            parts += ["<h3>At the upper ends of the rates</h3>", *_baselines(found["high"])]
        parts += [note(text) for text in break_even_line(found) if text not in _own_lines(found)]
    if step := report.get("training_step"):
        parts += ["<h3>A training step</h3>", preformatted(training_lines(step))]
    return section("Beside networks that do not spike", *parts)


def _baselines(found: Mapping[str, Any]) -> list[str]:
    spiking, keys = {one["prices"]: one for one in found["spiking"]}, ("arithmetic_mj", "energy_mj")
    unit = energy_unit(one[key] for one in (*found["others"], *found["spiking"]) for key in keys)
    of_counts = count_unit(one["mac"] for one in found["others"])
    rows = [
        (
            one["name"],
            significant(one["mac"] / COUNT_UNITS[of_counts]),
            *(significant(one[key] / ENERGY_UNITS[unit]) for key in keys),
            *(significant(spiking[one["prices"]][key] / ENERGY_UNITS[unit]) for key in keys),
            *(break_even_words(one[key]) for key in ("break_even_arithmetic", "break_even")),
            one["prices"],
        )
        for one in found["others"]
    ]
    energies = (unit, f"{unit} with memory", f"spiking, {unit}", f"spiking, {unit} with memory")
    heading = ("without spikes, one pass", in_unit("MAC", of_counts), *energies)
    table_ = table((*heading, "break-even", "break-even with memory", "prices"), rows)
    return [table_, note(" ".join(_own_lines(found)), "")]


def _own_lines(found: Mapping[str, Any]) -> list[str]:
    """Lines on this network: those before what others found."""
    return list(takewhile(lambda line: not line.startswith("public"), break_even_line(found)))


def claims_section(claims: Sequence[Mapping[str, Any]], lines: Sequence[str]) -> str:
    """Return the claims that were checked; lines: about claims, where they are words alone."""
    parts = []
    for checked in claims:
        first, *words = claim_words(checked)
        heading, *rows = claim_rows(checked)
        parts += [f"<h3>{html.escape(first)}</h3>", *(note(text, "") for text in words), table(heading, rows)]
        parts += [note(legend(checked)), *(note(text, "") for text in at_the_rate(checked))]
    return section("Claims", *(parts or ([preformatted(lines)] if lines else [])))


def preformatted(lines: Sequence[str]) -> str:
    """Return lines of text as they are printed; what is wider than the page scrolls."""
    return f'<div class="wide"><pre class="lines">{html.escape(chr(10).join(lines))}</pre></div>'
