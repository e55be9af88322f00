"""Pictures of an audit: energy by rule, energy by layer, firing rate by layer and timestep."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Patch

from misnet.training.plots import make_figure, png

__all__ = ["plot_energy_by_layer", "plot_energy_by_rule", "plot_rates"]


def plot_energy_by_rule(report: dict[str, Any]) -> bytes:
    """Bars of the energy of one sample by rule, cut into parts, beside the dense network; PNG.

    Computation on the left, the same with the memory of the rules that count it on the right: its scale is another.
    """
    bars = {name: rule["parts_mj_per_sample"] for name, rule in report["rules"].items()}
    bars["dense network"] = {"mac": report["dense"]["energy_mj_per_sample"]}
    parts = list(dict.fromkeys(part for of in bars.values() for part in of))
    colours = dict(zip(parts, colormaps["tab20"].colors, strict=False))
    sums = [sum(mj for part, mj in of.items() if not part.startswith("memory")) for of in bars.values()]
    widest = max(*sums[:-1], 1e-12)  # of the rules; the dense network is often ten times that
    figure, panels = make_figure(13, 1.9 + 0.36 * len(bars), panels=2)
    for axes, memory in zip(panels, (False, True), strict=True):
        for y, of in enumerate(bars.values()):
            left = 0.0
            for part, mj in of.items():
                if memory or not part.startswith("memory"):
                    axes.barh(y, mj, left=left, color=colours[part])
                    left += mj
            shown = min(left, widest) if not memory else left
            beyond = ", off scale" if shown < left else ""
            axes.annotate(
                f" {left:.3g} mJ{beyond}", (shown, y), va="center", fontsize=8, color="white" if beyond else "black"
            )
        if not memory:
            axes.set_xlim(0, 1.4 * widest)
        axes.set_yticks(range(len(bars)), bars if not memory else [""] * len(bars))
        axes.invert_yaxis()
        axes.margins(x=0.2 if memory else 0)
        axes.set(xlabel="mJ for one sample, all timesteps", title="with memory" if memory else "computation alone")
        axes.grid(axis="x", alpha=0.3)
    handles = [Patch(color=colours[part], label=part) for part in parts]
    panels[1].legend(handles=handles, fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return png(figure)


def plot_energy_by_layer(report: dict[str, Any], rules: tuple[str, ...] = ("exact", "paper")) -> bytes:
    """Bars of the energy of one sample by layer under up to two rules that were asked for; PNG."""
    known = [name for name in rules if name in report["rules"]] or list(report["rules"])[:2]
    lines = [line for line in report["layers"] if any(line["energy_mj_per_sample"].get(name) for name in known)]
    figure, axes = make_figure(9.5, 1.2 + 0.2 * max(4, len(lines)))
    height = 0.8 / len(known)
    for k, name in enumerate(known):
        values = [line["energy_mj_per_sample"].get(name, 0) for line in lines]
        axes.barh(np.arange(len(lines)) + (k - (len(known) - 1) / 2) * height, values, height, label=name)
    axes.set_yticks(range(len(lines)), [line["layer"] for line in lines], fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(xlabel="mJ for one sample, all timesteps", title="energy by layer")
    axes.legend(fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    return png(figure)


def plot_rates(report: dict[str, Any]) -> bytes:
    """Firing rate of each neuron layer at each timestep, as a coloured table; PNG."""
    lines = [line for line in report["layers"] if line.get("firing_rate_by_timestep")]
    steps = max((len(line["firing_rate_by_timestep"]) for line in lines), default=1)
    figure, axes = make_figure(4.5 + 0.55 * steps, 1.4 + 0.22 * max(4, len(lines)))
    table = np.full((max(1, len(lines)), steps), np.nan)
    for row, line in zip(table, lines, strict=False):
        row[: len(line["firing_rate_by_timestep"])] = line["firing_rate_by_timestep"]
    top = max(0.01, float(np.nanmax(table))) if lines else 1.0
    image = axes.imshow(table, aspect="auto", cmap="viridis", vmin=0, vmax=top)
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if value < 0.6 * top else "black"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    axes.set_yticks(range(len(lines)), [line["layer"] for line in lines], fontsize=7)
    axes.set_xticks(range(steps), range(1, steps + 1))
    axes.set(xlabel="timestep", title="spikes per neuron")
    figure.colorbar(image, ax=axes, shrink=0.6)
    return png(figure)
