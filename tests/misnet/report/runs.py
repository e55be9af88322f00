"""What a report is made of, with chosen figures: nothing is trained, and what is counted is that of audit/reports."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from misnet.report.run import RunReport
from misnet.training.results import Result
from tests.misnet.audit.reports import make_report
from tests.misnet.tiny import tiny_config

HEADS = {"av": "both modalities", "a": "audio head alone", "v": "visual head alone"}
NAMES = ["cat", "dog", "siren"]
CONFUSION = [[4, 1, 0], [0, 5, 0], [2, 1, 3]]
EVALUATION = {
    "samples": 16,
    "classes": [
        {"class": name, "samples": 5, "precision": 0.5, "recall": recall, "f1": 0.6}
        for name, recall in zip(NAMES, (0.8, 1.0, 0.5), strict=True)
    ],
    "confusion": CONFUSION,
}
MADE = {
    "command": "python tools/report.py runs/a & b",
    "date": "2026-01-31T12:00:00Z",
    "versions": {"snncore": "0.1.0", "python": "3.11.7", "numpy": "2.4.0", "numba": "0.60", "kernels": "cpu"},
    "device": "x86_64",
}


def make_rows(epochs, first=0.25):
    """Rows as metrics.csv has them; the test accuracy of the verdict grows by a tenth an epoch."""
    names = {"loss": 0.5, "accuracy_av": first, "accuracy_a": 0.125, "accuracy_v": 0.0625, "firing_rate": 0.1}
    return [
        {"epoch": k + 1}
        | {
            f"{part}_{name}": x + 0.1 * k * (name == "accuracy_av")
            for part in ("train", "test")
            for name, x in names.items()
        }
        | {"learning_rate": 1e-3, "samples_per_second": 100.0, "peak_memory_mib": 500.0}
        for k in range(epochs)
    ]


def make_run(folder="runs/a", seed=0, epochs=3, done=None, audit=True, **changes):
    """A run of so many epochs, of which `done` are."""
    content = {
        "settings": {"dataset": "dialpad", "seed": seed, "epochs": epochs, "lr": 0.01},
        "model": "misnet",
        "network": tiny_config().to_dict(),
        "data": {"train": "1" * 64, "test": "2" * 64},
        "class_names": NAMES,
        "options": {"device": "cpu"},
        "versions": {"snncore": "0.1.0", "numpy": "2.4.0"},
    }
    rows = make_rows(epochs if done is None else done, 0.25 + 0.1 * seed)
    known = {
        "folder": Path(folder),
        "content": content,
        "title": "MISNet-XS on dialpad",
        "heads": HEADS,
        "parameters": 1234,
        "changed": {"lr": 0.01},
        "result": Result(Path(folder), content, rows, {}) if rows else None,
        "evaluation": EVALUATION,
        "audit": make_report(weights_sha256=f"{seed}" * 64) if audit else None,
        "measured": "weights of last.safetensors, after epoch 3",
    }
    return RunReport(**(known | changes))


def picture(path):
    """Write a small PNG and return its path."""
    content = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 128, np.uint8)).save(content, format="png")
    path.write_bytes(content.getvalue())
    return path
