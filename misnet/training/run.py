"""A training run and its folder: what is written, when, and how a stopped run goes on.

    config.json        settings, switches of the network, fingerprints of the data, versions
    metrics.csv        a row per epoch
    last.safetensors   weights, optimizer and position in the run; after every epoch and when stopped
    best.safetensors   weights of the epoch with the best test accuracy
    curves.png         loss, accuracy and firing rate by epoch

Everything is replaced in one step, so that no file is ever half-written. Batch order depends on (seed, epoch) and
the learning rate on the step alone; with weights and optimizer state that is all a resumed run needs to reach the
same weights, bit for bit.
"""

import csv
import io
import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import snncore
from misnet.models.misnet.config import ConfigError, MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.training.recording import peak_memory_mib
from misnet.training.step import Diverged, Totals, evaluate, train_step
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from snncore.files import replace_file
from snncore.optim import Optimizer
from snncore.schedules import Schedule
from snncore.upload import upload_ahead

__all__ = ["Batches", "Run", "Stopped", "load_model", "read_config", "write_config"]


class Stopped(Exception):
    """The run was asked to stop, and its state is saved."""


class Batches(Protocol):
    """What a run needs of its data: `datasets.BatchIterator` has it."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, start_batch: int = 0) -> Any:
        """Return a generator of (audio, video, labels) from batch `start_batch` of epoch `number` on."""


def write_config(folder: Path, settings: dict[str, Any], config: MISNetConfig, data: dict[str, str]) -> None:
    """Write config.json: settings of the run, switches of the network, fingerprint of each split, versions."""
    content = {
        "settings": settings,
        "network": config.to_dict(),
        "data": data,
        "versions": {"snncore": snncore.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    replace_file(folder / "config.json", (json.dumps(content, indent=2) + "\n").encode())


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a config.json; raises CheckpointError if it is missing, not one, or of no network."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected the config.json of a training run") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(k), dict) for k in ("settings", "network")):
        raise CheckpointError(f'{path}: expected an object with "settings" and "network", as a run writes it')
    try:
        MISNetConfig.from_dict(content["network"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return content


def load_model(model: MISNet, path: Path) -> dict[str, Any]:
    """Copy the weights in checkpoint `path` into `model` and return its metadata; raises CheckpointError."""
    arrays, metadata = load_checkpoint(path)
    _copy_weights(arrays, model, path)
    return metadata


def _copy_weights(arrays: dict[str, np.ndarray], model: MISNet, path: Path) -> None:
    model.load_state_dict(_part(arrays, "model/"), f"checkpoint {path} for MISNet-{model.config.variant}")


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}


@dataclass
class Run:
    """Trains `model` on `train` for `epochs`, evaluating on `test` after each, and keeps `folder` up to date.

    stop: asked after every batch; True saves and raises Stopped. log: called with each line to print.
    progress: wraps the batches of an epoch, for a progress bar: progress(batches, total, initial, text).
    """

    folder: Path
    model: MISNet
    optimizer: Optimizer
    schedule: Schedule
    train: Batches
    test: Batches
    epochs: int
    device: str = "cpu"
    stop: Callable[[], bool] = lambda: False
    log: Callable[[str], None] = print
    progress: Callable[..., Any] = lambda batches, **_: batches

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    best: float = -1.0

    def __post_init__(self) -> None:
        self.totals = Totals()
        self.rows: list[dict[str, Any]] = []

    def resume(self) -> None:
        """Go on from last.safetensors in the folder; raises CheckpointError if there is none or it does not fit."""
        path = self.folder / "last.safetensors"
        arrays, metadata = load_checkpoint(path)
        _copy_weights(arrays, self.model, path)
        try:
            self.optimizer.load_state_dict(_part(arrays, "optimizer/"))
            self.epoch, self.batch, self.best = metadata["epoch"], metadata["batch"], metadata["best"]
            self.totals, self.rows = Totals(**metadata["totals"]), metadata["rows"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"checkpoint {path}: holds weights but not the state of a run: {error}") from None
        if self.batch > len(self.train):
            raise CheckpointError(
                f"checkpoint {path}: was written after batch {self.batch} of an epoch, which here has "
                f"{len(self.train)} batches"
            )
        if self.rows:
            self._write_metrics()  # the run may have ended between the two files

    def run(self) -> None:
        """Train to the last epoch; raises Stopped, or Diverged if the loss is not finite."""
        while self.epoch < self.epochs:
            self._train_epoch()
            self._finish_epoch()

    def _train_epoch(self) -> None:
        text = f"epoch {self.epoch + 1}/{self.epochs}"
        with closing(self.train.epoch(self.epoch, self.batch)) as batches:  # a thread may be making them
            shown = self.progress(batches, total=len(self.train), initial=self.batch, text=text)
            for batch in upload_ahead(shown, self.device):
                started = time.perf_counter()
                step = self.epoch * len(self.train) + self.batch
                train_step(self.model, self.optimizer, self.schedule(step), batch, self.totals, step)
                self.totals.seconds += time.perf_counter() - started
                self.batch += 1
                self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.stop():
            self.save()
            raise Stopped

    def _test_batches(self) -> Any:
        with closing(self.test.epoch(0)) as batches:
            for batch in self.progress(batches, total=len(self.test), initial=0, text="test"):
                yield batch
                self._stop_if_asked()  # the epoch is trained; a resumed run evaluates it again

    def _finish_epoch(self) -> None:
        with np.errstate(all="ignore"):
            result = evaluate(self.model, self._test_batches(), self.device)
        if not math.isfinite(result.loss):
            raise Diverged(f"epoch {self.epoch + 1}: the test loss is {result.loss}; the last checkpoint is kept")
        trained = self.totals
        row: dict[str, Any] = {"epoch": self.epoch + 1}
        row |= trained.row("train") | result.row("test")
        row["learning_rate"] = self.schedule((self.epoch + 1) * len(self.train) - 1)
        row["samples_per_second"] = trained.samples / max(trained.seconds, 1e-9)
        row["peak_memory_mib"] = peak_memory_mib(self.device)
        self.rows.append(row)
        better = row["test_accuracy_av"] > self.best
        self.best = max(self.best, row["test_accuracy_av"])
        self.epoch, self.batch, self.totals = self.epoch + 1, 0, Totals()
        if better:
            weights = {f"model/{name}": x for name, x in self.model.state_dict().items()}
            save_checkpoint(self.folder / "best.safetensors", weights, {"epoch": self.epoch, "row": row})
        self.save()
        self._write_metrics()
        self.log(describe(row, self.epochs))

    def save(self) -> None:
        """Write last.safetensors: weights, optimizer state, and where the run stands."""
        tensors = {f"model/{name}": x for name, x in self.model.state_dict().items()}
        tensors |= {f"optimizer/{name}": x for name, x in self.optimizer.state_dict().items()}
        metadata = {
            "epoch": self.epoch,
            "batch": self.batch,
            "best": self.best,
            "totals": self.totals.to_dict(),
            "rows": self.rows,
        }
        save_checkpoint(self.folder / "last.safetensors", tensors, metadata)

    def _write_metrics(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        replace_file(self.folder / "metrics.csv", text.getvalue().encode())


def describe(row: dict[str, Any], epochs: int) -> str:
    """Return the line that is printed for an epoch."""
    accuracy = " ".join(f"{name} {100 * row[f'test_accuracy_{name}']:.1f}%" for name in ("av", "a", "v"))
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['train_loss']:.4f}  test {accuracy}  "
        f"firing rate {row['test_firing_rate']:.3f}  {row['samples_per_second']:.1f} samples/s  "
        f"peak memory {row['peak_memory_mib']:.0f} MiB"
    )
