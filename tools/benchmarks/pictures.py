"""The picture of tools/bench.py: time against density, with the limits of the machine."""

from pathlib import Path
from typing import Any

from misnet.training.plots import new_figure, save_picture

IMAGES = 32
PASSES = {
    "forward": ("forward_event", "forward_dense", "peer_forward"),
    "weight gradient": ("weight_event", "weight_dense", "peer_weight"),
}


def plot_density(report: dict[str, Any], path: Path) -> None:
    """Draw the density sweep of each layer into a picture, forward above and weight gradient below."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in report["density_sweep"]:
        groups.setdefault(row["channels"], []).append(row)
    figure = new_figure(4.4 * len(groups), 7.4, layout="constrained")
    axes = figure.subplots(2, len(groups), squeeze=False)
    for column, rows in enumerate(groups.values()):
        for line, name in enumerate(PASSES):
            _draw(axes[line][column], name, rows, report)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    save_picture(figure, path)


def _draw(axis: Any, name: str, rows: list[dict[str, Any]], report: dict[str, Any]) -> None:
    density = [row["density"] for row in rows]
    channels, size = rows[0]["channels"], rows[0]["size"]
    limits = report["limits"]
    all_ms = 2 * IMAGES * size * size * 9 * channels * channels / limits["gflops"] / 1e6
    floats_ms = 2 * IMAGES * size * size * channels * 4 / limits["copy_gb_per_s"] / 1e6
    for key, label, style in zip(PASSES[name], ("event-driven", "dense", "PyTorch"), ("o-", "s--", "^:"), strict=True):
        if key in rows[0]:
            axis.plot(density, [row[key] for row in rows], style, label=label, markersize=4)
    axis.axhline(all_ms, color="gray", linewidth=1, label="every multiply-add at the measured peak")
    spikes_ms = [d * all_ms for d in density]
    of_spikes = "multiply-adds of spikes only, at the measured peak"
    axis.plot(density, spikes_ms, color="gray", linewidth=1, linestyle="-.", label=of_spikes)
    axis.axhline(floats_ms, color="tab:red", linewidth=1, label="copying the float side once at the measured rate")
    axis.set(xscale="log", yscale="log", title=f"{name}, {channels} channels, {size} x {size}")
    axis.set_xlabel("density of the spikes")
    axis.set_ylabel(f"ms, {IMAGES} images, {report['threads']} thread(s)")
    axis.grid(alpha=0.3, which="both")
