"""The config.json of a run folder, and the network that a folder holds."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import snncore
from misnet.models.config import ConfigError, Data, ModelConfig
from misnet.models.contract import Model
from misnet.models.registry import DEFAULT, build, config_class
from snncore.checkpoint import CheckpointError, load_checkpoint
from snncore.files import replace_file

__all__ = ["check_class_names", "copy_weights", "load_model", "load_run", "part", "read_config", "write_config"]


def write_config(
    folder: Path,
    settings: Mapping[str, Any],
    model: str,
    config: ModelConfig,
    data: Mapping[str, str],
    class_names: Sequence[str],
) -> None:
    """Write config.json: settings of the run, name and switches of the model, fingerprint of each split, classes."""
    content = {
        "settings": settings,
        "model": model,
        "network": config.to_dict(),
        "data": data,
        "class_names": list(class_names),
        "versions": {"snncore": snncore.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    replace_file(folder / "config.json", (json.dumps(content, indent=2) + "\n").encode())


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a config.json, with the model that is meant where an earlier version named none.

    Raises CheckpointError if the file is missing, is no config.json, or describes no network.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected the config.json of a training run") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(k), dict) for k in ("settings", "network")):
        raise CheckpointError(f'{path}: expected an object with "settings" and "network", as a run writes it')
    content.setdefault("model", DEFAULT)
    try:
        config_class(content["model"]).from_dict(content["network"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return content


def load_run(folder: Path, checkpoint: str = "last") -> tuple[Model, dict[str, Any]]:
    """Return the network of a run folder with the weights of a checkpoint, "last" or "best", and its config.json.

    Raises CheckpointError if one of the two files is missing, damaged, or does not fit the other.
    """
    content = read_config(folder / "config.json")
    model = build(content["model"], config_class(content["model"]).from_dict(content["network"]))
    load_model(model, folder / f"{checkpoint}.safetensors")
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
