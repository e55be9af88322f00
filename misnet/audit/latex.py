"""The rules of an audit as a LaTeX table: booktabs, a caption that says what was counted, nothing that stops LaTeX."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from misnet.audit.bracket import otherwise
from misnet.audit.ends import span
from misnet.audit.figures import COUNT_UNITS, count_unit, figure
from misnet.audit.provenance import samples_words, training_words

__all__ = ["escape", "latex_table"]

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # a straight one is not in every font encoding
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{GREEK SMALL LETTER MU}": r"$\mu$",
}


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it stands.

    Letters with accents lose them, and other letters outside ASCII become question marks, as which of them can be
    printed depends on the fonts and packages of the document. Any white space becomes a blank.
    """
    plain = []
    for letter in " ".join(text.split()):
        if letter in SPECIAL:
            plain.append(SPECIAL[letter])
        elif letter.isascii():
            plain.append(letter if letter.isprintable() else "?")
        else:
            base = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
            plain.append("".join(SPECIAL.get(x, x) for x in base) or "?")
    return re.sub("-(?=-)", "-{}", "".join(plain))  # two in a row would become a dash


def caption_of(report: Mapping[str, Any]) -> str:
    """Return what the table shows: network, data, timesteps, samples, training, accuracy, rules and their prices."""
    used: dict[str, list[str]] = {}
    for name, rule in report["rules"].items():
        used.setdefault(rule["prices"], []).append(name)
    prices = "; ".join(f"{table} for {', '.join(names)}" for table, names in used.items())
    accuracy = ", ".join(f"{head} {100 * share:.2f} %" for head, share in report.get("accuracy", {}).items())
    steps = f"T={report['timesteps']}"
    of = "By the rates that were told, of no samples" if report.get("by_rates") else f"Mean of {samples_words(report)}"
    deviation = "" if report.get("by_rates") else "; sd: over the samples"
    sentences = [
        f"Operations and energy of one sample: {report['title']}",
        f"{'' if steps in report['title'] else f'{steps}; '}{of}",
        *([f"Weights: {words}"] if (words := training_words(report)) else []),
        *([f"Accuracy on the same samples: {accuracy}"] if accuracy else []),
        f"MAC: multiply-accumulates, AC: accumulations, by each rule{deviation}. Prices: {prices}",
        f"snncore {report['provenance']['versions']['snncore']}",
    ]
    return " ".join(f"{escape(text)}." for text in sentences)


def latex_table(report: Mapping[str, Any]) -> str:
    """Return the table; the document needs the packages booktabs and textcomp."""
    above = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    dense, rows = report["dense"], []
    most = [dense["mac_per_sample"], *(rule["per_sample"][kind] for rule in above.values() for kind in ("mac", "ac"))]
    unit = count_unit(most)

    def count(n: float) -> str:
        return figure(n / COUNT_UNITS[unit], 3).replace(",", "")

    for name, rule in report["rules"].items():
        ends = rule["per_sample"], above[name]["per_sample"]
        counts = [span(*(count(end[kind]) for end in ends)) for kind in ("mac", "ac")]
        deviation = (rule.get("spread") or {}).get("std")
        energies = [span(*(f"{end['energy_mj']:.4g}" for end in ends)), otherwise(rule)]
        rows.append([name, *counts, *energies, "" if deviation is None else f"{deviation:.4g}"])
    rows.append(["dense network", count(dense["mac_per_sample"]), "0", f"{dense['energy_mj_per_sample']:.4g}", "", ""])
    of_counts = [f"{kind} ({unit})" if unit else kind for kind in ("MAC", "AC")]
    heading = ["rule", *of_counts, "energy (mJ)", "read otherwise (mJ)", "sd (mJ)"]
    return tabular(heading, rows, caption_of(report), "tab:audit", report["provenance"], rule_after=len(rows) - 1)


def tabular(
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    label: str,
    provenance: Mapping[str, Any],
    rule_after: int | None = None,
) -> str:
    """Return a booktabs table, the first column to the left. caption: escaped. rule_after: rows before a line."""
    lines = [" & ".join(map(escape, row)) + r" \\" for row in rows]
    if rule_after is not None:
        lines.insert(rule_after, r"\midrule")
    made = f"{provenance['date']}: {provenance['command']}".encode("ascii", "replace").decode().split()
    return "\n".join(
        [
            f"% {' '.join(made)}",
            r"% needs \usepackage{booktabs} and \usepackage{textcomp}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape, heading)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
