"""Weights and learned numbers, such as alpha, over training."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.layers import spread_out
from misnet.visual.style import COLOURS, FONT, WIDTH

__all__ = ["draw_weights"]

LINES = 12
"""Lines that a panel has room to name."""
ENTRIES = 500
"""Entries of a weight that a histogram of 60 bars is smooth with."""
STYLES = ("-", "--", ":", "-.")
DARK = tuple(colour for colour in COLOURS if colour != "#F0E442")  # yellow is lost on white


def _style(k: int) -> dict[str, Any]:
    return {"color": DARK[k % len(DARK)], "linestyle": STYLES[k // len(DARK) % len(STYLES)]}


def draw_weights(
    numbers: Mapping[str, Mapping[float, float]],
    sizes: Mapping[str, Mapping[float, float]],
    weights: Mapping[str, np.ndarray],
    title: str,
) -> Any:
    """Draw learned numbers and sizes of weights by epoch, and histograms of the weights at the end.

    numbers: value of each learned number by epoch. sizes: root mean square of each weight by epoch; drawn as a multiple
    of the first. weights: arrays that are drawn as histograms. Numbers of one kind share a panel; a panel is left out
    where there is nothing.
    """
    kinds: dict[str, dict[str, Mapping[float, float]]] = {}
    for name, line in numbers.items():  # alpha_a and alpha_v are of one kind
        kinds.setdefault(name.rpartition(".")[2].partition("_")[0], {})[name] = line
    panels: list[Callable[[Any], None]] = [partial(_curves, lines=of, what=kind) for kind, of in kinds.items()]
    panels += [partial(_curves, lines=sizes, what="")] if sizes else []
    panels += [partial(_histograms, weights=weights)] if weights else []
    figure = new_figure(WIDTH, 2.3 * len(panels) + 0.4, layout="constrained")
    for ax, draw in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        draw(ax)
        ax.tick_params(labelsize=FONT - 2)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=FONT - 2, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.suptitle(title, fontsize=FONT)
    return figure


def _curves(ax: Any, lines: Mapping[str, Mapping[float, float]], what: str) -> None:
    """A line for each number of a kind; of the weights, which are of none, as multiples of their first."""
    relative = not what
    named = set(spread_out(list(lines), LINES))
    for name in [name for name in lines if name not in named]:
        epochs, values = _points(lines[name], relative)
        ax.plot(epochs, values, color="#CCCCCC", linewidth=0.6, zorder=1)
    for k, name in enumerate(name for name in lines if name in named):
        epochs, values = _points(lines[name], relative)
        ax.plot(epochs, values, marker="o", markersize=2.5, linewidth=1, label=name, **_style(k))
    more = f"; grey: {len(lines) - len(named)} more" if len(named) < len(lines) else ""
    words = f"{what}, learned" if what else "root mean square of weights, as a multiple of the first"
    ax.set_title(f"{words}{more}", fontsize=FONT)
    ax.set_xlabel("epoch", fontsize=FONT - 1)
    ax.xaxis.get_major_locator().set_params(integer=True)


def _points(line: Mapping[float, float], relative: bool) -> tuple[Sequence[float], Sequence[float]]:
    first = next(iter(line.values()))
    return list(line), [x / first if relative and first else x for x in line.values()]


def _histograms(ax: Any, weights: Mapping[str, np.ndarray]) -> None:
    """A line for each: the share of its entries by value, from its mean, in widths of its own spread."""
    large = [name for name, x in weights.items() if x.size >= ENTRIES] or list(weights)
    for k, name in enumerate(spread_out(large, LINES)):
        x = weights[name].ravel().astype(np.float64)
        spread = float(x.std()) or 1.0
        counts, edges = np.histogram((x - x.mean()) / spread, bins=60, range=(-4, 4))
        middle = (edges[1:] + edges[:-1]) / 2
        ax.plot(middle, counts / max(1, x.size), linewidth=1, label=f"{name} ({spread:.2g})", **_style(k))
    ax.set_title("weights at the end: distance from their mean, in standard deviations (in brackets)", fontsize=FONT)
    ax.set_ylabel("share of entries", fontsize=FONT - 1)
