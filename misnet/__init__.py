"""MISNet, the multimodal interactive spiking neural network of Liu et al. 2025, on the snncore engine."""

import importlib
from typing import Any

_HOME = {
    "ConfigError": "misnet.config",
    "MISNetConfig": "misnet.config",
    "preset": "misnet.config",
    "MISNet": "misnet.model",
    "Outputs": "misnet.model",
    "loss": "misnet.model",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    # Imported when first used, so that `python -m misnet.config` does not find its own module loaded already.
    if name not in _HOME:
        raise AttributeError(f"module 'misnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
