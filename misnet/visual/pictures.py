"""The pictures of a run by name: each takes what was seen and returns a figure, or says why there is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from misnet.models.contract import Model
from misnet.visual.balance import draw_balance
from misnet.visual.layers import ALL, by_place, spread_out, stream_of
from misnet.visual.looking import Counts, weights_over_training
from misnet.visual.maps import draw_overlays
from misnet.visual.membranes import draw_membranes, rows_for
from misnet.visual.rasters import draw_rasters
from misnet.visual.rates import draw_rates
from misnet.visual.surrogates import draw_surrogate
from misnet.visual.weights import draw_weights
from snncore.monitor import Record

__all__ = ["PICTURES", "Nothing", "Subject"]


class Nothing(Exception):
    """Why a picture cannot be drawn of this network."""


@dataclass(frozen=True)
class Subject:
    """A trained network and what was seen of it.

    inputs: [T, ...] of each stream of the sample. seen: records of its neurons, or outputs of its layers. neurons: how
    many membranes a row has. counts: of many samples. title: network and data. sample: the sample in words.
    """

    folder: Path
    model: Model
    inputs: Mapping[str, np.ndarray]
    seen: Mapping[str, Record]
    counts: Counts
    title: str
    sample: str
    neurons: int = 4

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams."""
        return self.model.streams

    def spiking(self) -> dict[str, dict[str, Record]]:
        """The records by place and stream; raises Nothing if the network has no neurons."""
        found = {path: record for path, record in self.seen.items() if record.neuron is not None}
        if not found:
            raise Nothing("it has no neurons that fire")
        return by_place(found, self.streams)


def rasters(subject: Subject) -> Any:
    """Spikes of the sample in six layers, first to last."""
    places = subject.spiking()
    chosen = {name: {s: r.spikes[:, 0] for s, r in places[name].items()} for name in spread_out(list(places), 6)}
    return draw_rasters(chosen, "", subject.streams, f"{subject.sample}; a dot a spike, neurons side by side")


def membranes(subject: Subject) -> Any:
    """Charge, threshold, spike and reset of neurons of the sample in five layers."""
    places = {
        name: found
        for name, of in subject.spiking().items()
        if (found := {stream: r for stream, r in of.items() if r.neuron != "Fire"})  # which has no membrane
    }
    if not places:
        raise Nothing("it has no neurons with a membrane")
    per = max(map(len, places.values()))
    return draw_membranes(rows_for(places, spread_out(list(places), max(2, 5 // per))), subject.neurons, subject.sample)


def rates(subject: Subject) -> Any:
    """Firing rate by layer, stream and timestep, over many samples."""
    if not subject.counts.spikes:
        raise Nothing("it has no neurons that fire")
    places = by_place(subject.counts.rates(), subject.streams)
    title = f"{subject.title}: spikes per neuron, {subject.counts.samples} samples"
    return draw_rates(places, (*subject.streams, ALL), title)


def balance(subject: Subject) -> Any:
    """Accuracy of each head, and of the verdict without each stream; spikes by stream and timestep."""
    streams, counts = subject.streams, subject.counts
    if len(streams) < 2:
        raise Nothing(f"it has one stream, {streams[0]}")
    bars = {}
    for head, words in subject.model.heads.items():
        bars[f"{head}: {words}"] = (counts.right[head] / counts.samples, stream_of(head, streams))
    verdict = next(iter(subject.model.heads))
    for name in streams:
        rest = [other for other in streams if other != name]
        colour = rest[0] if len(rest) == 1 else ALL
        bars[f"{verdict}, {name} set to 0"] = (counts.right[f"-{name}"] / counts.samples, colour)
    title = f"{subject.title}: what the verdict hangs on, {counts.samples} samples"
    chance = 1 / subject.model.config.classes
    return draw_balance(bars, chance, counts.by_stream(streams), streams, title)


def maps(subject: Subject) -> Any:
    """Where layers are active, over each image and spectrogram of the sample: the last layer of each resolution."""
    inputs = {name: x for name, x in subject.inputs.items() if x.ndim == 4}  # [T, H, W, C]
    if not inputs:
        raise Nothing(f"none of its streams has pixels: {', '.join(subject.inputs)}")
    found: dict[str, dict[tuple[int, int], tuple[str, np.ndarray]]] = {name: {} for name in inputs}
    for path, record in subject.seen.items():
        y = record.spikes if record.neuron is not None else record.output
        stream = stream_of(path, subject.streams)
        if y.ndim == 5 and y.shape[1] == 1 and stream in found and min(y.shape[2:4]) > 1:  # [T, N, H, W, C]
            found[stream][y.shape[2:4]] = (path.removesuffix(".neuron"), y[:, 0])
    if not any(found.values()):
        raise Nothing("no layer of one stream has pixels")
    layers = {stream: dict(list(of.values())[:4]) for stream, of in found.items()}
    return draw_overlays(inputs, layers, f"where channels are active; {subject.sample}")


def surrogate(subject: Subject) -> Any:
    """The surrogate gradient and its primitive, over the membranes of the sample."""
    records = [r for of in subject.spiking().values() for r in of.values() if r.firing is not None]
    if not records or records[0].firing is None:
        raise Nothing("it has no neurons with a membrane")
    return draw_surrogate(records[0].firing.surrogate, [r.margin for r in records])


def weights(subject: Subject) -> Any:
    """Learned numbers such as alpha, sizes of weights by epoch, and histograms at the end."""
    learned = weights_over_training(subject.folder, subject.model)
    if not learned.weights and not learned.numbers:
        raise Nothing("it has no weights")
    return draw_weights(learned.numbers, learned.sizes, learned.weights, f"{subject.title}; {learned.words}")


PICTURES: dict[str, Callable[[Subject], Any]] = {
    "rasters": rasters,
    "membranes": membranes,
    "rates": rates,
    "balance": balance,
    "maps": maps,
    "surrogate": surrogate,
    "weights": weights,
}
"""By name."""
