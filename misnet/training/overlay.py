"""The curves of several runs in one picture: a colour for each network, a thin line for each seed, a thick mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from misnet.pictures import COLOURS
from misnet.training.plots import accuracy_axis, make_figure, save_picture
from misnet.training.selection import Row

__all__ = ["plot_overlay"]

STYLES = ("-", "--", ":", "-.")


def plot_overlay(runs: Mapping[str, Sequence[Sequence[Row]]], head: str, words: str, path: Path) -> None:
    """Draw training loss, test accuracy of a head and firing rate by epoch into a picture.

    runs: by name, the rows of each seed. The mean of a name ends with its shortest run. words: of the head.
    """
    figure, panels = make_figure(13, 4.2, panels=3)
    titles = ("training loss", f"test accuracy (%), {words}", "spikes per neuron and timestep, test")
    columns = ("train_loss", f"test_accuracy_{head}", "test_firing_rate")
    for axes, column, title in zip(panels, columns, titles, strict=True):
        scale = 100 if column.startswith("test_accuracy") else 1
        for k, (name, seeds) in enumerate(runs.items()):
            _curves(axes, [[scale * row[column] for row in rows] for rows in seeds], name, k)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    accuracy_axis(panels[1])
    panels[2].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize=8)
    save_picture(figure, path)


def _curves(axes: Any, seeds: Sequence[Sequence[float]], name: str, k: int) -> None:
    look = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k // len(COLOURS) % len(STYLES)]}
    if len(seeds) > 1:
        for values in seeds:
            axes.plot(range(1, len(values) + 1), values, linewidth=0.7, alpha=0.5, **look)
    shortest = min(map(len, seeds))
    mean = np.mean([values[:shortest] for values in seeds], axis=0)
    axes.plot(range(1, shortest + 1), mean, linewidth=2, marker="o", markersize=3, label=name, **look)
