"""A network with the data that it is to run on: a new one shaped for the data, or a trained one that must fit them."""

from pathlib import Path
from typing import Any

from misnet.datasets import Dataset
from misnet.models.config import ModelConfig
from misnet.models.contract import Model, check_fits
from misnet.models.options import model_config, option_of, switches_of
from misnet.models.registry import config_class
from misnet.tools.settings import check_settings, override
from misnet.tools.toolkit import UsageError, load_split
from misnet.training.folder import check_class_names, load_run

DATA_SETTINGS = ("dataset", "data_dir", "limit_train", "limit_eval", "data_options")


def new_config(
    model: str, switches: dict[str, Any], given: dict[str, Any], settings: dict[str, Any], *splits: str
) -> tuple[ModelConfig, list[Dataset]]:
    """Return the configuration of a network, with everything that the data decide as they have it, and the splits.

    switches: all that are known, from a file or from options, `preset` perhaps among them. given: those that the user
    gave as options: raises UsageError if the data have another value.
    """
    kind = config_class(model)
    wanted = switches_of(kind, switches)
    first = load_split(splits[0], settings, wanted.get("size"), wanted.get("timesteps", kind().timesteps))
    found = kind.found_in(first)
    for name, value in found.items():
        if given.get(name, value) != value:
            raise UsageError(f"{option_of(name)}: {first.name} has {value}, found {given[name]}")
    config = model_config(kind, switches | found)
    check_fits(config, first)
    return config, [first, *(load_split(split, settings, config.size, config.timesteps) for split in splits[1:])]


def trained_network(folder: Path, checkpoint: str, split: str, given: dict[str, Any]) -> tuple[Model, Dataset]:
    """Return the network of a run folder and a split of the data of the run, changed as the options `given` say.

    Raises ConfigError, naming what differs, if the data have other classes, or streams that the network cannot take.
    """
    model, content = load_run(folder, checkpoint)
    of_run = check_settings(content["settings"], str(folder / "config.json"))
    settings = check_settings(override(of_run, {k: v for k, v in given.items() if k in DATA_SETTINGS}))
    data = load_split(split, settings, model.config.size, model.config.timesteps)
    check_class_names(content, data)
    check_fits(model.config, data)
    return model, data
