"""Pictures of a run: training curves and a confusion matrix."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from misnet.pictures import COLOURS, format_of, picture_bytes
from misnet.training.selection import judged_by
from snncore.files import replace_file

__all__ = ["accuracy_axis", "make_figure", "new_figure", "plot_confusion", "plot_curves", "save_picture"]


def make_figure(width: float, height: float, panels: int = 1) -> Any:
    """Return (figure, axes) of a size in inches, with panels side by side; needs no display and no global backend."""
    figure = new_figure(width, height, layout="constrained")
    return figure, figure.subplots(1, panels)


def new_figure(width: float, height: float, **options: Any) -> Any:
    """Return an empty figure of a size in inches, which needs no display and no global backend."""
    backend = os.environ.pop("MPLBACKEND", None)  # notebooks set one that may not be there; Matplotlib looks at import
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend

    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)  # draws without a display
    return figure


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure in the format of the file's ending; raises ValueError for one that is not known."""
    replace_file(path, picture_bytes(figure, format_of(path)))


def accuracy_axis(axes: Any) -> None:
    """Let an axis of percents begin at 0 and end above the highest line, or hold the lines alone where all are high.

    So accuracies of a few percent, and those between 97 and 99 %, can be told apart.
    """
    values = [y for line in axes.get_lines() for y in np.asarray(line.get_ydata(), float) if np.isfinite(y)]
    low, high = min(values, default=0), max(values, default=100)
    room = max(0.5, 0.08 * (high - low))
    axes.set_ylim(0 if low < max(50, 0.8 * high) else low - room, max(min(102, high + room), 1))


def plot_curves(rows: Sequence[Mapping[str, Any]], path: Path, heads: Mapping[str, str]) -> None:
    """Draw loss, the test accuracy of each head and the firing rate by epoch into a picture.

    heads: names, the verdict first, with words for the legend.
    """
    figure, (left, middle, right) = make_figure(13, 3.8, panels=3)
    epochs = [row["epoch"] for row in rows]

    def line(axes: Any, key: str, label: str, style: str, colour: str, scale: float = 1) -> None:
        axes.plot(epochs, [scale * row[key] for row in rows], style, color=colour, label=label, markersize=3.5)

    blue, red, green, *_ = COLOURS
    line(left, "train_loss", "train", "o--", blue)
    line(left, "test_loss", "test", "s-", red)
    if judged_by(rows[0]) == "val":
        line(left, "val_loss", "validation", "^:", green)
    for k, (head, words) in enumerate(heads.items()):
        line(middle, f"test_accuracy_{head}", f"{words}, test", f"{'os^Dv'[k % 5]}-", COLOURS[k % len(COLOURS)], 100)
    verdict, words = next(iter(heads.items()))
    line(middle, f"train_accuracy_{verdict}", f"{words}, train", "--", "black", 100)
    if judged_by(rows[0]) == "val":
        line(middle, f"val_accuracy_{verdict}", f"{words}, validation", ":", "black", 100)
    line(right, "train_firing_rate", "train", "o--", blue)
    line(right, "test_firing_rate", "test", "s-", red)
    titles = ("loss", "accuracy (%)", "spikes per neuron and timestep")
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    accuracy_axis(middle)
    left.set_ylim(bottom=min(0, left.get_ylim()[0]))
    right.set_ylim(0, 1.2 * max(right.get_ylim()))
    save_picture(figure, path)


def plot_confusion(matrix: np.ndarray, names: Sequence[str], path: Path, title: str) -> None:
    """Draw a confusion matrix [true, predicted] of counts into a picture, coloured by the share of the true class."""
    size = 3.2 + 0.42 * len(names)
    figure, axes = make_figure(size + 0.8, size)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for i, j in zip(*np.nonzero(matrix), strict=True):
        axes.text(
            j,
            i,
            str(matrix[i, j]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share[i, j] > 0.5 else "black",
        )
    save_picture(figure, path)
