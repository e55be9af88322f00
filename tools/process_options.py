"""Options of the process that trains, such as its device: no settings of the run, but remembered with it."""

import re
from pathlib import Path
from typing import Any

from misnet.tools.toolkit import CUDA_GRAPH, UsageError
from misnet.training.folder import read_config
from snncore.kernels.choice import ARITHMETICS, arithmetic_choice
from snncore.nearest import nearest_words

__all__ = ["OPTIONS", "process_options", "seconds_of"]

OPTIONS: dict[str, Any] = {
    "save_every": "10min",
    "device": "auto",
    "memory_limit": None,
    "tf32": False,
    "cuda_graph": "auto",
    "sync_batch_norm": None,  # with several ranks of less than 16 samples
    "arithmetic": "float32",  # or what SNNCORE_ARITHMETIC says, for a new run
    "log": "",  # metrics.csv and run.log alone
}
"""Each with its default."""

SWITCHES = ("tf32", "sync_batch_norm")
KINDS = {
    "save_every": str,
    "device": str,
    "memory_limit": int | float | None,
    "tf32": bool,
    "cuda_graph": str,
    "sync_batch_norm": bool | None,
    "arithmetic": str,
    "log": str,
}


def process_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return all options: those given, else those of the run that --resume names, else the defaults.

    Raises UsageError for a value in config.json that cannot be one, CheckpointError if that is no config.json.
    """
    known: dict[str, Any] = {}
    if "resume" in given:
        path = Path(given["resume"]) / "config.json"
        known = read_config(path).get("options", {})
        for name, value in known.items():
            if name not in OPTIONS:
                near = nearest_words(name, OPTIONS)
                raise UsageError(f"{path}: unknown option {name!r}; known are {', '.join(OPTIONS)}{near}")
            if not isinstance(value, KINDS[name]) or (isinstance(value, bool) and name not in SWITCHES):
                raise UsageError(f"{path}: {name}: expected a value like {OPTIONS[name]!r}, found {value!r}")
        if (graph := known.get("cuda_graph", "auto")) not in CUDA_GRAPH:
            raise UsageError(f"{path}: cuda_graph: expected auto, on or off, found {graph!r}")
        if known.setdefault("arithmetic", "float32") not in ARITHMETICS:  # older runs do not say, and have no other
            names = " or ".join(ARITHMETICS)
            raise UsageError(f"{path}: arithmetic: expected {names}, found {known['arithmetic']!r}")
        if "save_every" in known:
            seconds_of(known["save_every"], f"{path}: save_every")
    new = OPTIONS | {"arithmetic": arithmetic_choice()}
    return new | known | {name: given[name] for name in OPTIONS if name in given}


def seconds_of(text: str, label: str = "--save-every") -> float:
    """Return the seconds that a text such as 90s, 10min or 2h means; 0 is 0. Raises UsageError for another."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h)|0", text)
    if not found:
        raise UsageError(f"{label}: expected a time such as 90s, 10min or 2h, or 0, found {text!r}")
    return float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]] if found[1] else 0.0
