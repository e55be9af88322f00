"""Curves as inline SVG in the colours of the page, so that they turn dark with it, and print."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from misnet.audit.html_parts import COLOURS

__all__ = ["Line", "charts", "line_chart", "ticks"]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 340, 200, 44, 10, 10, 24
DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""A colour is told apart by its dashes too, for eyes and printers that see none."""


@dataclass(frozen=True)
class Line:
    """A curve: its name in the key (none: not in the key), values for x = 1, 2, ..., its look.

    colour, dashes: numbers of `html_parts` and `DASHES`. thin: one of several that a thick one is the mean of.
    """

    name: str
    values: Sequence[float]
    colour: int = 0
    dashes: int = 0
    thin: bool = False


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers, at most `most` steps of 1, 2 or 5 x 10^k apart, the first at or below low, the last above.

    low < high.
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def line_chart(title: str, lines: Sequence[Line], whole: tuple[float, float] | None = None) -> str:
    """Return a figure with a curve for each line over x = 1, 2, ..., and a key.

    whole: ends of the vertical axis, by default those of the values and 0. Values that are not finite are left out.
    """
    values = [y for line in lines for y in line.values if math.isfinite(y)]
    low, high = whole or (min(0.0, *values, 0.0), max(0.0, *values, 0.0))
    scale = ticks(low, high if high > low else low + 1)
    low, high = scale[0], scale[-1]
    longest = max((len(line.values) for line in lines), default=1)

    def x(k: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (k - 1) / max(1, longest - 1) if longest > 1 else (LEFT + WIDTH) / 2

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = []
    for value in scale:
        parts.append(
            f'<line class="grid" x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}"></line>'
        )
        parts.append(f'<text class="end" x="{LEFT - 5}" y="{y(value) + 4:.1f}">{value:.6g}</text>')
    every = max(1, math.ceil(longest / 6))
    for k in range(every if every > 1 else 1, longest + 1, every):
        parts.append(f'<text class="middle" x="{x(k):.1f}" y="{HEIGHT - 7}">{k}</text>')
    for line in lines:
        look = f'class="s{line.colour % COLOURS}{" thin" if line.thin else ""}"'
        look += f' stroke-dasharray="{dash}"' if (dash := DASHES[line.dashes % len(DASHES)]) else ""
        at = [(x(k + 1), y(value)) for k, value in enumerate(line.values) if math.isfinite(value)]
        parts.append(f'<polyline {look} points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}"></polyline>')
        if not line.thin and len(at) <= 30:
            dot = f'class="c{line.colour % COLOURS}" r="2.5"'
            parts += [f'<circle {dot} cx="{a:.1f}" cy="{b:.1f}"></circle>' for a, b in at]
    named = [line for line in lines if line.name]
    ends = ", ".join(f"{line.name} {line.values[-1]:.4g}" for line in named if len(line.values))
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(f"{title}, by epoch; last: {ends}")}">{"".join(parts)}</svg>{_key(named)}</figure>'
    )


def _key(lines: Sequence[Line]) -> str:
    items = []
    for line in lines:
        dash = DASHES[line.dashes % len(DASHES)]
        look = f'class="s{line.colour % COLOURS}"' + (f' stroke-dasharray="{dash}"' if dash else "")
        stroke = f'<polyline {look} points="0,5 24,5"></polyline>'
        stroke = f'<svg class="stroke" viewBox="0 0 24 10" aria-hidden="true">{stroke}</svg>'
        items.append(f"<li>{stroke}{html.escape(line.name)}</li>")
    return f'<ul class="key">{"".join(items)}</ul>'


def charts(*figures: str) -> str:
    """Return figures side by side, as many as fit."""
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def mean_of(seeds: Sequence[Sequence[Any]]) -> list[float]:
    """Return the mean of several curves, as far as the shortest."""
    return [math.fsum(values) / len(values) for values in zip(*seeds, strict=False)]
