"""Trained weights with what must be known to use them: of a run folder, or of one checkpoint file alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from misnet.models.config import ConfigError, ModelConfig
from misnet.models.contract import Model
from misnet.models.registry import build, config_class
from misnet.training.folder import newer_version, part, read_config
from snncore.checkpoint import CheckpointError, check_tensors, load_checkpoint
from snncore.kernels.choice import ARITHMETICS
from snncore.nearest import nearest_path

__all__ = ["Source", "check_place", "read_source", "start_from"]

ORIGIN = ("model", "settings", "network")  # what a checkpoint must say to be used without its folder


@dataclass(frozen=True)
class Source:
    """Weights and where they come from.

    path: of the checkpoint. model: name in the registry. settings: of the run, unchecked. class_names: None where an
    earlier version did not write them. arithmetic: that the run was trained with. weights: arrays by name. recorded:
    fingerprints ("data") and stamps ("stamps") of the data of the run, where its config.json was read.
    """

    path: Path
    model: str
    config: ModelConfig
    settings: Mapping[str, Any]
    class_names: tuple[str, ...] | None
    arithmetic: str
    weights: Mapping[str, np.ndarray]
    recorded: Mapping[str, Mapping[str, str]]

    def network(self) -> Model:
        """Return the network with these weights; raises CheckpointError, naming the tensors, if they do not fit it."""
        model = build(self.model, self.config)
        model.load_state_dict(self.weights, f"checkpoint {self.path} for {self.config.title}")
        return model


def read_source(place: Path, checkpoint: str = "last") -> Source:
    """Return the weights of a run folder ("last" or "best"), or of a checkpoint file.

    A file says itself what it is of; one of an earlier version, which does not, is used with the config.json beside it.
    Raises CheckpointError for a file that is missing, damaged, or of which nobody says what it is of.
    """
    if place.is_dir():
        content, path = read_config(place / "config.json"), place / f"{checkpoint}.safetensors"
        arrays, _ = load_checkpoint(path)
        return _source(path, content, part(arrays, "model/"))
    check_place(place)
    arrays, metadata = load_checkpoint(place)
    origin = metadata.get("origin")
    beside = place.parent / "config.json"
    if not isinstance(origin, dict) or any(name not in origin for name in ORIGIN):
        if not beside.is_file():
            raise CheckpointError(
                f"checkpoint {place}: does not say what network it is of (an earlier version wrote it), and there is "
                "no config.json beside it; expected the run folder"
            )
        return _source(place, read_config(beside), part(arrays, "model/"))
    if "class_names" not in origin and beside.is_file():
        origin = {**origin, "class_names": read_config(beside).get("class_names")}
    return _source(place, origin, part(arrays, "model/"))


def check_place(place: Path) -> None:
    """Raise CheckpointError if there is no run folder and no file at a place; nothing is loaded."""
    if place.is_dir():
        read_config(place / "config.json")
    elif not place.exists():
        raise CheckpointError(f"{place}: no such folder or file; expected a run or a checkpoint{nearest_path(place)}")


def _source(path: Path, content: Mapping[str, Any], weights: dict[str, np.ndarray]) -> Source:
    """content: of a config.json, or what a checkpoint says."""
    if not weights:
        raise CheckpointError(f"checkpoint {path}: expected the weights of a network, found none")
    try:
        kind = config_class(content["model"])
        config = kind.from_dict({**kind.EARLIER, **content["network"]})
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path}: {error}{newer_version(content)}") from None
    names = content.get("class_names")
    if names is not None and (not isinstance(names, list) or len(names) != config.classes):
        raise CheckpointError(f"checkpoint {path}: class_names: expected a list of {config.classes}, found {names!r}")
    arithmetic = content.get("arithmetic", content.get("options", {}).get("arithmetic", "float32"))
    return Source(
        path=path,
        model=content["model"],
        config=config,
        settings=content["settings"],
        class_names=None if names is None else tuple(map(str, names)),
        arithmetic=arithmetic if arithmetic in ARITHMETICS else "float32",
        weights=weights,
        recorded={name: content.get(name, {}) for name in ("data", "stamps")},
    )


def start_from(
    model: Model, name: str, source: Source, class_names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Copy the weights of `source` into a network that is about to be trained; returns (taken, made anew) by name.

    Where the classes differ, in number, names or order, the tensors whose shape depends on the number of classes keep
    their fresh values: the heads. All others must be there in both, in the same shapes.
    model: called `name` in the registry. Raises CheckpointError, before anything is changed, naming the tensors that
    are missing, too many, or of another shape or type.
    """
    own = model.state_dict()
    if source.class_names is None:
        same = source.config.classes == len(class_names)
    else:
        same = source.class_names == tuple(class_names)
    fresh = set() if same else heads(name, model)
    found = {key: x for key, x in source.weights.items() if key not in fresh}
    what = f"weights {source.path} ({source.config.title}) for {model.config.title}"
    check_tensors(found, {key: x for key, x in own.items() if key not in fresh}, what)
    model.load_state_dict({**own, **found}, what)
    return tuple(found), tuple(key for key in own if key in fresh)


def heads(name: str, model: Model) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    more = build(name, replace(model.config, classes=model.config.classes + 1)).state_dict()  # type: ignore[type-var]
    return {key for key, x in model.state_dict().items() if key not in more or more[key].shape != x.shape}
