"""Membrane traces: charge, threshold, spike and reset of chosen neurons."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT, WIDTH
from snncore.monitor import Record

__all__ = ["choose_neurons", "draw_membranes"]


def choose_neurons(record: Record, count: int) -> list[tuple[int, ...]]:
    """Return places of neurons [...] of the first sample that are worth a look: by turns one that fires and one not.

    Of those that fire, the ones that fire in nearest to half of the timesteps, and of these the ones with the largest
    charge, each with other spikes than the ones before, as long as there are such; of those that do not, the ones that
    came nearest to it, each at another charge.
    """
    spikes, charge, margin = (x[:, 0].reshape(len(x), -1) for x in (record.spikes > 0, record.charge, record.margin))
    fires, closest = spikes.sum(0), margin.max(0)
    active = [k for k in np.lexsort((-closest, abs(fires - len(spikes) / 2))) if fires[k]]
    quiet = [k for k in np.argsort(-closest, kind="stable") if not fires[k]]
    active, quiet = _various(active, spikes, count), _various(quiet, charge.round(3), count)
    order = [k for pair in zip(active, quiet, strict=False) for k in pair]
    order += active[len(quiet) :] + quiet[len(active) :]
    return [tuple(int(i) for i in np.unravel_index(k, record.spikes.shape[2:])) for k in order[:count]]


def _various(order: list[int], traces: np.ndarray, count: int) -> list[int]:
    """The first of each kind of trace [T], then more of the kinds that there were: `count` if there are as many."""
    seen, first, rest = set(), [], []
    for k in order:
        kind = traces[:, k].tobytes()
        (rest if kind in seen else first).append(k)
        seen.add(kind)
        if len(first) == count:
            return first
    return (first + rest)[:count]


def draw_membranes(records: Mapping[str, Record], count: int = 4, title: str = "") -> Any:
    """Draw neurons of the first sample, a row a layer: how each membrane leaks, is charged, fires and is reset.

    records: by the words for the row. At each timestep the line goes from what the leak left up (or down) by the
    current to the charge; where that reaches the threshold there is a spike, and the line drops to the reset.
    """
    figure = new_figure(WIDTH, 1.55 * len(records) + 0.7)
    axes = figure.subplots(len(records), count, squeeze=False)
    for row, (name, record) in zip(axes, records.items(), strict=True):
        places = choose_neurons(record, count)
        for ax, place in zip(row, places, strict=False):
            _draw_one(ax, record, place)
            ax.set_title(f"neuron {', '.join(map(str, place))}", fontsize=FONT - 1, pad=3)
        for ax in row[len(places) :]:
            ax.set_axis_off()
        row[0].set_ylabel(_broken(name), fontsize=FONT - 1)
    for ax in axes[-1]:
        ax.set_xlabel("timestep", fontsize=FONT - 1)
    handles = {label: h for ax in axes.ravel() for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="upper center", ncols=len(handles), fontsize=FONT - 1, frameon=False
    )
    high = figure.get_figheight()
    figure.text(0.5, 1 - 0.4 / high, title, fontsize=FONT, ha="center")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.45 / high))
    return figure


def _draw_one(ax: Any, record: Record, place: tuple[int, ...]) -> None:
    at = (slice(None), 0, *place)
    current, charge, membrane, spikes = (
        np.asarray(x[at], np.float64) for x in (record.current, record.charge, record.membrane, record.spikes)
    )
    t = np.arange(1, len(charge) + 1)
    leaked = charge - current
    # from one timestep to the next: leaked, charged, reset, and what has leaked by then
    path = np.stack([leaked, charge, membrane], axis=1).ravel()
    ax.bar(t, current, width=0.5, color="#CCCCCC", label="current")
    ax.plot(np.repeat(t, 3), path, color="#0072B2", linewidth=1, label="membrane")
    ax.plot(t, charge, "o", color="#0072B2", markersize=3, label="charge")
    if record.threshold is not None:
        ax.axhline(record.threshold, color="#D55E00", linewidth=0.9, linestyle="--", label="threshold")
    fired = spikes > 0
    ax.plot(t[fired], charge[fired], "*", color="#D55E00", markersize=8, label="spike")
    ax.plot(t[fired], membrane[fired], "v", color="#009E73", markersize=4, label="reset")
    ax.axhline(0, color="black", linewidth=0.4)
    ax.set_xlim(0.4, len(t) + 0.6)
    ax.tick_params(labelsize=FONT - 2)
    ax.set_xticks(t[:: -(-len(t) // 8)])


def _broken(name: str) -> str:
    """A long path over two lines."""
    parts = name.split(".")
    half = (len(parts) + 1) // 2
    return name if len(name) < 18 else ".".join(parts[:half]) + ".\n" + ".".join(parts[half:])


def rows_for(places: Mapping[str, Mapping[str, Record]], names: Sequence[str]) -> dict[str, Record]:
    """Return a row for each stream of the places, by `place, stream` where there are several."""
    found = {}
    for name in names:
        for stream, record in places[name].items():
            found[f"{name}, {stream}" if len(places[name]) > 1 else name] = record
    return found
