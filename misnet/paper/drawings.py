"""Figures 7, 8 and 9 of the paper, drawn of networks that were trained here: png and svg, legible at column width.

Colours are those of Okabe and Ito, which the colour-blind can tell apart; classes differ in their marks too.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.manifold import TSNE

from misnet.training.plots import new_figure
from snncore.files import replace_file

__all__ = ["draw_features", "draw_maps", "draw_rasters", "embed", "save"]

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
MARKS = "osD^vP*X<>"
OF_MODALITY = {"audio": "#D55E00", "visual": "#0072B2"}
WIDTH = 7.0  # inches: two columns
FONT = 8


def save(figure: Any, path: Path) -> list[Path]:
    """Write a figure as PATH.png and PATH.svg and return the two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_name(path.name + ending) for ending in (".png", ".svg")]
    for place in written:
        content = io.BytesIO()
        undated = {"Date": None} if place.suffix == ".svg" else None  # the same figure is the same file
        figure.savefig(content, format=place.suffix[1:], dpi=200, bbox_inches="tight", metadata=undated)
        replace_file(place, content.getvalue())
    return written


def embed(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return t-SNE coordinates [N, 2] of features [N, F] (van der Maaten and Hinton 2008), the same for a seed.

    Features that are all the same, as those of a network that does not fire, lie at one point.
    """
    if len(x) < 4 or (x == x[0]).all():
        return np.zeros((len(x), 2))
    perplexity = min(30.0, max(2.0, (len(x) - 1) / 3))
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


def draw_rasters(networks: Mapping[str, Mapping[str, np.ndarray]]) -> Any:
    """Figure 8: spikes of one sample, a dot a spike, a row a timestep, audio above vision.

    networks: by name, spikes [T, ...] of each modality. The share of neurons that fire stands beside each.
    """
    figure = new_figure(WIDTH, 1.9 * len(networks) + 0.3)
    for ax, (name, trains) in zip(
        figure.subplots(len(networks), 1, squeeze=False)[:, 0], networks.items(), strict=True
    ):
        for k, (modality, s) in enumerate(trains.items()):
            flat = s.reshape(len(s), -1)  # [T, neurons]
            t, neuron = np.nonzero(flat)
            low = (len(trains) - 1 - k) * (len(s) + 1)
            place = neuron / max(1, flat.shape[1] - 1)
            ax.scatter(place, low + len(s) - t, s=3, marker="|", linewidths=0.5, c=OF_MODALITY[modality])
            rates = ", ".join(f"{100 * np.mean(step > 0):.1f}" for step in flat)
            ax.text(1.01, low + (len(s) + 1) / 2, f"{modality}\n{rates} %", fontsize=FONT - 1, va="center")
        steps = len(next(iter(trains.values())))
        ticks = [low + steps - t for low in range(0, len(trains) * (steps + 1), steps + 1) for t in range(steps)]
        ax.set_yticks(ticks, [f"t={t + 1}" for _ in trains for t in range(steps)], fontsize=FONT - 2)
        ax.set_xticks([])
        ax.set_xlim(-0.005, 1.005)
        ax.set_title(f"{name}: last spikes of each modality, neurons side by side", fontsize=FONT)
    figure.tight_layout()
    return figure


def draw_maps(inputs: Mapping[str, np.ndarray], networks: Mapping[str, Mapping[str, np.ndarray]], sample: str) -> Any:
    """Figure 9: how many channels of stage 1 fire at each place, beside the input, for one sample.

    inputs: [T, H, W, C] of each modality. networks: by name, spikes [T, H, W, C] of each modality.
    """
    steps = len(next(iter(inputs.values())))
    rows = [(name, modality) for modality in inputs for name in ("input", *networks)]
    figure = new_figure(max(3.0, 1.25 * steps + 1.2), 1.25 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), steps, squeeze=False)
    for ax, t in zip(axes[0], range(steps), strict=True):
        ax.set_title(f"t = {t + 1}", fontsize=FONT)
    for row, (name, modality) in zip(axes, rows, strict=True):
        maps = inputs[modality].mean(-1) if name == "input" else (networks[name][modality] > 0).mean(-1)
        largest = max(float(maps.max()), 1e-9)
        for t, ax in enumerate(row):
            low = maps.min() if name == "input" else 0
            ax.imshow(maps[t], cmap="gray" if name == "input" else "cividis", vmin=low, vmax=largest)
            ax.set_xticks([])
            ax.set_yticks([])
            if t == 0:
                words = modality if name == "input" else f"{name}\nmost {100 * largest:.0f} %"
                ax.set_ylabel(words, fontsize=FONT - 1, rotation=0, ha="right", va="center")
    figure.suptitle(f"stage 1, share of channels that fire; {sample}", fontsize=FONT)
    figure.tight_layout()
    return figure
