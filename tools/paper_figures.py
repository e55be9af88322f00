"""Figures 7, 8 and 9 of the paper, of networks that tools/reproduce.py trains for them, or of run folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets import BatchIterator, Dataset
from misnet.datasets.base import Subset
from misnet.models.contract import Model, take
from misnet.paper.drawings import draw_features, draw_maps, draw_rasters, save
from misnet.paper.spikes import features, first_stage, last_stage, spike_trains
from misnet.paper.tables import Cell
from misnet.tools.networks import trained_network
from misnet.tools.toolkit import UsageError

__all__ = ["FIGURES", "Picture", "draw", "names_of"]

SAMPLES = 200  # test samples whose features are drawn


@dataclass(frozen=True)
class Picture:
    """A figure: its title and the networks that are trained for it."""

    title: str
    cells: tuple[Cell, ...]


def _cell(figure: str, row: str, data: str, model: str, **switches: object) -> Cell:
    return Cell(figure, row, "", data, model, {"timesteps": 4} | switches)


FIGURES = {
    "fig7": Picture(
        "Figure 7: fused features by timestep (t-SNE)",
        (
            _cell("fig7", "SEW-ResNet18", "CREMA-D", "sew-resnet18", fusion="late"),
            _cell("fig7", "MISNet-L", "CREMA-D", "misnet", variant="L"),
        ),
    ),
    "fig8": Picture(
        "Figure 8: spikes of the last stage by timestep, with and without MLIF",
        (
            _cell("fig8", "MISNet-L", "CREMA-D", "misnet", variant="L", mlif="full"),
            _cell("fig8", "MISNet-L without MLIF", "CREMA-D", "misnet", variant="L", mlif="independent"),
        ),
    ),
    "fig9": Picture(
        "Figure 9: where stage 1 fires, over image and spectrogram",
        (
            _cell("fig9", "MISNet-S", "AVE", "misnet", variant="S"),
            _cell("fig9", "SEW-ResNet18", "AVE", "sew-resnet18", fusion="late"),
        ),
    ),
}
"""By name. Figure 9 has SMMT in the paper; SEW-ResNet18 stands for a network whose encoders do not meet."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return a short name for each run folder: what is before the part that all end in, as `a` and `b` for
    `x/a/seed-0` and `y/b/seed-0`, and as many parts as tell them apart. Raises UsageError for one folder twice.
    """
    parts = [Path(os.path.realpath(folder)).parts for folder in folders]
    for k, one in enumerate(parts):
        if one in parts[:k]:
            raise UsageError(f"--runs: expected each run once, found {folders[k]} twice")
    while len(parts) > 1 and len({path[-1] for path in parts}) == 1:
        parts = [path[:-1] for path in parts]
    count = 1
    while len({path[-count:] for path in parts}) < len(parts):
        count += 1
    return ["/".join(path[-count:]) for path in parts]


def draw(
    name: str, folders: Sequence[Path], names: Sequence[str], place: Path, data_dir: str | None, k: int = 0
) -> list[Path]:
    """Draw a figure of run folders into PLACE.png and PLACE.svg and return the two. k: test sample of fig8 and fig9.

    Raises UsageError if the runs have other data or timesteps than each other, or the network has no such spikes.
    """
    given = {} if data_dir is None else {"data_dir": data_dir}
    networks = [trained_network(folder, "last", "test", given) for folder in folders]
    data = networks[0][1]
    for folder, (_, other) in zip(folders, networks, strict=True):
        if other.fingerprint() != data.fingerprint():
            raise UsageError(
                f"{folder}: was tested on other samples than {folders[0]}; expected the same in one figure"
            )
    if not 0 <= k < len(data):
        raise UsageError(f"--sample: expected 0 to {len(data) - 1}, found {k}")
    try:
        if name == "fig7":
            figure = _features(networks, names, data)
        elif name == "fig8":
            of = {
                title: last_stage(_of_sample(model, data, k)) for title, (model, _) in zip(names, networks, strict=True)
            }
            figure = draw_rasters({title: {m: s[:, 0] for m, s in trains.items()} for title, trains in of.items()})
        else:
            figure = _maps(networks, names, data, k)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return save(figure, place)


def _of_sample(model: Model, data: Dataset, k: int) -> dict[str, np.ndarray]:
    *streams, _ = take(model, _batch(data, k, 1))
    return spike_trains(model, streams)


def _batch(data: Dataset, first: int, count: int) -> Any:
    part = Subset(data, range(first, min(first + count, len(data))))
    return next(iter(BatchIterator(part, count, shuffle=False).epoch(0)))


def _features(networks: Sequence[tuple[Model, Dataset]], names: Sequence[str], data: Dataset) -> Any:
    batch = _batch(data, 0, SAMPLES)
    found, labels = {}, None
    for title, (model, _) in zip(names, networks, strict=True):
        *streams, labels = take(model, batch)
        found[title] = features(model, streams)
    steps = range(min(len(x) for x in found.values()))
    return draw_features(found, np.asarray(labels), data.class_names, steps[:3])


def _maps(networks: Sequence[tuple[Model, Dataset]], names: Sequence[str], data: Dataset, k: int) -> Any:
    batch = _batch(data, k, 1)
    inputs = {name: np.asarray(batch.streams[name])[:, 0] for name in ("audio", "visual")}
    of = {}
    for title, (model, _) in zip(names, networks, strict=True):
        *streams, _ = take(model, batch)
        of[title] = {m: s[:, 0] for m, s in first_stage(spike_trains(model, streams)).items()}
    return draw_maps(inputs, of, f"{data.name}, test sample {k}: {data.class_names[int(data.labels[k])]}")
