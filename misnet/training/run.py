"""A training run and its folder: what is written, when, and how a stopped run goes on.

    config.json           settings, model and its switches, fingerprints of the data, classes, versions
    metrics.csv           a row per epoch
    last.safetensors      weights, optimizer and position in the run; after every epoch, by time, and when stopped
    previous.safetensors  the one before, to fall back to if last is damaged
    best.safetensors      weights of the epoch with the best accuracy, in validation if there is any, else in the test
    curves.png            loss, accuracy and firing rate by epoch
    weights.csv           value or root mean square of each parameter at the start and after each epoch
    run.log               the lines that were printed, with times

Everything is replaced in one step, so that no file is ever half-written. Batch order depends on (seed, epoch), what
layers draw (dropout) on (seed, step, layer), and the learning rate on the step alone; with weights and optimizer state
that is all a resumed run needs to reach the same weights, bit for bit.
"""

import csv
import io
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from misnet.models.config import ConfigError
from misnet.models.contract import Model, take
from misnet.training.accumulate import accumulated_step
from misnet.training.folder import (
    compare_origin,
    copy_weights,
    load_model,
    load_run,
    part,
    read_config,
    write_config,
    write_file,
)
from misnet.training.graphed import GraphedSteps
from misnet.training.graphed_passes import GraphedPasses
from misnet.training.ranks import same_weights, share_of, sum_totals, take_from_first
from misnet.training.recording import peak_memory_mib
from misnet.training.selection import judged_by, out_of_patience
from misnet.training.state import State, load_newest, save_newest
from misnet.training.step import Diverged, Totals, evaluate, train_step
from misnet.training.watch import watch
from snncore.checkpoint import CheckpointError, save_checkpoint
from snncore.optim import Optimizer
from snncore.parallel import Comm, Share, slice_of
from snncore.schedules import Schedule
from snncore.upload import upload_ahead

__all__ = ["Batches", "Run", "Stopped", "load_model", "load_run", "read_config", "write_config"]


class Stopped(Exception):
    """The run was asked to stop, and its state is saved."""


class Batches(Protocol):
    """What a run needs of its data: `datasets.BatchIterator` has it."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, start_batch: int = 0) -> Any:
        """Return a generator of batches, as `train_step` takes them, from `start_batch` of epoch `number` on."""

    def samples_in(self, batch: int) -> int:
        """Return how many samples a batch has on all ranks together; not asked with one rank."""


@dataclass
class Run:
    """Trains `model` on `train` for `epochs`, evaluating on `test` after each, and keeps `folder` up to date.

    val: samples that choose the best epoch in place of `test`, evaluated after each epoch too. patience: epochs without
    a better one after which the run ends.
    stop: asked after every batch; True saves and raises Stopped. log: called with each line to print, warn with each
    warning. progress: wraps the batches of an epoch, for a progress bar: progress(batches, total, initial, text).
    save_every: seconds after which the state is saved within an epoch; 0 saves after epochs alone.
    accumulate: parts that a batch is computed in, one after another, for a single step. clip_norm: what the common norm
    of all gradients is limited to before a step.
    origin: the settings and switches that this run is trained with, kept in every checkpoint; a checkpoint of others is
    refused. after_epoch: called after each epoch, once all files of the folder are written.
    seed: of what layers draw while they train; the order of the batches is that of `train`.
    cuda_graph: launch steps and evaluation on a GPU as recorded graphs, where that can be and memory suffices
    (`misnet.training.graphed` and `graphed_passes`): on one rank, and not with `accumulate`. A line on each is logged.
    comm: the ranks that train together; `train`, `test` and `val` give this one its samples of each batch. Rank 0 alone
    writes, logs and warns. synchronised: whether batch norms take the statistics of the batch on all ranks.
    """

    folder: Path
    model: Model
    optimizer: Optimizer
    schedule: Schedule
    train: Batches
    test: Batches
    epochs: int
    device: str = "cpu"
    stop: Callable[[], bool] = lambda: False
    log: Callable[[str], None] = print
    progress: Callable[..., Any] = lambda batches, **_: batches
    warn: Callable[[str], None] = lambda line: None
    save_every: float = 0
    accumulate: int = 1
    clip_norm: float | None = None
    val: Batches | None = None
    patience: int | None = None
    origin: dict[str, Any] | None = None
    after_epoch: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    seed: int = 0
    cuda_graph: bool = False
    comm: Comm = field(default_factory=Comm)
    synchronised: bool = False

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    best: float = -1.0

    def __post_init__(self) -> None:
        self.totals = Totals()
        self.rows: list[dict[str, Any]] = []
        self.warned: list[str] = []
        self.saved_at = self.clock()
        self.last_is_whole = True
        self.graphed: GraphedSteps | None = None
        self.passes: GraphedPasses | None = None

    def resume(self) -> None:
        """Go on from the newest checkpoint in the folder that is whole.

        Raises CheckpointError if there is none, or if it is not one of this run.
        """
        arrays, metadata, path, damage = load_newest(self.folder)
        state = self._checked(metadata, path)
        copy_weights(arrays, self.model, path)
        try:
            self.optimizer.load_state_dict(part(arrays, "optimizer/"))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"checkpoint {path}: holds weights but not the state of a run: {error}") from None
        if damage is not None:
            self.warn(f"{damage}; going on from {path.name}, the one before")
            self.last_is_whole = False
        self.epoch, self.batch, self.best = state.epoch, state.batch, state.best
        self.totals, self.rows, self.warned = state.totals, state.rows, state.warned
        if self.rows:
            self._write_metrics()  # the run may have ended between the two files

    def join(self) -> None:
        """Take from rank 0 where the run stands, once that has resumed or begun: weights, optimizer, place, rows."""
        place = (self.epoch, self.batch, self.best, self.rows, self.warned)
        self.epoch, self.batch, self.best, self.rows, self.warned = self.comm.exchange(place)[0]
        take_from_first(self.model, self.optimizer, self.comm)

    def _checked(self, metadata: dict[str, Any], path: Path) -> State:
        try:
            state = State.from_dict(metadata, list(self.model.heads))
        except ValueError as error:
            raise CheckpointError(f"checkpoint {path}: holds weights but not the state of a run: {error}") from None
        if state.batch > len(self.train):
            raise CheckpointError(
                f"checkpoint {path}: was written after batch {state.batch} of an epoch, which here has "
                f"{len(self.train)} batches"
            )
        if self.origin is not None and state.origin is not None:
            compare_origin(state.origin, self.origin, self.folder / "config.json")
        if (state.epoch, state.batch) > (self.epochs, 0):
            raise CheckpointError(
                f"checkpoint {path}: stands at epoch {state.epoch + 1}, batch {state.batch + 1}, beyond the "
                f"{self.epochs} epochs of the run"
            )
        return state

    def run(self) -> None:
        """Train to the last epoch, or until patience ends; raises Stopped, or Diverged if the loss is not finite."""
        while not self.finished:
            self._train_epoch()
            self._finish_epoch()
        for recorded in (self.graphed, self.passes):
            if recorded is not None and recorded.recorder is not None:
                recorded.recorder.release()  # to whatever this process does next

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or no better one is awaited."""
        return self.epoch >= self.epochs or out_of_patience(self.rows, self.verdict, self.patience)

    @property
    def verdict(self) -> str:
        """The head whose accuracy tells how good an epoch is: the first of the model."""
        return next(iter(self.model.heads))

    def _train_epoch(self) -> None:
        text = f"epoch {self.epoch + 1}/{self.epochs}"
        with closing(self.train.epoch(self.epoch, self.batch)) as batches:  # a thread may be making them
            shown = self.progress(batches, total=len(self.train), initial=self.batch, text=text)
            for batch in upload_ahead((take(self.model, batch) for batch in shown), self.device):
                started = time.perf_counter()
                self._train_step(batch)
                self.totals.seconds += time.perf_counter() - started
                self.batch += 1
                self._stop_or_save()

    def _share(self, data: Batches, batch: int, here: int) -> Share:
        """Return this rank's share of a batch of `data`, of which it has `here` samples."""
        comm = self.comm
        if comm.size == 1:
            return share_of(comm, 0, here, here, False)
        total = data.samples_in(batch)
        place = slice_of(total, comm.rank, comm.size)
        if place.stop - place.start != here:
            raise ValueError(f"batch {batch + 1}: expected {place} of {total} samples here, found {here} samples")
        return share_of(comm, place.start, place.stop, total, self.synchronised)

    def _train_step(self, batch: tuple[Any, ...]) -> None:
        step = self.epoch * len(self.train) + self.batch
        share = self._share(self.train, self.batch, len(batch[-1]))
        counts = self.totals if self.comm.rank == 0 or not share.whole else Totals()  # samples are counted once
        what = (self.model, self.optimizer, self.schedule(step), batch, counts, step)
        try:
            if self.accumulate > 1:
                accumulated_step(*what, self.accumulate, self.seed, self.clip_norm, share)
            elif self.cuda_graph and self.comm.size == 1:
                if self.graphed is None:
                    shared = None if self.passes is None else self.passes.recorder
                    self.graphed = GraphedSteps(self.model, self.optimizer, self.log, shared)
                self.graphed.step(*what[2:], self.seed, self.clip_norm)
            else:
                train_step(*what, self.seed, self.clip_norm, share)
        except ValueError as error:
            if len(batch[-1]) > 1:
                raise
            # One sample of one timestep has no variance: a normalisation over T and N cannot train on it.
            raise ConfigError(
                f"batch_size: batch {self.batch + 1} of an epoch has one sample, which this network cannot train on "
                f"({error}); choose another number of samples a batch"
            ) from None

    def _stop_or_save(self) -> None:
        asked = self.stop()
        due = bool(self.save_every) and self.clock() - self.saved_at >= self.save_every
        stop, due = self.comm.any(asked, due and self.comm.rank == 0)
        if stop:
            self.save()
            raise Stopped
        if due:
            self.save()

    def _evaluate(self, part: str, data: Batches) -> Totals:
        def shown() -> Any:
            with closing(data.epoch(0)) as batches:
                for k, batch in enumerate(self.progress(batches, total=len(data), initial=0, text=part)):
                    share = self._share(data, k, len(take(self.model, batch)[-1]))
                    if self.comm.rank == 0 or not share.whole:
                        yield batch
                    self._stop_or_save()  # the epoch is trained; a resumed run evaluates it again

        with np.errstate(all="ignore"):
            here = evaluate(self.model, shown(), self.device, passes=self._passes())
            result = sum_totals(here, self.comm)
        if not math.isfinite(result.loss):
            raise Diverged(f"epoch {self.epoch + 1}: the {part} loss is {result.loss}; the last checkpoint is kept")
        return result

    def _passes(self) -> GraphedPasses | None:
        """Who evaluates as a recorded graph, if that is wanted; not where batches are cut for want of memory."""
        if self.passes is None and self.cuda_graph and self.comm.size == 1 and self.accumulate == 1:
            shared = None if self.graphed is None else self.graphed.recorder
            self.passes = GraphedPasses(self.model, self.log, shared)
        return self.passes

    def _finish_epoch(self) -> None:
        trained = sum_totals(self.totals, self.comm)
        row: dict[str, Any] = {"epoch": self.epoch + 1}
        row |= trained.row("train") | self._evaluate("test", self.test).row("test")
        if self.val is not None:
            row |= self._evaluate("val", self.val).row("val")
        row["learning_rate"] = self.schedule((self.epoch + 1) * len(self.train) - 1)
        row["samples_per_second"] = trained.samples / max(trained.seconds, 1e-9)
        row["peak_memory_mib"] = peak_memory_mib(self.device)
        self.rows.append(row)
        accuracy = row[f"{judged_by(row)}_accuracy_{self.verdict}"]
        better = accuracy > self.best
        self.best = max(self.best, accuracy)
        self.epoch, self.batch, self.totals = self.epoch + 1, 0, Totals()
        found = watch(self.model, trained, self.rows, self.warned)
        self.warned = sorted(set(self.warned) | set(found))
        if better and self.comm.rank == 0:
            weights = {f"model/{name}": x for name, x in self.model.state_dict().items()}
            said = {"epoch": self.epoch, "row": row, "origin": self.origin}
            save_checkpoint(self.folder / "best.safetensors", weights, said)
        self.save()
        if self.comm.rank > 0:
            return
        self._write_metrics()
        self.log(describe(row, self.epochs))
        for line in found.values():
            self.warn(f"epoch {self.epoch}: {line}")
        self.after_epoch()

    def save(self) -> None:
        """Write where all ranks stand; raises Diverged if they do not have the same weights."""
        if (name := same_weights(self.model.state_dict(), self.comm)) is not None:
            raise Diverged(f"epoch {self.epoch + 1}, batch {self.batch + 1}: {name} is not the same on all ranks")
        totals = sum_totals(self.totals, self.comm)
        if self.comm.rank == 0:
            self.write(totals)

    def write(self, totals: Totals | None = None) -> None:
        """Write last.safetensors: weights, optimizer state, and where the run stands; totals: of all ranks."""
        tensors = {f"model/{name}": x for name, x in self.model.state_dict().items()}
        tensors |= {f"optimizer/{name}": x for name, x in self.optimizer.state_dict().items()}
        totals = self.totals if totals is None else totals
        state = State(self.epoch, self.batch, self.best, totals, self.rows, self.origin, self.warned)
        save_newest(self.folder, tensors, state, rotate=self.last_is_whole)
        self.last_is_whole, self.saved_at = True, self.clock()

    def _write_metrics(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_file(self.folder / "metrics.csv", text.getvalue().encode())


def describe(row: dict[str, Any], epochs: int) -> str:
    """Return the line that is printed for an epoch."""

    def accuracies(part: str) -> str:
        start = f"{part}_accuracy_"
        heads = {key.removeprefix(start): x for key, x in row.items() if key.startswith(start)}
        return f"{part} " + " ".join(f"{head} {100 * x:.1f}%" for head, x in heads.items())

    parts = ("test",) if judged_by(row) == "test" else ("val", "test")
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['train_loss']:.4f}  {'  '.join(map(accuracies, parts))}  "
        f"firing rate {row['test_firing_rate']:.3f}  {row['samples_per_second']:.1f} samples/s  "
        f"peak memory {row['peak_memory_mib']:.0f} MiB"
    )
