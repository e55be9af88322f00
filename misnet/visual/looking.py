"""What the pictures are drawn of: one sample under a monitor, many samples counted, and the weights of a run folder."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from misnet.models.contract import Model
from misnet.models.registry import build
from misnet.training.folder import part, read_config
from misnet.training.weights import read_weights, sizes_of
from misnet.visual.layers import stream_of
from snncore import Tensor, monitor, no_grad
from snncore.backend import Array, asnumpy, to_device
from snncore.checkpoint import load_checkpoint
from snncore.monitor import Seen

__all__ = ["Counts", "Learned", "count", "look", "weights_over_training"]


def look(model: Model, streams: Sequence[Array], layers: Sequence[str] = ()) -> Seen:
    """Return what the neurons did for one sample in evaluation; of a network without any, what its layers gave.

    streams: [T, 1, ...] each, as the network takes them. Raises MonitorError for a name in `layers` that fits none.
    """
    model.eval()
    for record in (("spikes", "membrane"), ("output",)):
        with no_grad(), monitor(model, *layers, record=record) as seen:
            model(*map(Tensor, streams))
        if len(seen):
            break
    return seen


@dataclass
class Counts:
    """Sums over samples: spikes and places of each layer by timestep, and samples that each way of asking got right."""

    samples: int = 0
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # neurons of all samples
    right: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def rates(self) -> dict[str, np.ndarray]:
        """Spikes per neuron of each layer, [T]."""
        return {path: x / self.places[path] for path, x in self.spikes.items()}

    def by_stream(self, streams: Sequence[str]) -> dict[str, np.ndarray]:
        """Spikes per neuron of all layers of a stream, [T]; layers that have fewer timesteps are left out."""
        steps = max((len(x) for x in self.spikes.values()), default=0)
        found = {}
        for stream in (*streams, "all"):
            paths = [path for path, x in self.spikes.items() if stream_of(path, streams) == stream and len(x) == steps]
            if paths:
                found[stream] = sum(self.spikes[path] for path in paths) / sum(self.places[path] for path in paths)
        return found


def count(model: Model, batches: Iterable[tuple[Array, ...]], device: str) -> Counts:
    """Run samples through the network, as they are and with each stream set to 0, and count.

    Keys of `right`: the names of the heads, and `-stream` for the verdict without that stream.
    """
    model.eval()
    found = Counts()
    for *arrays, labels in batches:
        streams, truth = [to_device(x, device) for x in arrays], np.asarray(asnumpy(labels))
        with no_grad(), monitor(model, record="spikes") as seen:
            scores = model(*map(Tensor, streams))
        found.samples += len(truth)
        for head, y in scores.items():
            found.right[head] += int((asnumpy(y.data).argmax(1) == truth).sum())
        for path, r in seen.items():
            fired = (r.spikes > 0).reshape(len(r.spikes), -1)  # [T, all neurons]
            found.spikes[path] = found.spikes.get(path, 0) + fired.sum(1)
            found.places[path] += fired.shape[1]
        for k, name in enumerate(model.streams if len(streams) > 1 else ()):
            blank = [x if i != k else x * 0 for i, x in enumerate(streams)]
            with no_grad():
                verdict = next(iter(model(*map(Tensor, blank)).values()))
            found.right[f"-{name}"] += int((asnumpy(verdict.data).argmax(1) == truth).sum())
    return found


@dataclass(frozen=True)
class Learned:
    """By epoch, learned numbers and sizes of weights; the weights at the end; words on where they are from."""

    numbers: Mapping[str, Mapping[int, float]]
    sizes: Mapping[str, Mapping[int, float]]
    weights: Mapping[str, np.ndarray]
    words: str


def weights_over_training(folder: Path, model: Model) -> Learned:
    """Return the weights of a run over training, from its weights.csv, or of three points in time if it has none."""
    found = read_weights(folder, model)
    arrays = {name: asnumpy(p.data) for name, p in model.named_parameters()}
    if found:
        epochs = list(next(iter(found.values())))
        words = f"epochs {epochs[0]} to {epochs[-1]}"
    else:
        found, words = _three_points(folder, model)
    weights = {_short(name): x for name, x in arrays.items() if x.ndim >= 2}
    numbers = {_short(name): found[name] for name, x in arrays.items() if x.size == 1}
    sizes = {_short(name): found[name] for name, x in arrays.items() if x.ndim >= 2}
    return Learned(numbers, sizes, weights, words)


def _short(name: str) -> str:
    return name.removesuffix(".weight")


def _three_points(folder: Path, model: Model) -> tuple[dict[str, dict[int, float]], str]:
    """The start, drawn again from the seed, best and last, of a run that wrote no weights.csv.

    Adopted weights were not begun from the seed, nor those that a run took from another: they have no start here.
    """
    content = read_config(folder / "config.json")
    other = build(content["model"], model.config, content["settings"].get("seed", 0))  # fresh weights
    begun = "train" in content.get("data", {"train": ""}) and content["settings"].get("weights") is None
    points, words = ({0: sizes_of(other)}, ["start (drawn again from the seed)"]) if begun else ({}, [])
    for name in ("best", "last"):
        path = folder / f"{name}.safetensors"
        if path.exists():
            arrays, metadata = load_checkpoint(path)
            other.load_state_dict(part(arrays, "model/"), str(path))
            points[int(metadata["epoch"])] = sizes_of(other)
            words.append(f"{name} (epoch {metadata['epoch']})")
    found = {name: {epoch: points[epoch][name] for epoch in sorted(points)} for name in points[0]}
    *most, last = words
    return found, f"{', '.join(most)}{' and ' if most else ''}{last}: this run has no weights.csv"
