"""The config.json of a run folder, and the network that a folder holds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import snncore
from misnet.models.config import ConfigError, Data, ModelConfig
from misnet.models.contract import Model
from misnet.models.registry import DEFAULT, build, config_class
from misnet.training.machine import machine
from misnet.training.missing import words_on_missing
from snncore.checkpoint import CheckpointError, load_checkpoint
from snncore.files import read_file, replace_file

__all__ = [
    "MAY_BE_SAID",
    "check_class_names",
    "compare_origin",
    "copy_weights",
    "load_model",
    "load_run",
    "newer_version",
    "part",
    "read_config",
    "write_config",
    "write_file",
]

SECTIONS = {"settings", "model", "network", "data", "class_names", "options", "stamps", "versions"}
MAY_CHANGE = {"data_dir", "recipe"}  # fingerprints tell whether the data are the same; a recipe stands for others
MAY_BE_SAID = {
    "epochs",
    "lr",
    "final_lr",
    "momentum",
    "weight_decay",
    "schedule",
    "step_epochs",
    "step_factor",
    "warmup_steps",
    "augment",
    "clip_norm",
    "patience",
    "data_dir",
}
"""Settings that may change in a run, as options of the command that goes on: a run that diverged needs other rates."""


def write_config(
    folder: Path,
    settings: Mapping[str, Any],
    model: str,
    config: ModelConfig,
    data: Mapping[str, str],
    class_names: Sequence[str],
    options: Mapping[str, Any] | None = None,
    stamps: Mapping[str, str] | None = None,
) -> None:
    """Write config.json: settings of the run, name and switches of the model, fingerprint of each split, classes.

    options: of the process, which do not decide what is trained, remembered for the next one. stamps: of the splits,
    by which a run that goes on sees that no file was written to, without reading any.
    """
    content = {
        "settings": settings,
        "model": model,
        "network": config.to_dict(),
        "data": data,
        "class_names": list(class_names),
        "options": dict(options or {}),
        "stamps": dict(stamps or {}),
        "versions": machine(),
    }
    write_file(folder / "config.json", (json.dumps(content, indent=2) + "\n").encode())


def write_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step; raises CheckpointError, with any earlier file as it was, if it cannot."""
    try:
        replace_file(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{path}: cannot be written: {reason}; any earlier file is intact") from error


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a config.json, with the model and switches that are meant where an older one names none.

    Raises CheckpointError if the file is missing, is no config.json, or describes no network.
    """
    try:
        content = json.loads(read_file(path).decode())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise CheckpointError(words_on_missing(path)) from None
    except RecursionError:
        raise CheckpointError(f"{path}: cannot be read as JSON: it is nested too deeply") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(k), dict) for k in ("settings", "network")):
        raise CheckpointError(f'{path}: expected an object with "settings" and "network", as a run writes it')
    content.setdefault("model", DEFAULT)
    if unknown := sorted(set(content) - SECTIONS):
        raise CheckpointError(f"{path}: unknown section {unknown[0]!r}{newer_version(content)}")
    objects = [(name, dict, "an object") for name in ("data", "options", "stamps", "versions")]
    for name, kind, expected in (("model", str, "text"), *objects):
        if not isinstance(content.get(name, kind()), kind):
            raise CheckpointError(f"{path}: {name}: expected {expected}, found {content[name]!r}")
    names = content.get("class_names", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise CheckpointError(f"{path}: class_names: expected a list of texts, found {names!r}")
    try:
        kind = config_class(content["model"])
        content["network"] = {**kind.EARLIER, **content["network"]}
        kind.from_dict(content["network"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}{newer_version(content)}") from None
    return content


def newer_version(content: Mapping[str, Any]) -> str:
    """Return words for a message if a config.json was written by a newer snncore than this one, or else nothing."""
    written = str(content.get("versions", {}).get("snncore", "")) if isinstance(content.get("versions"), dict) else ""
    try:
        newer = [int(x) for x in written.split(".")] > [int(x) for x in snncore.__version__.split(".")]
    except ValueError:  # no version, or one with letters in it
        return ""
    return f"; written by snncore {written}, this is {snncore.__version__}: use the newer one" if newer else ""


def compare_origin(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError for a setting or switch that is not the one a checkpoint was trained with.

    before: what the checkpoint says. now: what `path`, the config.json, says. Where the data lie may change without a
    word.
    """
    for section in [name for name in ("model", "settings", "network") if before.get(name) is not None]:
        old, new = before.get(section), now.get(section)
        if not (isinstance(old, dict) and isinstance(new, dict)):
            old, new = {section: old}, {section: new}
        for name in [name for name in old if name in new and name not in MAY_CHANGE]:
            if old[name] == new[name]:
                continue
            option = f"--{name.replace('_', '-')}"
            said = section == "settings" and name in MAY_BE_SAID
            more = f"say with {option} which is meant" if said else "put it back, or train anew"
            raise CheckpointError(f"{path}: {name}: the run is trained with {old[name]!r}, found {new[name]!r}; {more}")


def load_run(folder: Path, checkpoint: str = "last") -> tuple[Model, dict[str, Any]]:
    """Return the network of a run folder with the weights of a checkpoint, "last" or "best", and its config.json.

    Raises CheckpointError if one of the two files is missing, damaged, or does not fit the other: a threshold that was
    edited would make the weights mean something else.
    """
    content = read_config(folder / "config.json")
    model = build(content["model"], config_class(content["model"]).from_dict(content["network"]))
    origin = load_model(model, folder / f"{checkpoint}.safetensors").get("origin")
    if isinstance(origin, dict):
        settings = origin.get("settings")
        if isinstance(settings, dict):  # what may be said anew is in both only once the run went on
            settings = {name: value for name, value in settings.items() if name not in MAY_BE_SAID}
        compare_origin(origin | {"settings": settings}, content, folder / "config.json")
    return model, content


def load_model(model: Model, path: Path) -> dict[str, Any]:
    """Copy the weights in checkpoint `path` into `model` and return its metadata; raises CheckpointError."""
    arrays, metadata = load_checkpoint(path)
    copy_weights(arrays, model, path)
    return metadata


def copy_weights(arrays: Mapping[str, np.ndarray], model: Model, path: Path) -> None:
    """Copy the weights among the arrays of checkpoint `path` into `model`; raises CheckpointError."""
    model.load_state_dict(part(arrays, "model/"), f"checkpoint {path} for {model.config.title}")


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}


def check_class_names(content: Mapping[str, Any], data: Data) -> None:
    """Raise ConfigError unless the data have the classes that the run of a config.json was trained on, in their order.

    A run of an earlier version, which did not write them, passes.
    """
    trained = content.get("class_names")
    if trained is not None and list(trained) != list(data.class_names):
        raise ConfigError(
            f"classes: the run was trained on {', '.join(trained)}; {data.name} has {', '.join(data.class_names)}"
        )
