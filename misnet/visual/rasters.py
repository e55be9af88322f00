"""Spike rasters: a dot a spike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT, WIDTH, colour_of

__all__ = ["draw_rasters"]

LABELS = 8
"""Timesteps of a train that are all named; of more, some are."""


def draw_rasters(
    networks: Mapping[str, Mapping[str, np.ndarray]],
    words: str = ": last spikes of each modality, neurons side by side",
    streams: Sequence[str] = (),
    title: str = "",
) -> Any:
    """Draw spikes of one sample, a dot a spike, a row a timestep, the first train on top (Figure 8 of the paper).

    networks: by name of a network or a layer, spikes [T, ...] of each modality. words: what follows the names. title:
    of the whole. The share of neurons that fire at each timestep stands beside each, or their mean over many.
    """
    figure = new_figure(WIDTH, sum(0.3 + 0.8 * max(1, len(trains)) for trains in networks.values()) + 0.3)
    heights = [max(1, len(trains)) for trains in networks.values()]
    rows = figure.subplots(len(networks), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, (name, trains) in zip(rows, networks.items(), strict=True):
        for k, (modality, s) in enumerate(trains.items()):
            flat = s.reshape(len(s), -1)  # [T, neurons]
            t, neuron = np.nonzero(flat)
            low = (len(trains) - 1 - k) * (len(s) + 1)
            place = neuron / max(1, flat.shape[1] - 1)
            colour = colour_of(modality, streams)
            ax.scatter(place, low + len(s) - t, s=3, marker="|", linewidths=0.5, c=colour)
            shares = [100 * float(np.mean(step > 0)) for step in flat]
            few = len(shares) <= LABELS
            rates = ", ".join(f"{x:.1f}" for x in shares) if few else f"mean {np.mean(shares):.1f}"
            ax.text(1.01, low + (len(s) + 1) / 2, f"{modality}\n{rates} %", fontsize=FONT - 1, va="center")
        steps = len(next(iter(trains.values())))
        shown = range(0, steps, -(-steps // LABELS))
        lows = range(0, len(trains) * (steps + 1), steps + 1)
        ax.set_yticks([low + steps - t for low in lows for t in shown])
        ax.set_yticklabels([f"t={t + 1}" for _ in lows for t in shown], fontsize=FONT - 2)
        ax.set_xticks([])
        ax.set_xlim(-0.005, 1.005)
        ax.set_ylim(0.2, len(trains) * (steps + 1) - 0.2)
        ax.set_title(f"{name}{words}", fontsize=FONT)
    figure.suptitle(title, fontsize=FONT)
    figure.tight_layout()
    return figure
