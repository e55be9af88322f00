"""Weights and learned numbers, such as alpha, over training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.layers import spread_out
from misnet.visual.style import COLOURS, FONT, WIDTH

__all__ = ["draw_weights"]

LINES = 12
"""Lines that a panel has room to name."""
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
    of the first. weights: the arrays of those that are drawn as histograms. A panel is left out where there is nothing.
    """
    panels = [name for name, there in (("numbers", numbers), ("sizes", sizes), ("weights", weights)) if there]
    figure = new_figure(WIDTH, 2.3 * len(panels) + 0.4, layout="constrained")
    for ax, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        if panel == "weights":
            _histograms(ax, weights)
        else:
            _curves(ax, numbers if panel == "numbers" else sizes, relative=panel == "sizes")
        ax.tick_params(labelsize=FONT - 2)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=FONT - 2, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.suptitle(title, fontsize=FONT)
    return figure


def _curves(ax: Any, lines: Mapping[str, Mapping[float, float]], relative: bool) -> None:
    named = set(spread_out(list(lines), LINES))
    for name in [name for name in lines if name not in named]:
        epochs, values = _points(lines[name], relative)
        ax.plot(epochs, values, color="#CCCCCC", linewidth=0.6, zorder=1)
    for k, name in enumerate(name for name in lines if name in named):
        epochs, values = _points(lines[name], relative)
        ax.plot(epochs, values, marker="o", markersize=2.5, linewidth=1, label=name, **_style(k))
    more = f"; grey: {len(lines) - len(named)} more" if len(named) < len(lines) else ""
    what = "root mean square of weights, as a multiple of the first" if relative else "learned numbers"
    ax.set_title(f"{what}{more}", fontsize=FONT)
    ax.set_xlabel("epoch", fontsize=FONT - 1)
    ax.xaxis.get_major_locator().set_params(integer=True)


def _points(line: Mapping[float, float], relative: bool) -> tuple[Sequence[float], Sequence[float]]:
    first = next(iter(line.values()))
    return list(line), [x / first if relative and first else x for x in line.values()]


def _histograms(ax: Any, weights: Mapping[str, np.ndarray]) -> None:
    """A line for each: the share of its entries by value, from its mean, in widths of its own spread."""
    for k, name in enumerate(spread_out(list(weights), LINES)):
        x = weights[name].ravel().astype(np.float64)
        spread = float(x.std()) or 1.0
        counts, edges = np.histogram((x - x.mean()) / spread, bins=60, range=(-4, 4))
        middle = (edges[1:] + edges[:-1]) / 2
        ax.plot(middle, counts / max(1, x.size), linewidth=1, label=f"{name} ({spread:.2g})", **_style(k))
    ax.set_title("weights at the end: distance from their mean, in standard deviations (in brackets)", fontsize=FONT)
    ax.set_ylabel("share of entries", fontsize=FONT - 1)
