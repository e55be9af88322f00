"""A reproduced table as a page: the printed figures beside ours, with seeds and spread, in Markdown and in HTML."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from misnet.audit.html_parts import document, note, table
from misnet.paper.estimate import SAMPLES
from misnet.paper.paired import Paired, paired
from misnet.paper.published import LATER
from misnet.training.results import Result, spread

__all__ = ["Line", "Page", "as_values", "later_lines", "to_html", "to_markdown"]


@dataclass(frozen=True)
class Line:
    """One cell of a table: what the paper prints, and the runs of it here.

    paper: accuracy in percent. paper_parameters: in millions. paper_mj: energy of a sample. None: not printed.
    parameters: of the network here. results: one a seed. errors: of seeds that have no result. note: what is read
    into the paper, or why nothing ran. base: label of the line that it is compared with seed by seed, if there is one.
    """

    label: str
    data: str
    paper: float | None = None
    paper_parameters: float | None = None
    paper_mj: float | None = None
    parameters: int | None = None
    results: tuple[Result, ...] = ()
    errors: tuple[str, ...] = ()
    note: str = ""
    base: str | None = None


@dataclass(frozen=True)
class Page:
    """A table. first: the first line, on scale and data. comparable: whether it ran on the paper's own data and recipe,
    so that a difference from the printed accuracy means something. command: that makes it again."""

    title: str
    first: str
    command: str
    lines: tuple[Line, ...]
    comparable: bool
    remarks: tuple[str, ...] = field(default=())


def later_lines(name: str) -> tuple[Line, ...]:
    """Return the lines of rivals that came after the paper, below the table NAME: printed figures, and no runs."""
    return tuple(
        Line(f"{rival.name}, {column}", column, paper=value, note=rival.note)
        for rival in LATER
        if name == f"table{rival.table}"
        for column, value in rival.cells.items()
    )


HEADINGS = (
    "system",
    "data",
    "paper, %",
    "ours, % (mean +- sd)",
    "difference",
    "each seed, %",
    "other heads, %",
    "parameters, paper (M)",
    "ours (M)",
    "firing rate",
    "training (s)",
    "energy, paper (mJ)",
    "ours by the paper's rule (mJ)",
    "exact (mJ)",
)


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:.2f}"


def _mean(values: Sequence[float], digits: int) -> str:
    """Return mean +- standard deviation, a dash for no value."""
    if not values:
        return "-"
    found = spread(values)
    return f"{found.mean:.{digits}f}" + ("" if found.std is None else f" +- {found.std:.{digits}f}")


def accuracies(results: Sequence[Result], head: str | None = None) -> list[float]:
    """Return the accuracy of a head, or of the verdict, on the test samples after the last epoch, in percent."""
    return [100 * result.last[f"test_accuracy_{head or result.heads[0]}"] for result in results]


def seconds(results: Sequence[Result]) -> list[float]:
    """Return what the training steps of each run took, without evaluation; nothing if the samples are not known."""
    found = []
    for result in results:
        settings = result.content["settings"]
        limit = settings.get("limit_train")
        if limit is None or any("samples_per_second" not in row for row in result.rows):
            return []
        samples = min(limit, SAMPLES.get(settings["dataset"], limit))
        found.append(sum(samples / row["samples_per_second"] for row in result.rows))
    return found


def _cells(line: Line, comparable: bool) -> tuple[str, ...]:
    results, found = line.results, accuracies(line.results)
    difference = "-"
    if comparable and line.paper is not None and found:
        difference = f"{spread(found).mean - line.paper:+.2f}"
    heads = [f"{name} {_mean(accuracies(results, name), 1)}" for name in (results[0].heads[1:] if results else ())]
    energies = [[r.energy[rule] for r in results if rule in r.energy] for rule in ("paper", "exact")]
    return (
        line.label,
        line.data,
        _number(line.paper),
        _mean(found, 2) if found else ("failed" if line.errors else "not run"),
        difference,
        " ".join(f"{x:.1f}" for x in found) or "-",
        ", ".join(heads) or "-",
        _number(line.paper_parameters),
        "-" if line.parameters is None else f"{line.parameters / 1e6:.3f}",
        _mean([r.last["test_firing_rate"] for r in results], 3),
        _mean(seconds(results), 0),
        _number(line.paper_mj),
        *(_mean(values, 5) for values in energies),
    )


def compared(lines: Sequence[Line]) -> list[Paired]:
    """Return the differences of all lines from their bases, seed by seed."""
    by_label = {line.label: line for line in lines}
    pairs = ((line, by_label.get(line.base or "")) for line in lines)
    found = (paired(a.label, a.results, b.label, b.results) for a, b in pairs if b is not None)
    return [x for x in found if x is not None]


def _sentences(page: Page) -> list[str]:
    """Return the notes below a table."""
    found = (
        []
        if page.comparable
        else [
            "No difference from the paper is given: these runs have other data, sizes or epochs than the paper's. "
            "What can be compared is which row is above which, within the spread of the seeds."
        ]
    )
    found += [f"seed by seed, against {x.base}: {x.text()}" for x in compared(page.lines)]
    found += [f"{line.label}, {line.data}: {line.note}" for line in page.lines if line.note]
    found += [f"{line.label}, {line.data}: FAILED: {error}" for line in page.lines for error in line.errors]
    return [*found, *page.remarks]


def to_markdown(page: Page) -> str:
    """Return the page as Markdown; its first line says at what scale it was run."""
    rows = [_cells(line, page.comparable) for line in page.lines]
    table = [HEADINGS, ("---", "---", *["---:"] * (len(HEADINGS) - 2)), *rows]
    lines = [page.first, "", f"# {page.title}", "", "```", page.command, "```", ""]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return "\n".join([*lines, "", *(f"- {text}" for text in _sentences(page))]) + "\n"


def to_html(page: Page) -> str:
    """Return the page as HTML that needs no other file."""
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in _sentences(page))
    return document(
        page.title,
        note(page.first, "answer" if page.comparable else "loud"),
        f"<h1>{html.escape(page.title)}</h1><pre>{html.escape(page.command)}</pre>",
        table(HEADINGS, [_cells(line, page.comparable) for line in page.lines]),
        f"<ul>{notes}</ul>",
    )


def as_values(page: Page) -> str:
    """Return everything on the page as JSON: accuracies as shares of 100, one entry a seed."""
    lines = [
        {
            "row": line.label,
            "data": line.data,
            "paper": {"accuracy": line.paper, "parameters_m": line.paper_parameters, "energy_mj": line.paper_mj},
            "parameters": line.parameters,
            "runs": [
                {"folder": str(r.folder), "seed": r.seed, "last": dict(r.last), "energy_mj": dict(r.energy)}
                for r in line.results
            ],
            "errors": list(line.errors),
            "note": line.note,
            "base": line.base,
        }
        for line in page.lines
    ]
    content = {"title": page.title, "scale": page.first, "command": page.command, "comparable": page.comparable}
    return json.dumps(content | {"lines": lines}, indent=2, allow_nan=False) + "\n"
