"""The settings of a run: defaults, the two recipes, and where each setting comes from."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misnet.datasets import AUGMENTATIONS
from misnet.datasets.registry import REGISTRY, default_epochs
from misnet.models.config import ConfigError
from misnet.models.options import option_of
from misnet.models.registry import DEFAULT, config_class
from misnet.tools.process_options import OPTIONS
from misnet.tools.toolkit import UsageError
from misnet.training.folder import MAY_BE_SAID, newer_version, read_config
from snncore.checkpoint import CheckpointError
from snncore.nearest import nearest_words, one_of
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
    "weights": None,  # fresh ones
    "recipe": "default",
    "epochs": None,  # that of the data set
    "batch_size": 32,
    "accumulate": 1,
    "augment": [],
    "schedule": "cosine",
    "step_epochs": None,  # of `schedule: step`, which needs it
    "step_factor": 0.1,
    "warmup_steps": 0,
    "clip_norm": None,  # not clipped
    "seed": 0,
    "data_seed": None,  # that of the run
    "val_part": None,  # nothing held out
    "val_split": False,
    "patience": None,  # to the last epoch
} | RECIPES["default"]
SCHEDULES = ("cosine", "step", "constant")
RESUMABLE = {"resume", *OPTIONS} | MAY_BE_SAID  # others are part of the run

CHOICES = {
    "recipe": tuple(RECIPES),
    "optimizer": tuple(OPTIMIZERS),
    "schedule": SCHEDULES,
}
LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "accumulate": 1,
    "limit_train": 1,
    "limit_eval": 1,
    "seed": 0,
    "data_seed": 0,
    "warmup_steps": 0,
    "patience": 1,
    "step_epochs": 1,
}
MAY_BE_NONE = {"limit_train", "limit_eval", "data_seed", "patience", "step_epochs"}
PARTNERS = {
    "step_epochs": ("schedule", "step"),
    "step_factor": ("schedule", "step"),
    "final_lr": ("schedule", "cosine"),
    "momentum": ("optimizer", "sgd"),
}
"""Settings that only count beside a certain value of another."""

RATES = ("lr", "final_lr", "momentum", "weight_decay")


def check_settings(settings: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Return all settings, with defaults for those missing; raises UsageError for a value that cannot be used.

    where: file that the settings come from, for the message; by default they are options.
    """
    if where and (unknown := sorted(set(settings) - set(DEFAULTS))):
        near = nearest_words(unknown[0], DEFAULTS)
        raise UsageError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(DEFAULTS))}{near}")
    settings = DEFAULTS | {k: v for k, v in settings.items() if k in DEFAULTS}

    def label(name: str) -> str:
        return f"{where}: {name}" if where else option_of(name)

    def require(name: str, good: bool, expected: str) -> None:
        if not good:
            raise UsageError(f"{label(name)}: expected {expected}, found {settings[name]!r}")

    for name, choices in ({"dataset": tuple(REGISTRY)} | CHOICES).items():
        if settings[name] not in choices:
            raise UsageError(f"{label(name)}: {one_of(settings[name], choices)}")
    if settings["epochs"] is None:
        settings["epochs"] = default_epochs(settings["dataset"])
    for name, least in LEAST.items():
        value = settings[name]
        good = (value is None and name in MAY_BE_NONE) or (type(value) is int and value >= least)
        require(name, good, f"an integer of at least {least}")
    for name in RATES:
        value = settings[name]
        require(name, _is_number(value) and 0 <= value < math.inf, "a finite number of at least 0")
    clip, part = settings["clip_norm"], settings["val_part"]
    require("clip_norm", clip is None or (_is_number(clip) and 0 < clip < math.inf), "a finite number above 0")
    factor = settings["step_factor"]
    require("step_factor", _is_number(factor) and 0 < factor <= 1, "a number above 0 and at most 1")
    if settings["schedule"] == "step" and settings["step_epochs"] is None:
        raise UsageError(f"{label('schedule')}: step: expected {label('step_epochs')} N too, found none")
    require("val_part", part is None or (_is_number(part) and 0 < part < 1), "a number above 0 and below 1")
    require("val_split", isinstance(settings["val_split"], bool), "true or false")
    if settings["val_split"] and part is not None:
        raise UsageError(
            f"{label('val_split')}: expected it without val_part, found {part!r}: one of the two validates"
        )
    if settings["patience"] is not None and part is None and not settings["val_split"]:
        raise UsageError(
            f"{label('patience')}: expected val_part or val_split too, found neither: a run that ends by its test "
            "figures has been chosen by them"
        )
    require("data_dir", settings["data_dir"] is None or isinstance(settings["data_dir"], str), "a folder")
    require("weights", settings["weights"] is None or isinstance(settings["weights"], str), "a run folder or a file")
    augment = settings["augment"]
    known = isinstance(augment, list) and all(name in tuple(AUGMENTATIONS) for name in augment)
    require("augment", known and len(set(augment)) == len(augment), f"some of {', '.join(AUGMENTATIONS)}, each once")
    require("data_options", isinstance(settings["data_options"], dict), "an object")
    return settings


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def override(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with those that were given; options of the data set add to those of the same data set.

    A folder of files is kept with another data set, unless that needs none.
    """
    merged = settings | {k: v for k, v in given.items() if k in DEFAULTS}
    if given.get("dataset", settings.get("dataset")) == settings.get("dataset"):
        merged["data_options"] = settings.get("data_options", {}) | given.get("data_options", {})
    else:
        merged["data_options"] = given.get("data_options", {})
        if given["dataset"] in REGISTRY and REGISTRY[given["dataset"]].needs is None:
            merged["data_dir"] = given.get("data_dir")  # that of the other set is none of its
    return merged


@dataclass
class Choice:
    """What a command line of train.py asks for.

    settings: of the run. model: its name. switches: all that are known of the network, `preset` perhaps among them.
    given: those that were given as options.
    """

    settings: dict[str, Any]
    model: str
    switches: dict[str, Any]
    given: dict[str, Any]


def gather(options: dict[str, Any], switches: dict[str, Any]) -> Choice:
    """Return what options of the run and switches of the network, as they were given, come to.

    Later ones win: the defaults, the file of --config, a recipe that was given, the other options that were given.
    With --resume they are those of the run, but for what may be said anew (MAY_BE_SAID).
    Raises UsageError, or CheckpointError for a file that is no config.json.
    """
    if "resume" in options:
        extra = sorted((set(options) - RESUMABLE) | set(switches))
        if extra:
            names = ", ".join(map(option_of, extra))
            raise UsageError(f"--resume takes its settings from the run; also found {names}")
        path = Path(options["resume"]) / "config.json"
        content = read_config(path)
        try:
            of_run = check_settings(content["settings"], str(path))
        except UsageError as error:
            raise UsageError(f"{error}{newer_version(content)}") from None
        _check_partners(options, of_run | options)
        said = check_settings(of_run | {name: options[name] for name in MAY_BE_SAID & set(options)})
        return Choice(said, content["model"], content["network"], {})
    settings: dict[str, Any] = {}
    known: dict[str, Any] = {}
    model = options.get("model", DEFAULT)
    if "config" in options:
        if "preset" in switches:
            raise UsageError("--preset: --config sets every switch already; expected one of the two")
        content = read_config(Path(options["config"]))
        if options.get("model", content["model"]) != content["model"]:
            raise UsageError(f"--model: --config is of {content['model']}, found {model}")
        settings, model = check_settings(content["settings"], options["config"]), content["model"]
        forgotten = config_class(model).replaced_by(switches)
        known = {name: value for name, value in content["network"].items() if name not in forgotten}
    settings |= RECIPES[options["recipe"]] if "recipe" in options else {}
    found = check_settings(override(settings, options))
    _check_partners(options, found)
    return Choice(found, model, known | switches, switches)


def _check_partners(options: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise UsageError for options that one schedule or optimizer alone takes, with another."""
    for name, (by, of) in PARTNERS.items():
        if name in options and settings[by] != of:
            raise UsageError(f"{option_of(name)}: expected {option_of(by)} {of} too, found {settings[by]}")


def model_of(options: dict[str, str]) -> str:
    """Return the model that a command line is about, for --model, --config and --resume as they were given.

    A file that cannot be read is of the default model here; `gather` says what is wrong with it.
    """
    if "model" in options:
        return options["model"]
    path = Path(options["resume"]) / "config.json" if "resume" in options else options.get("config")
    try:
        return DEFAULT if path is None else read_config(Path(path))["model"]
    except (CheckpointError, ConfigError):
        return DEFAULT
