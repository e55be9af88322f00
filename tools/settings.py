"""The settings of a run: defaults, the two recipes, and where each setting comes from."""

import math
from pathlib import Path
from typing import Any

from misnet.datasets import AUGMENTATIONS, DATASET_NAMES
from misnet.tools.toolkit import UsageError
from misnet.training.run import read_config
from snncore.optim import OPTIMIZERS

RECIPES: dict[str, dict[str, Any]] = {
    "default": {"optimizer": "adam", "lr": 2e-3, "final_lr": 0.0, "momentum": 0.0, "weight_decay": 0.0},
    "paper": {"optimizer": "sgd", "lr": 1e-3, "final_lr": 1e-5, "momentum": 0.9, "weight_decay": 1e-4},
}
"""`paper`: Section 4.2, with a cosine for the "gradual" decay, which the paper does not name."""

DEFAULTS: dict[str, Any] = {
    "dataset": "dialpad",
    "data_dir": None,
    "limit_train": None,
    "limit_eval": None,
    "data_options": {},
    "recipe": "default",
    "epochs": None,  # that of the data set
    "batch_size": 32,
    "augment": [],
    "schedule": "cosine",
    "warmup_steps": 0,
    "seed": 0,
} | RECIPES["default"]
EPOCHS = {
    "dialpad": 5,
    "mnist-fsdd": 8,
    "cifar10-av": 30,
    "urbansound8k-av": 30,
    "crema-d": 60,
    "ave": 60,
    "folder": 30,
    "mnist-dvs-ntidigits": 10,
}
SCHEDULES = ("cosine", "constant")
RESUMABLE = {"resume", "device", "memory_limit", "tf32"}  # the other options are part of the run that goes on

CHOICES = {
    "dataset": DATASET_NAMES,
    "recipe": tuple(RECIPES),
    "optimizer": tuple(OPTIMIZERS),
    "schedule": SCHEDULES,
}
LEAST = {"epochs": 1, "batch_size": 1, "limit_train": 1, "limit_eval": 1, "seed": 0, "warmup_steps": 0}
RATES = ("lr", "final_lr", "momentum", "weight_decay")


def check_settings(settings: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Return all settings, with defaults for those missing; raises UsageError for a value that cannot be used.

    where: file that the settings come from, for the message; by default they are options.
    """
    settings = DEFAULTS | {k: v for k, v in settings.items() if k in DEFAULTS}

    def require(name: str, good: bool, expected: str) -> None:
        if not good:
            label = f"{where}: {name}" if where else f"--{name.replace('_', '-')}"
            raise UsageError(f"{label}: expected {expected}, found {settings[name]!r}")

    for name, choices in CHOICES.items():
        require(name, settings[name] in choices, f"one of {', '.join(choices)}")
    if settings["epochs"] is None:
        settings["epochs"] = EPOCHS[settings["dataset"]]
    for name, least in LEAST.items():
        value = settings[name]
        good = (value is None and name.startswith("limit")) or (type(value) is int and value >= least)
        require(name, good, f"an integer of at least {least}")
    for name in RATES:
        value = settings[name]
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        require(name, good, "a finite number of at least 0")
    require("data_dir", settings["data_dir"] is None or isinstance(settings["data_dir"], str), "a folder")
    augment = settings["augment"]
    known = isinstance(augment, list) and all(name in tuple(AUGMENTATIONS) for name in augment)
    require("augment", known and len(set(augment)) == len(augment), f"some of {', '.join(AUGMENTATIONS)}, each once")
    require("data_options", isinstance(settings["data_options"], dict), "an object")
    return settings


def override(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with those that were given; options of the data set add to those of the same data set."""
    merged = settings | {k: v for k, v in given.items() if k in DEFAULTS}
    if given.get("dataset", settings.get("dataset")) == settings.get("dataset"):
        merged["data_options"] = settings.get("data_options", {}) | given.get("data_options", {})
    else:
        merged["data_options"] = given.get("data_options", {})
    return merged


def gather(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the run and the switches of the network, from the options that were given.

    Later ones win: the defaults, the file of --config, a recipe that was given, the other options that were given.
    With --resume they are those of the run. Raises UsageError, or CheckpointError for a file that is none.
    """
    if "resume" in given:
        extra = sorted(set(given) - RESUMABLE)
        if extra:
            names = ", ".join("--" + name.replace("_", "-") for name in extra)
            raise UsageError(f"--resume takes its settings from the run; also found {names}")
        path = Path(given["resume"]) / "config.json"
        content = read_config(path)
        return check_settings(content["settings"], str(path)), content["network"]
    settings: dict[str, Any] = {}
    network: dict[str, Any] = {}
    if "config" in given:
        if "preset" in given:
            raise UsageError("--preset: --config sets every switch already; expected one of the two")
        content = read_config(Path(given["config"]))
        settings = check_settings(content["settings"], given["config"])
        network = dict(content["network"])
        if "variant" in given:  # another variant brings its own channels and cells
            network |= {"channels": None, "cells": None}
    settings |= RECIPES[given["recipe"]] if "recipe" in given else {}
    return check_settings(override(settings, given)), network | given
