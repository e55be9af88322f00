"""A network with the data that it is to run on: a new one shaped for the data, or a trained one that must fit them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from misnet.datasets import Dataset
from misnet.models.config import ModelConfig
from misnet.models.contract import Model, check_fits
from misnet.models.options import model_config, option_of, switches_of
from misnet.models.registry import config_class
from misnet.tools.parts import Parts, check_not_moved
from misnet.tools.settings import check_settings, override
from misnet.tools.toolkit import UsageError
from misnet.training.folder import check_class_names, load_run

DATA_SETTINGS = ("dataset", "data_dir", "limit_train", "limit_eval", "data_options")


def new_config(
    model: str, switches: dict[str, Any], given: dict[str, Any], settings: dict[str, Any], *parts: str
) -> tuple[ModelConfig, list[Dataset]]:
    """Return the configuration of a network, with everything that the data decide as they have it, and the parts.

    parts: names of `Parts`; the network is shaped for the first. switches: all that are known, from a file or from
    options, `preset` perhaps among them. given: those that the user gave as options: raises UsageError if the data have
    another value.
    """
    kind = config_class(model)
    wanted = switches_of(kind, switches)
    data = Parts(settings)
    first = data.load(parts[0], wanted.get("size"), wanted.get("timesteps", kind().timesteps))
    found = kind.found_in(first)
    for name, value in found.items():
        if given.get(name, value) != value:
            raise UsageError(f"{option_of(name)}: {first.name} has {value}, found {given[name]}")
    config = model_config(kind, switches | found)
    check_fits(config, first)
    return config, [first, *(data.load(part, config.size, config.timesteps) for part in parts[1:])]


def trained_network(folder: Path, checkpoint: str, part: str, given: dict[str, Any]) -> tuple[Model, Dataset]:
    """Return the network of a run folder and a part of the data of the run, changed as the options `given` say.

    Where nothing but their place is changed, they are compared with those that the run began with, and a note says so
    if they are others. Raises ConfigError, naming what differs, if the data have other classes, or streams that the
    network cannot take.
    """
    model, content = load_run(folder, checkpoint)
    of_run = check_settings(content["settings"], str(folder / "config.json"))
    settings = check_settings(override(of_run, {k: v for k, v in given.items() if k in DATA_SETTINGS}))
    check_not_moved(settings, given)
    data = Parts(settings).load(part, model.config.size, model.config.timesteps)
    check_class_names(content, data)
    check_fits(model.config, data)
    note_if_changed(content, part, data, settings, of_run)
    return model, data


def note_if_changed(
    content: Mapping[str, Any], part: str, data: Dataset, settings: dict[str, Any], of_run: dict[str, Any]
) -> None:
    """Say on standard error if a part of the data is not what the config.json `content` says.

    settings: that it was loaded with. of_run: those of the run: with any other than where the data lie, they are
    others on purpose, and nothing is said.
    """
    place, before = settings["data_dir"], of_run["data_dir"]
    if settings | {"data_dir": before} == of_run and changed_since(content, part, data):
        at = "" if place == before else f" in {place}"
        why = "" if at else ": files, or settings in config.json, changed since"
        print(f"note: the {part} data{at} are not those that the run began with{why}", file=sys.stderr)


def changed_since(content: Mapping[str, Any], part: str, data: Dataset) -> bool:
    """Whether a part of the data is another than the config.json `content` says; files are read if a stamp differs.

    False where that is not recorded, as of a part that the run does not use.
    """
    known = content.get("data", {}).get(part)
    return known is not None and fingerprint_of(content, part, data)[0] != known


def fingerprint_of(content: Mapping[str, Any], part: str, data: Dataset) -> tuple[str, str | None]:
    """Return fingerprint and stamp of a part of the data: files that bear the stamp in `content` are not read again.

    content: of a config.json, or {} for a run that begins.
    """
    stamp = data.stamp()
    seen = stamp is not None and content.get("stamps", {}).get(part) == stamp
    known = content.get("data", {}).get(part) if seen else None
    return data.fingerprint() if known is None else known, stamp
