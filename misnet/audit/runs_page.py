"""Audits of several trainings as one HTML page."""

import html
from collections.abc import Mapping
from typing import Any

from misnet.audit.figures import ENERGY_UNITS
from misnet.audit.html_page import foot, origin, prices
from misnet.audit.html_parts import bars, document, note, pairs, section, table
from misnet.audit.html_tables import rules_section
from misnet.audit.provenance import maker_lines
from misnet.audit.runs import cells, unit_of_runs

__all__ = ["runs_page"]


def runs_page(found: Mapping[str, Any]) -> str:
    """Return the page. found: of `misnet.audit.runs.side_by_side`."""
    names, reports = found["names"], found["runs"]
    heading, *rows = cells(found)
    rule = next(iter(reports[0]["rules"]))
    each = [
        f"<details><summary>{html.escape(name)}: {html.escape(report['title'])}</summary>"
        f"{origin(report)}{rules_section(report)}</details>"
        for name, report in zip(names, reports, strict=True)
    ]
    untrained = [name for name, report in zip(names, reports, strict=True) if report.get("trained") is False]
    tables = {name: of for report in reports for name, of in report["price_tables"].items()}
    unit = unit_of_runs(found)
    of_rule = {name: report["rules"][rule]["parts_mj_per_sample"] for name, report in zip(names, reports, strict=True)}
    parts = [(name, {part: mj / ENERGY_UNITS[unit] for part, mj in of.items()}) for name, of in of_rule.items()]
    return document(
        found["title"],
        f"<h1>{html.escape(found['title'])}</h1>",
        note(f"Not trained: {', '.join(untrained)}", "loud") if untrained else "",
        *(note(text, "loud" if found["spread"] is None else "") for text in found["notes"]),
        *(note(f"Warning: {r['title']}: {text}", "loud") for r in reports for text in r["warnings"]),
        pairs(maker_lines(found)),
        section(
            "Side by side",
            note(f"Energies in {unit} for one sample; mean and standard deviation (sd) over the n trainings."),
            table(heading, rows),
            f"<h3>Rule {html.escape(rule)}</h3>",
            bars(parts, unit),
        ),
        section("Each run", *each),
        prices({"price_tables": tables}),
        foot(found),
    )
