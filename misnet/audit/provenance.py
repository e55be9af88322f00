"""What made an audit: command, date, software, machine, weights, training, prices; enough to have its figures again."""

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from misnet.training.machine import machine
from misnet.training.results import read_result
from snncore.backend import cupy_module
from snncore.checkpoint import CheckpointError
from snncore.energy import Prices

__all__ = [
    "SCHEMA",
    "date_of",
    "made_by",
    "maker_lines",
    "origin_lines",
    "price_lines",
    "price_values",
    "training_of",
]

SCHEMA = 1
"""Of the JSON file. Raise it when a key changes its meaning or goes; new keys alone do not. Older files have none."""


def made_by(command: str = "", device: str = "cpu") -> dict[str, Any]:
    """Return command, date (UTC), versions and machine of an audit that is made now.

    The date is that of the environment variable SOURCE_DATE_EPOCH, seconds since 1970, if it is set, so that the same
    command writes the same bytes (reproducible-builds.org). Raises ValueError if it is no such number.
    """
    found = machine()
    processor = {"cpu": found.pop("cpu"), "device": device_name(device)}
    return {"command": command, "date": date_of(os.environ), "versions": found} | processor


def date_of(environment: Mapping[str, str]) -> str:
    """Return the date in UTC, as 2026-01-31T12:00:00Z; ValueError for a SOURCE_DATE_EPOCH that is none."""
    text = environment.get("SOURCE_DATE_EPOCH", "")
    try:
        moment = datetime.fromtimestamp(int(text), timezone.utc) if text else datetime.now(timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {text!r}") from None
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def device_name(device: str) -> str:
    """Return the name of a GPU such as "cuda:0", or the architecture of the CPU."""
    if not device.startswith("cuda"):
        return platform.machine()
    card = cupy_module().cuda.runtime.getDeviceProperties(int(device.partition(":")[2] or 0))
    return card["name"].decode()


def training_of(folder: Path, content: Mapping[str, Any], checkpoint: str) -> dict[str, Any]:
    """Return how the weights of a run folder were trained: seed, epochs of the checkpoint, epochs that were planned.

    content: of its config.json. checkpoint: "last" or "best". epochs is None if metrics.csv does not tell.
    """
    settings = content["settings"]
    try:
        result = read_result(folder)
        epochs = int((result.last if checkpoint == "last" else result.best)["epoch"])
    except CheckpointError:
        epochs = None
    return {
        "folder": str(folder),
        "checkpoint": checkpoint,
        "seed": settings.get("seed", 0),
        "epochs": epochs,
        "epochs_planned": settings.get("epochs"),
        "settings": dict(settings),
        "versions": dict(content.get("versions", {})),
    }


def price_values(tables: Iterable[Prices]) -> dict[str, Any]:
    """Return every price of the tables, by name, with unit and source."""
    return {
        p.name: {
            "process": p.process,
            "source": p.source,
            "unit": "pJ",
            "bits": p.bits,
            "operation": {"mac": p.mac, "add": p.add, "mul": p.mul, "compare": p.compare, "special": p.special},
            "memory": {
                "access_bytes": p.access_bytes,
                "sram": [{"bytes": size, "access": price} for size, price in p.sram],
                "dram_access": p.dram,
            },
        }
        for p in tables
    }


def samples_words(report: Mapping[str, Any]) -> str:
    """Return how many samples were counted."""
    n = report["samples"]
    if report.get("by_rates"):
        return "no samples"
    return "samples unknown" if n is None else f"{n:,} sample{'' if n == 1 else 's'}"


def training_words(report: Mapping[str, Any]) -> str:
    """Return in words whether, and how, the weights were trained; nothing if that is not known."""
    run = report.get("run") or {}
    if report.get("trained") is False:
        return "NOT TRAINED: rates and energies say little about a trained network"
    if not run:
        return ""
    epochs = "unknown epochs" if run.get("epochs") is None else f"epoch {run['epochs']}"
    planned = f" of {run['epochs_planned']}" if run.get("epochs_planned") else ""
    more = "".join(f", {name} {run[name]}" for name in ("seed", "checkpoint") if run.get(name) is not None)
    return f"{epochs}{planned}{more}"


def origin_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what, words) on what was audited, in the order of reading; what is not known is left out."""
    data, sha256 = report["data"], report.get("weights_sha256")
    fingerprint = data.get("fingerprint")
    named = " ".join(str(data[key]) for key in ("name", "split") if data.get(key))
    lines = [
        ("weights", f"{report['weights']}{f', sha256 {sha256}' if sha256 else ''}"),
        ("training", training_words(report)),
        ("data", f"{named}{f', fingerprint {fingerprint}' if fingerprint else ''}"),
        ("accuracy", ", ".join(f"{head} {100 * share:.2f} %" for head, share in report.get("accuracy", {}).items())),
    ]
    return [(name, text) for name, text in lines if text]


def maker_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what, words) on what made the report: command, date, software, machine."""
    by, versions = report["provenance"], report["provenance"]["versions"]
    lines = [
        ("command", by["command"]),
        ("date", by["date"]),
        (
            "software",
            f"snncore {versions['snncore']}, Python {versions['python']}, NumPy {versions['numpy']}, "
            f"Numba {versions['numba']}, kernels {versions['kernels']}",
        ),
        ("machine", by["device"]),
    ]
    return [(name, text) for name, text in lines if text]


def price_lines(tables: Mapping[str, Any]) -> list[str]:
    """Return the prices of tables of `price_values` in words, with their sources."""
    lines = []
    for name, of in tables.items():
        operations = ", ".join(f"{key} {x:g}" for key, x in of["operation"].items() if x is not None)
        memory = of["memory"]
        sizes = ", ".join(f"{step['bytes']:,.0f} bytes {step['access']:g}" for step in memory["sram"])
        lines += [
            f"prices {name} (pJ): {operations}; an access of {memory['access_bytes']} bytes: SRAM of {sizes}, DRAM "
            f"{memory['dram_access']:g}",
            f"  {of['process']}. {of['source']}",
        ]
    return lines
