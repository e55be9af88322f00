"""A picture of what a network says of a clip: what it sees and hears in each timestep, and what it makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.pictures import picture_bytes
from misnet.predicting.verdict import Verdict
from misnet.training.plots import new_figure

__all__ = ["clip_picture"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999")  # Okabe and Ito, told apart by all eyes
MARKERS = "osD^v"
HATCHES = ("", "//", "..", "xx", "--", "++")
COLUMNS = 8  # of more timesteps, as many are shown
CLASSES = 4


def clip_picture(
    title: str,
    inputs: Mapping[str, np.ndarray],
    verdict: Verdict,
    class_names: Sequence[str],
    heads: Mapping[str, str],
    kind: str = "png",
) -> bytes:
    """Return a picture: a row of pictures for each stream, the scores after each timestep, and those of all heads.

    inputs: what the network is given, [T, ...] by the name of the stream. heads: words for each head. kind: format.
    """
    steps = len(next(iter(inputs.values())))
    shown = np.unique(np.linspace(0, steps - 1, min(steps, COLUMNS)).round().astype(int))
    drawn = {name: x for name, x in inputs.items() if x.ndim == 4}
    figure = new_figure(9.0, 2.9 + 1.55 * len(drawn), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.55 * len(drawn), 2.9)) if drawn else (None, figure)
    for row, (name, x) in enumerate(drawn.items()):
        for column, t in enumerate(shown):
            axes = top.add_subplot(len(drawn), len(shown), row * len(shown) + column + 1)
            _show(axes, x, int(t), name)
            axes.set(xticks=[], yticks=[])
            if not column:
                axes.set_ylabel(name)
            if not row:
                axes.set_title(f"timestep {t + 1}", fontsize=9)
    left, right = bottom.subplots(1, 2, width_ratios=(1, 1.25))
    best = [int(k) for k in np.argsort(-verdict.scores[verdict.head], kind="stable")[:CLASSES]]
    _forming(left, verdict, class_names, best)
    _compared(right, verdict, class_names, heads, best)
    figure.suptitle(title, fontsize=10)
    return picture_bytes(figure, kind)


def _show(axes: Any, x: np.ndarray, t: int, name: str) -> None:
    """One timestep of a stream [T, H, W, C], on the scale of the whole stream."""
    frame, low, high = x[t].astype(np.float32), float(x.min()), float(x.max())
    if frame.shape[-1] == 3:
        axes.imshow((frame - low) / max(high - low, 1e-9))
    elif frame.shape[-1] == 2:  # events: OFF, ON
        most = max(float(np.abs(x[..., 1].astype(np.float32) - x[..., 0]).max()), 1e-9)
        axes.imshow(frame[..., 1] - frame[..., 0], cmap="RdBu_r", vmin=-most, vmax=most)
    elif name == "audio":
        axes.imshow(frame.mean(axis=-1), cmap="viridis", vmin=low, vmax=high, origin="lower", aspect="auto")
    else:
        axes.imshow(frame.mean(axis=-1), cmap="gray", vmin=low, vmax=high)


def _forming(axes: Any, verdict: Verdict, class_names: Sequence[str], best: Sequence[int]) -> None:
    axes.set_title("how the verdict forms", fontsize=9)
    if verdict.running is None:
        axes.text(0.5, 0.5, "this network takes\nall timesteps at once", ha="center", va="center")
        axes.set_axis_off()
        return
    running = verdict.running[verdict.head]
    steps = np.arange(1, len(running) + 1)
    for k, colour, marker in zip(best, COLOURS, MARKERS, strict=False):
        axes.plot(steps, running[:, k], color=colour, marker=marker, markersize=4, label=class_names[k])
    axes.set(xlabel="timesteps so far", ylabel="score")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _compared(
    axes: Any, verdict: Verdict, class_names: Sequence[str], heads: Mapping[str, str], best: Sequence[int]
) -> None:
    bars = {heads[head]: scores for head, scores in verdict.scores.items()}
    bars |= {f"{name} silenced": scores[verdict.head] for name, scores in verdict.silenced.items()}
    wide = 0.8 / len(bars)
    for k, (name, scores) in enumerate(bars.items()):
        places = np.arange(len(best)) + (k - (len(bars) - 1) / 2) * wide
        colour, hatch = COLOURS[k % len(COLOURS)], HATCHES[k % len(HATCHES)]
        axes.bar(places, scores[list(best)], wide, color=colour, hatch=hatch, edgecolor="white", label=name)
    axes.set_xticks(range(len(best)), [class_names[k] for k in best])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title("which modality decides" if verdict.silenced else "scores", fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(
        fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False
    )  # bars fill the axes
