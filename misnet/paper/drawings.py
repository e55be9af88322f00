"""Figures 7, 8 and 9 of the paper, drawn of networks that were trained here: png and svg, legible at column width.

Classes differ in their colours and in their marks. Figures 8 and 9 are pictures of any run, of `misnet.visual`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.maps import draw_maps
from misnet.visual.rasters import draw_rasters
from misnet.visual.style import COLOURS, FONT, WIDTH, save

__all__ = ["draw_features", "draw_maps", "draw_rasters", "embed", "save"]

MARKS = "osD^vP*X<>"


def embed(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return t-SNE coordinates [N, 2] of features [N, F] (van der Maaten and Hinton 2008), the same for a seed.

    Features that are all the same, as those of a network that does not fire, lie at one point.
    """
    if len(x) < 4 or (x == x[0]).all():
        return np.zeros((len(x), 2))
    perplexity = min(30.0, max(2.0, (len(x) - 1) / 3))
    from sklearn.manifold import TSNE  # here: it takes a second or two, which --help need not wait

    return TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed).fit_transform(x)


def draw_features(
    networks: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], steps: Sequence[int]
) -> Any:
    """Figure 7: t-SNE of fused features of each timestep, a row a network. Values: [T, N, F]. labels: [N]."""
    rows, columns = len(networks), len(steps)
    figure = new_figure(WIDTH, 2.3 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (name, x) in zip(axes, networks.items(), strict=True):
        for ax, t in zip(row, steps, strict=True):
            places = embed(x[t])
            for k, label in enumerate(classes):
                of = places[labels == k]
                style = {"c": COLOURS[k % len(COLOURS)], "marker": MARKS[k % len(MARKS)]}
                ax.scatter(of[:, 0], of[:, 1], s=7, linewidths=0, label=label, **style)
            same = " (no spikes differ)" if (x[t] == x[t][0]).all() else ""
            ax.set_title(f"{name}, t = {t + 1}{same}", fontsize=FONT)
            ax.set_xticks([])
            ax.set_yticks([])
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=min(10, len(classes)), fontsize=FONT - 1, frameon=False)
    figure.subplots_adjust(bottom=0.14 if rows == 1 else 0.09, wspace=0.05, hspace=0.15)
    return figure
