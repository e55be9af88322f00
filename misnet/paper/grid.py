"""Cells of the paper's tables as runs: what tools/train.py is told for each, in full or shrunken.

for cell in cells("table7"):
    run = plan(cell, "quick", "mnist-fsdd")
    run.arguments()   # ["--model", "misnet", "--dataset", "mnist-fsdd", "--variant", "L", ...]
    problem(run)      # None, or why there is no such network
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from misnet.models.config import ConfigError, ModelConfig
from misnet.models.options import model_config
from misnet.models.registry import MODELS, config_class
from misnet.paper.tables import DATA, GRIDS, TITLES, Cell, Source, cells
from snncore.nearest import one_of

__all__ = [
    "GRIDS",
    "QUICK_DATA",
    "SCALES",
    "SMALL_SCALE",
    "TITLES",
    "Cell",
    "Run",
    "cells",
    "config_of",
    "plan",
    "problem",
]

SCALES = {
    "full": "At the paper's scale: Table 1's channels, the sizes of Section 4.1, the recipe of Section 4.2. The paper "
    "does not say how many epochs; these are the data set's own.",
    "quick": "NOT the paper's scale: an eighth of the channels, 16x16 pixels, 800 samples, 6 epochs, our default "
    "recipe, other data. Compare rows with each other, not with the printed figures.",
}
"""The first line of a page, by the scale that it was run at."""

QUICK_DATA = {
    "dialpad": Source("dialpad", 16, 10, 1, False),
    "mnist-fsdd": Source("mnist-fsdd", 16, 10, 1, False),
    "cifar10-av": Source("cifar10-av", 16, 10, 3, True),
}
"""Data that a quick run may take in place of the paper's; the first needs no files."""

ALWAYS = ("variant", "timesteps", "size")  # switches that a command line names though they are the default

QUICK_SETTINGS: dict[str, Any] = {"epochs": 6, "limit_train": 800, "limit_eval": 300}
QUICK_SWITCHES: dict[str, dict[str, Any]] = {
    "sew-resnet18": {"channels": (8, 16, 32, 64), "stem": "cifar"},
    "spiking-resnet18": {"channels": (8, 16, 32, 64), "stem": "cifar"},
    "concat-resnet18": {"channels": (8, 16, 32, 64), "stem": "cifar"},
    "pmr": {"channels": (8, 16, 32, 64), "stem": "cifar"},
    "qmf": {"channels": (8, 16, 32, 64), "stem": "cifar"},
    "spikformer": {"width": 64, "depth": 2, "attention_heads": 4, "v_threshold": 0.5},
    "spike-driven-transformer": {"width": 64, "depth": 2, "attention_heads": 4},
    "spikingresformer-ti": {"channels": (16, 48, 96), "attention_heads": (1, 3, 6), "group": 16},
    "smmt": {"width": 64, "depth": 1, "attention_heads": 4, "v_threshold": 0.5},
    "s-cmrl": {"width": 64, "attention_heads": 4, "halvings": 2, "v_threshold": 0.5},
}
"""What shrinks a rival, by its name; those that are not here are run whole.

Products of spikes with spikes grow with the channels of a head: at a width of 64 and a threshold of 1 no attention
neuron of a fresh network fires. At 0.5 one in a hundred does, and one in ten of those behind it.
"""

SMALL_SETTINGS: dict[str, Any] = {"epochs": 5, "limit_train": 1400, "limit_eval": 300}
SMALL_RESNET = {"channels": (16, 32, 64), "blocks": (1, 1, 1), "stem": "cifar"}
SMALL_TRANSFORMER = {"width": 64, "depth": 1, "attention_heads": 4}
SMALL_SWITCHES: dict[str, dict[str, Any]] = {
    "misnet": {"channels": (16, 32, 64)},
    **dict.fromkeys(("sew-resnet18", "spiking-resnet18", "concat-resnet18", "pmr", "qmf"), SMALL_RESNET),
    "spikformer": SMALL_TRANSFORMER | {"v_threshold": 0.25},
    "spike-driven-transformer": SMALL_TRANSFORMER,
    "spikingresformer-ti": {"channels": (16, 32, 64), "blocks": (1, 1, 1), "attention_heads": (1, 2, 4)}
    | {"patches": (2, 1, 1), "group": 16},
    "smmt": SMALL_TRANSFORMER | {"v_threshold": 0.25},
    "s-cmrl": {"width": 64, "attention_heads": 4, "halvings": 2, "v_threshold": 0.25},
}
"""What makes each model small for the table of all models, at 8x8 pixels, where four tokens meet four: at a lower
threshold than above attention neurons fire. A model that is not here is run whole."""

SMALL_SCALE = (
    "Small networks: 8x8 pixels, a quarter of the channels and fewer blocks, 1,400 samples, 5 epochs, our default "
    "recipe. It shows that each trains, and not which is best."
)
"""The first line of the page of all models at quick scale."""


@dataclass(frozen=True)
class Run:
    """A run of tools/train.py. settings: of the training. switches: of the model, `timesteps` and `size` among them.

    Two cells may come to one run: MISNet-S with concat is a row of several tables.
    """

    model: str
    source: Source
    settings: Mapping[str, Any]
    switches: Mapping[str, Any]

    def arguments(self) -> list[str]:
        """The command line, without data folder, seed and run folder.

        Switches at the model's default are left out, so that cells that are one network are one run however they say
        it; those that a data set may decide are always there.
        """
        defaults = {f.name: f.default for f in fields(config_class(self.model))} if self.model in MODELS else {}
        said = {k: v for k, v in self.switches.items() if k in ALWAYS or k not in defaults or v != defaults[k]}
        found = ["--model", self.model, "--dataset", self.source.dataset]
        for name, value in {**self.settings, **dict(sorted(said.items()))}.items():
            option = name.replace("_", "-")
            if isinstance(value, bool):
                found.append(f"--{option}" if value else f"--no-{option}")
            elif value is not None:
                found += [f"--{option}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
        return found

    @property
    def name(self) -> str:
        """Name of its folder: model, data and eight digits that any other option changes."""
        digest = hashlib.sha256(json.dumps(self.arguments()).encode()).hexdigest()[:8]
        return f"{self.model}-{self.source.dataset}-{digest}"


def plan(cell: Cell, scale: str = "full", dataset: str | None = None) -> Run:
    """Return the run of a cell.

    scale: `full` has the two settings of Section 4, by the cell's data: pairs of a picture and a sound, and recordings
    with something else at every timestep. `quick` shrinks network, data and epochs. dataset: other data; with `full`
    any data set, such as `folder`, at the size that it has by itself; with `quick` one of QUICK_DATA.
    Raises ValueError for a scale or dataset that there is not.
    """
    if scale not in tuple(SCALES):
        raise ValueError(f"scale: {one_of(scale, SCALES)}")
    switches = dict(cell.switches)
    if scale == "full":
        source = DATA[cell.data]
        if dataset not in (None, source.dataset):
            return Run(cell.model, Source(str(dataset), 0, 0, 0, False), {"recipe": "paper"}, switches)
        return Run(cell.model, source, {"recipe": "paper"}, switches | {"size": source.size})
    dataset = "dialpad" if dataset is None else dataset
    if dataset not in tuple(QUICK_DATA):
        raise ValueError(f"dataset: expected one of {', '.join(QUICK_DATA)} at quick scale, found {dataset!r}")
    source = QUICK_DATA[dataset]
    if cell.table == "models":
        small = SMALL_SWITCHES.get(cell.model, {}) | {"size": 8}
        return Run(cell.model, replace(source, size=8), SMALL_SETTINGS, switches | small)
    return Run(cell.model, source, QUICK_SETTINGS, _shrunken(cell.model, switches) | {"size": source.size})


def _shrunken(model: str, switches: dict[str, Any]) -> dict[str, Any]:
    """Return the switches of a network with an eighth of the channels; a window of SwinT blocks fits the last map."""
    if model != "misnet":
        return switches | QUICK_SWITCHES.get(model, {})
    config = model_config(config_class(model), {"variant": switches["variant"]})
    eighth = {"channels": tuple(c // 8 for c in config.stage_channels)}  # type: ignore[attr-defined]
    return switches | eighth | ({"window": 2} if switches.get("block") == "swin" else {})


def config_of(run: Run) -> ModelConfig:
    """Return the configuration of a run's network; raises ConfigError if there is no such network.

    Where the data are one's own, classes and sizes are the defaults of the model.
    """
    if run.model not in MODELS:
        raise ConfigError(f"model: {run.model} is not here; there are {', '.join(MODELS)}")
    kind, source = config_class(run.model), run.source
    by_data = {"classes": source.classes, "visual_channels": source.visual_channels} if source.size else {}
    return model_config(kind, {**run.switches, **{k: v for k, v in by_data.items() if k in kind.__dataclass_fields__}})


def problem(run: Run) -> str | None:
    """Return why a run cannot be built, None if it can."""
    try:
        config_of(run)
    except ConfigError as error:
        return str(error)
    return None
