"""The machine that a run began on, and what is another on the one where it goes on."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

import snncore
from snncore.kernels.choice import kernel_choice, runs_compiled

__all__ = ["machine", "other_machine"]


def machine() -> dict[str, str]:
    """Return what decides the last bits of a run besides its settings: versions, kernels, and features of the CPU."""
    features = np.show_config(mode="dicts").get("SIMD Extensions", {})  # type: ignore[union-attr]
    return {
        "snncore": snncore.__version__,
        "numpy": np.__version__,
        "numba": version("numba"),
        "python": platform.python_version(),
        "kernels": kernel_choice() if runs_compiled() else "reference",
        "cpu": " ".join([platform.machine(), *features.get("baseline", []), *features.get("found", [])]),
    }


def other_machine(before: Mapping[str, Any]) -> str:
    """Return what differs from the `machine` that a run began on, or nothing; Python's own version changes no number.

    before: the section "versions" of a config.json, where earlier versions wrote less.
    """
    now, found = machine(), []
    for name in (name for name in now if name in before and name != "python" and before[name] != now[name]):
        was, features = str(before[name]).split(), now[name].split()
        if name == "cpu":
            parts = [
                ("without", [x for x in was if x not in features]),
                ("with", [x for x in features if x not in was]),
            ]
            found.append("another CPU, " + " and ".join(f"{word} {' '.join(xs)}" for word, xs in parts if xs))
        else:
            found.append(f"{name} {now[name]} in place of {before[name]}")
    return ", ".join(found)
