"""Firing rates: of each layer, by stream and timestep, over many samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT, WIDTH, colour_of

__all__ = ["draw_rates"]


def draw_rates(rates: Mapping[str, Mapping[str, np.ndarray]], streams: Sequence[str], title: str) -> Any:
    """Draw spikes per neuron: a table of colours for each stream, a row a layer, a column a timestep; beside it means.

    rates: by place of a layer, in the order of execution, [T] of each stream.
    """
    names = list(dict.fromkeys(stream for of in rates.values() for stream in of))
    steps = max(len(x) for of in rates.values() for x in of.values())
    largest = max(float(x.max()) for of in rates.values() for x in of.values()) or 1.0
    figure = new_figure(WIDTH, 0.17 * len(rates) + 1.5, layout="constrained")
    axes = figure.subplots(1, len(names) + 1, width_ratios=[1] * len(names) + [1.1], squeeze=False)[0]
    for ax, stream in zip(axes, names, strict=False):
        table = np.full((len(rates), steps), np.nan)
        for row, of in enumerate(rates.values()):
            if stream in of:
                table[row, : len(of[stream])] = of[stream]
        image = ax.imshow(table, aspect="auto", cmap="cividis", vmin=0, vmax=largest, interpolation="nearest")
        ax.set_title(stream, fontsize=FONT, color=colour_of(stream, streams))
        shown = range(0, steps, -(-steps // 8))
        ax.set_xticks(list(shown), [str(t + 1) for t in shown], fontsize=FONT - 2)
        ax.set_xlabel("timestep", fontsize=FONT - 1)
        ax.set_yticks(range(len(rates)), list(rates) if ax is axes[0] else [""] * len(rates), fontsize=FONT - 2)
    bar = figure.colorbar(image, ax=axes[: len(names)], shrink=0.9, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=FONT - 2)
    means = axes[-1]
    for stream in names:
        points = [(row, float(of[stream].mean())) for row, of in enumerate(rates.values()) if stream in of]
        rows, values = zip(*points, strict=True)
        means.plot(values, rows, "o-", color=colour_of(stream, streams), markersize=3, linewidth=0.8, label=stream)
    means.set_ylim(len(rates) - 0.5, -0.5)
    means.set_xlim(0, 1.08 * max(float(x.mean()) for of in rates.values() for x in of.values()) or 1)
    means.set_yticks([])
    means.set_title("mean over time", fontsize=FONT)
    means.tick_params(labelsize=FONT - 2)
    means.grid(alpha=0.3)
    means.legend(fontsize=FONT - 2)
    figure.suptitle(title, fontsize=FONT)
    return figure
