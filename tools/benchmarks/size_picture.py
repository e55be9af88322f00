"""The picture of tools/benchmarks/sizes.py: time of a sample, ratio to the peer and memory along each axis."""

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from misnet.pictures import picture_bytes

__all__ = ["LINES", "RATIOS", "draw"]

LABELS = {
    "batch": "samples of a batch",
    "timesteps": "timesteps",
    "size": "height and width",
    "channels": "channels of every stage",
    "threads": "threads",
}
LINES = (
    ("ours_train_ms", "training, snncore", "#0072B2", "o-"),
    ("peer_train_ms", "training, PyTorch + SpikingJelly", "#0072B2", "^:"),
    ("compiled_train_ms", "training, torch.compile", "#56B4E9", "x-."),
    ("ours_infer_ms", "inference, snncore", "#D55E00", "o-"),
    ("peer_infer_ms", "inference, PyTorch + SpikingJelly", "#D55E00", "^:"),
    ("compiled_infer_ms", "inference, torch.compile", "#E69F00", "x-."),
)
RATIOS = (
    ("train_ratio", "training", "#0072B2", "o-"),
    ("infer_ratio", "inference", "#D55E00", "s-"),
    ("compiled_train_ratio", "training, torch.compile", "#56B4E9", "x-."),
    ("compiled_infer_ratio", "inference, torch.compile", "#E69F00", "x-."),
    ("memory_ratio", "peak memory of training", "#009E73", "d--"),
)
WORTH = 1.5  # below it a page has to say why


def draw(rows: list[dict[str, Any]], ending: str = "png") -> bytes:
    """Return a picture of the rows, as the file of an ending, times above and ratios below, a column an axis."""
    axes: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        axes.setdefault(row["axis"], []).append(row)
    figure = Figure(figsize=(2.9 * len(axes) + 0.6, 6.4), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    grid = figure.subplots(2, len(axes), squeeze=False, sharey="row")
    for column, (name, found) in enumerate(axes.items()):
        values = [row["value"] for row in found]
        for line, curves in enumerate((LINES, RATIOS)):
            axis = grid[line][column]
            for key, label, colour, style in curves:
                if key not in found[0]:  # torch.compile, which was not asked for
                    continue
                axis.plot(values, [row[key] for row in found], style, color=colour, label=label, markersize=4)
            axis.set_xscale("log", base=2)
            axis.set_xticks(values, [str(v) for v in values], fontsize=8)
            axis.set_xlabel(LABELS[name])
            axis.grid(alpha=0.3)
        grid[0][column].set_yscale("log")
        grid[1][column].axhline(WORTH, color="gray", linewidth=1, linestyle="--")
    grid[1][0].set_ylim(0, 1.08 * max(row.get(key, 0) for row in rows for key, *_ in RATIOS))  # all share it
    grid[0][0].set_ylabel("ms of a sample")
    grid[1][0].set_ylabel("PyTorch + SpikingJelly over snncore")
    for line in range(2):
        handles, labels = grid[line][0].get_legend_handles_labels()
        place = "outside upper center" if line == 0 else "outside lower center"
        figure.legend(handles, labels, loc=place, ncols=4, fontsize=8)
    return picture_bytes(figure, ending, dpi=100)
