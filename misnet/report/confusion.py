"""The confusion matrix as inline SVG, and the classes that are taken for each other most often as a table."""

import html
from collections.abc import Sequence

from misnet.audit.html_parts import note, table

__all__ = ["confusion", "most_confused"]

READABLE = 16
"""Classes up to which cells have their counts as text; more are coloured cells alone."""

LETTERS = 20  # of a class name beside the matrix


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Return counts [true, predicted] as cells that are as dark as their share of the true class is large."""
    n = len(names)
    small = n > READABLE
    cell, text = (13, 10) if small else (27, 11)
    short = [name if len(name) <= LETTERS else f"{name[: LETTERS - 2]}.." for name in names]
    side = max(10, round(max(map(len, short)) * 0.62 * text)) + 8  # room for the names
    turned = max(map(len, short)) * 0.62 * text > cell
    above = side if turned else text + 8
    whole, high = side + n * cell + 2, above + n * cell + 2
    parts = []
    for i, (row, name) in enumerate(zip(matrix, short, strict=True)):
        y, x = above + i * cell, side + i * cell
        parts.append(f'<text class="end" x="{side - 5}" y="{y + cell / 2 + 4}">{html.escape(name)}</text>')
        if turned:
            at = f'x="5" y="4" transform="translate({x + cell / 2} {above}) rotate(-90)"'
            parts.append(f"<text {at}>{html.escape(name)}</text>")
        else:
            parts.append(f'<text class="middle" x="{x + cell / 2}" y="{above - 5}">{html.escape(name)}</text>')
        for j, count in enumerate(row):
            share = count / max(1, sum(row))
            words = html.escape(f"{names[i]} taken for {names[j]}: {count} of {sum(row)}")
            look = f'style="--part: {0.85 * share:.3f}"' if count else 'style="--part: 0"'
            box = f'x="{side + j * cell}" y="{y}" width="{cell}" height="{cell}"'
            parts.append(f'<rect class="cell" {look} {box}><title>{words}</title></rect>')
            if count and not small:
                at = f'x="{side + (j + 0.5) * cell}" y="{y + cell / 2 + 4}"'
                parts.append(f'<text class="middle" {at}>{count}</text>')
    words = "Confusion matrix: a row for each true class, a column for each predicted one"
    svg = (
        f'<svg class="chart" viewBox="0 0 {whole} {high}" style="width: {whole}px; min-width: {min(whole, 330)}px" '
        f'role="img" aria-label="{words}">{"".join(parts)}</svg>'
    )
    return f'<figure><figcaption>{words}.</figcaption><div class="wide">{svg}</div></figure>'


def most_confused(matrix: Sequence[Sequence[int]], names: Sequence[str], most: int = 5) -> str:
    """Return the pairs of different classes with the largest counts."""
    pairs = [
        (count, sum(row), names[i], names[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    if not pairs:
        return note("No sample was taken for one of another class.", "")
    pairs.sort(key=lambda pair: -pair[0])
    rows = [
        (f"{name} for {other}", f"{count} of {of}", f"{100 * count / of:.0f} %")
        for count, of, name, other in pairs[:most]
    ]
    return table(("taken most often", "samples", "share"), rows)
