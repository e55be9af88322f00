"""Parts of an audit's page: tables in boxes of their own, bars, coloured cells; no script and no other file.

A bar is an SVG as wide as there is room, beside words that keep their size, so that it can be read on a telephone. All
colours are variables of the page: there are two sets, for light and dark, and a print takes the light one.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from misnet.audit.figures import significant

__all__ = [
    "COLOURS",
    "Markup",
    "bars",
    "cell_bar",
    "document",
    "heat_table",
    "note",
    "pairs",
    "prose",
    "section",
    "table",
]

COLOURS = 12
SHARING = (
    *(("mac",), ("ac",), ("neurons",), ("batch norm",), ("residual", "in and out"), ("pooling", "parameters")),
    *(("bias", "potentials"), ("arithmetic", "computation"), ("special",), ("operations", "weights")),
    *(("addressing", "state"), ("spikes",)),
)
PARTS = {part: k for k, parts in enumerate(SHARING) for part in parts}
"""The colour of each part of an energy, on every page; those that stand in one picture differ."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f23; --soft: #5c6370; --paper: #fff; --stripe: #f4f5f7; --line: #c9ccd3;
  --loud: #b3261e; --heat: 27 110 200; --c0: #1f77b4; --c1: #e08214; --c2: #2a9d4a; --c3: #c9302c; --c4: #8a63b8;
  --c5: #8c5a4b; --c6: #d3609f; --c7: #7a7d85; --c8: #a8a41f; --c9: #159fb0; --c10: #5a6fd0; --c11: #b5651d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --soft: #a2a8b4; --paper: #16181c; --stripe: #1f2228;
  --line: #444a55; --loud: #ff8a80; --heat: 90 165 255; --c0: #5aa9e6; --c1: #f4a950; --c2: #5fc97b; --c3: #f07167;
  --c4: #b497dc; --c5: #c08f7d; --c6: #f09ac7; --c7: #a9adb8; --c8: #d0cc52; --c9: #53c7d6;
  --c10: #93a4f5; --c11: #d99a5b; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; } h3 { font-size: 1rem; margin-bottom: 0.3rem; }
h2 { font-size: 1.2rem; margin-top: 2.4rem; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; max-width: 100%; margin: 0.6rem 0; } .tall { overflow: auto; }
table { border-collapse: collapse; font-size: 0.85rem; } caption { text-align: left; color: var(--soft); }
th, td { padding: 0.2rem 0.6rem; text-align: right; vertical-align: top; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; } th { border-bottom: 1px solid var(--soft); vertical-align: bottom; }
tbody th { border: 0; font-weight: normal; white-space: nowrap; vertical-align: top; }
tbody tr:nth-child(even) { background: var(--stripe); }
td.long { white-space: normal; min-width: 15rem; } .text, .long, th:first-child { text-align: left; }
td.bar { min-width: 7rem; vertical-align: middle; } svg { display: block; width: 100%; height: 0.85rem; }
td.heat { background: rgb(var(--heat) / var(--part)); text-align: center; print-color-adjust: exact; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: 0.15rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } code { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.82rem; }
.wide pre.lines { white-space: pre; overflow-wrap: normal; } summary { cursor: pointer; }
.bars { display: grid; grid-template-columns: fit-content(16rem) minmax(0, 1fr) max-content; gap: 0.35rem 0.8rem;
  align-items: center; font-size: 0.85rem; } .bars .value { font-variant-numeric: tabular-nums; }
.key { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.82rem; list-style: none; padding: 0; }
.key li, .bars span { min-width: 0; overflow-wrap: anywhere; }
.key svg { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.35rem; vertical-align: -0.05rem; }
.charts { display: flex; flex-wrap: wrap; gap: 0.8rem 1.2rem; } figure { margin: 0.4rem 0; min-width: 0; }
.beside { align-items: flex-start; } .beside > .wide { flex: 0 1 30rem; }
.charts figure { flex: 1 1 17rem; max-width: 24rem; } figcaption { font-size: 0.85rem; color: var(--soft); }
svg.chart { height: auto; max-width: 100%; } .chart text { font-size: 11px; fill: var(--ink); }
.chart .end { text-anchor: end; } .chart .middle { text-anchor: middle; } .chart .grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 2; } polyline.thin { stroke-width: 0.8; opacity: 0.6; }
.cell { fill: rgb(var(--heat) / var(--part)); stroke: var(--line); stroke-width: 0.5; }
.key svg.stroke { width: 1.5rem; height: 0.6rem; } img { max-width: 100%; height: auto; background: #fff; }
.small { font-size: 0.85rem; color: var(--soft); } .answer { font-size: 1.1rem; }
.loud { border: 2px solid var(--loud); color: var(--loud); padding: 0.5rem 0.8rem; font-weight: bold; }
@media (min-width: 44rem) { .tall { max-height: 85vh; }
  .tall thead th { position: sticky; top: 0; background: var(--paper); }
  .tall tbody th { position: sticky; left: 0; background: var(--paper); }
  .tall tbody tr:nth-child(even) th { background: var(--stripe); } }
@media (max-width: 44rem) { .bars { grid-template-columns: minmax(0, 1fr) max-content; gap: 0.1rem 0.8rem; }
  .bars svg { grid-column: 1 / -1; margin-bottom: 0.5rem; } .bars { grid-auto-flow: row dense; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: 0.4rem; } th, td { padding: 0.2rem 0.4rem; } }
@media print { .wide pre.lines { white-space: pre-wrap; font-size: 7pt; }
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --stripe: #f2f2f2; --line: #999;
  --loud: #900; --heat: 27 110 200; } body { max-width: none; padding: 0; font-size: 10pt; }
  .wide, .tall { overflow: visible; max-height: none; } table { font-size: 7pt; } th, td { padding: 1pt 3pt; }
  tr, .bars, h2, h3 { break-inside: avoid; } h2, h3 { break-after: avoid; }
  figure { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; } svg { print-color-adjust: exact; } }
"""
STYLE += "".join(f".c{k} {{ fill: var(--c{k}); }} " for k in range(COLOURS))
STYLE += "".join(f"polyline.s{k} {{ stroke: var(--c{k}); }} " for k in range(COLOURS))


class Markup(NamedTuple):
    """HTML that is written as it stands; every other text is escaped. kind, style: of the cell that holds it."""

    text: str
    kind: str = ""
    style: str = ""


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _cell(cell: Any, first: bool, kind: str) -> str:
    if isinstance(cell, Markup):
        style = f' style="{cell.style}"' if cell.style else ""
        return f'<td class="{cell.kind}"{style}>{cell.text}</td>' if cell.kind else f"<td>{cell.text}</td>"
    words = html.escape(_text(cell))
    if first:
        return f'<th scope="row">{words}</th>'
    return f'<td class="{kind}">{words}</td>' if kind else f"<td>{words}</td>"


def _kind(column: Sequence[Any]) -> str:
    """Class of a column: words are set to the left, and long ones may wrap."""
    texts = [cell for cell in column if isinstance(cell, str) and cell]
    if not texts or not all(text[0].isalpha() for text in texts):
        return ""
    return "long" if max(map(len, texts)) > 24 else "text"


def table(heading: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", tall: bool = False) -> str:
    """Return a table that scrolls within its box. A row's first cell names it. tall: no higher than a screen."""
    kinds = [_kind(column) for column in zip(*rows, strict=True)] or [""] * len(heading)
    names = zip(kinds, heading, strict=True)
    head = "".join(f'<th scope="col" class="{k or "number"}">{html.escape(x)}</th>' for k, x in names)
    body = "".join("<tr>" + "".join(_cell(x, k == 0, kinds[k]) for k, x in enumerate(row)) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    box = "tall" if tall else "wide"
    return f'<div class="{box}"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def heat_table(heading: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Return a table of values of at least 0 with cells as dark as the value is large."""
    top = max((x for _, values in rows for x in values if x is not None), default=0) or 1.0
    cells = [
        (name, *(None if x is None else Markup(_heat(x, top), "heat", f"--part: {0.7 * x / top:.3f}") for x in values))
        for name, values in rows
    ]
    return table(heading, cells, tall=True)


def _heat(x: float, top: float) -> str:
    return f"{x:.3f}" if top < 0.1 else f"{x:.2f}"


def _bar(parts: Sequence[tuple[int, float]], top: float, text: str) -> str:
    """An SVG of parts, each (colour, length), one after the other; the whole width is `top`."""
    rects, left = [], 0.0
    for colour, length in parts:
        if length > 0:
            width = 1000 * length / top
            rects.append(f'<rect class="c{colour % COLOURS}" x="{left:.2f}" y="0" width="{width:.2f}" height="10"/>')
            left += width
    return (
        f'<svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{html.escape(text)}">'
        f"{''.join(rects)}</svg>"
    )


def cell_bar(value: float, top: float) -> Markup:
    """Return a bar as a cell of a table."""
    return Markup(_bar([(0, value)], top or 1.0, significant(value)), "bar")


def colours_of(parts: Iterable[str]) -> dict[str, int]:
    """Return the colour of each part, in order: of a part of an energy always the same, of others one that is free."""
    found = {name: PARTS.get(name.removeprefix("memory: ")) for name in parts}
    free = [k for k in range(COLOURS) if k not in found.values()] or [0]
    others = [name for name, k in found.items() if k is None]
    return {name: free[others.index(name) % len(free)] if k is None else k for name, k in found.items()}


def bars(rows: Sequence[tuple[str, Mapping[str, float]]], unit: str, top: float = 0.0) -> str:
    """Return bars one below the other, of (name, length of each part), with their sums, and a key of the parts.

    top: what the whole width stands for, the largest sum by default; a longer bar says that it is off the scale.
    """
    known = colours_of(part for _, parts in rows for part, x in parts.items() if x > 0)
    sums = [sum(parts.values()) for _, parts in rows]
    top = top or max(sums, default=0) or 1.0
    lines = []
    for (name, parts), whole in zip(rows, sums, strict=True):
        words = f"{significant(whole, 3)} {unit}{', off scale' if whole > top * 1.0001 else ''}"
        bar = _bar([(known[part], x) for part, x in parts.items() if x > 0], top, f"{name}: {words}")
        lines.append(f'<span>{html.escape(name)}</span>{bar}<span class="value">{html.escape(words)}</span>')
    square = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="c{}" width="10" height="10"/></svg>'
    key = "".join(f"<li>{square.format(k % COLOURS)}{html.escape(part)}</li>" for part, k in known.items())
    return f'<div class="bars">{"".join(lines)}</div>' + (f'<ul class="key">{key}</ul>' if len(known) > 1 else "")


def pairs(lines: Sequence[tuple[str, str | Markup]]) -> str:
    """Return a list of (what, words)."""
    words = [(name, x.text if isinstance(x, Markup) else html.escape(x)) for name, x in lines]
    return "<dl>" + "".join(f"<dt>{html.escape(name)}</dt><dd>{x}</dd>" for name, x in words) + "</dl>"


def note(text: str, kind: str = "small") -> str:
    """Return a paragraph."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def prose(text: str) -> str:
    """Return a docstring as paragraphs; indented lines are formulas, and names in backquotes code."""
    parts = []
    for part in text.split("\n\n"):
        words = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(part))
        parts.append(f"<pre>{words}</pre>" if part.startswith(" ") else f"<p>{words}</p>")
    return "".join(parts)


def section(title: str, *parts: str) -> str:
    """Return a section with a heading; nothing if no part holds anything."""
    content = "".join(parts)
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>" if content else ""


def document(title: str, *sections: str) -> str:
    """Return a page that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(text for text in sections if text)
        + "</body></html>\n"
    )
