"""Modality balance: how much of the verdict hangs on each stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT, WIDTH, colour_of

__all__ = ["draw_balance"]


def draw_balance(
    bars: Mapping[str, tuple[float, str]],
    chance: float,
    rates: Mapping[str, np.ndarray],
    streams: Sequence[str],
    title: str,
) -> Any:
    """Draw accuracies as bars, and spikes per neuron of each stream by timestep.

    bars: by words, (accuracy, name of the stream for the colour). rates: [T] of each stream; none of a network without
    spikes.
    """
    figure = new_figure(WIDTH, 0.24 * len(bars) + 1.5, layout="constrained")
    axes = figure.subplots(1, 2 if rates else 1, width_ratios=[1.5, 1] if rates else None, squeeze=False)[0]
    left = axes[0]
    places = range(len(bars))
    colours = [colour_of(stream, streams) for _, stream in bars.values()]
    left.barh(places, [100 * x for x, _ in bars.values()], color=colours, height=0.65)
    for place, (x, _) in zip(places, bars.values(), strict=True):
        inside = x > 0.5
        left.text(
            100 * x + (-1 if inside else 1),
            place,
            f"{100 * x:.1f}",
            va="center",
            ha="right" if inside else "left",
            fontsize=FONT - 1,
            color="white" if inside else "black",
        )
    left.axvline(100 * chance, color="black", linewidth=0.8, linestyle=":")
    left.set_yticks(places, list(bars), fontsize=FONT - 1)
    left.invert_yaxis()
    left.set_xlim(0, 100)
    left.set_xlabel("accuracy, % (dotted: chance)", fontsize=FONT - 1)
    for stream, x in rates.items():
        axes[1].plot(range(1, len(x) + 1), x, "o-", color=colour_of(stream, streams), markersize=3, label=stream)
    if rates:
        axes[1].set_ylim(0, 1.15 * max(float(x.max()) for x in rates.values()) or 1)
        axes[1].set_xlabel("timestep", fontsize=FONT - 1)
        axes[1].set_title("spikes per neuron, all layers of a stream", fontsize=FONT - 1)
        axes[1].xaxis.get_major_locator().set_params(integer=True)
        axes[1].grid(alpha=0.3)
        axes[1].legend(fontsize=FONT - 2)
    for ax in axes:
        ax.tick_params(labelsize=FONT - 2)
    left.tick_params(axis="y", labelsize=FONT - 1)
    figure.suptitle(title, fontsize=FONT)
    return figure
