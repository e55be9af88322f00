"""What a command line of tools/train.py comes to: settings, data and network, and from them the run with its folder."""

import shlex
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misnet.datasets import Augmentation, BatchIterator, Dataset, Prefetch
from misnet.models.config import ModelConfig
from misnet.models.contract import Model
from misnet.models.registry import build
from misnet.tools.loudness import is_quiet
from misnet.tools.networks import new_config
from misnet.tools.parts import Parts, check_not_moved
from misnet.tools.process_options import process_options, seconds_of
from misnet.tools.ranks import device_of_rank, over_nccl, refuse_strangers, share_cores
from misnet.tools.settings import Choice, gather
from misnet.tools.taking_up import fingerprints, is_begun
from misnet.tools.toolkit import UsageError, arithmetic_from, device_from, wants_graph
from misnet.tools.train_ranks import Silent, synchronises
from misnet.training.journal import Journal
from misnet.training.lock import make_new_folder
from misnet.training.loggers import makers_of
from misnet.training.run import Run
from misnet.training.sources import check_place, read_source, start_from
from snncore.files import sha256_of
from snncore.optim import OPTIMIZERS
from snncore.parallel import Comm
from snncore.schedules import Constant, Cosine, Schedule, Step

__all__ = ["Plan", "check_is_free", "make_optimizer", "make_schedule", "network_of", "plan_of", "run_of"]


@dataclass(frozen=True)
class Plan:
    """A run that is to be.

    given: options of the command line. choice: settings and switches. options: of the process. makers: of loggers.
    comm, device: of this rank. summing: the block in which its arithmetic holds. parts: of the data, by name. data,
    stamps: fingerprint and stamp of each.
    """

    given: dict[str, Any]
    choice: Choice
    options: dict[str, Any]
    makers: list[Any]
    comm: Comm
    device: str
    summing: AbstractContextManager[None]
    config: ModelConfig
    parts: dict[str, Dataset]
    data: dict[str, str]
    stamps: dict[str, str]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the run."""
        return self.choice.settings

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes, in the order of the scores."""
        return self.parts["train"].class_names

    @property
    def recorded(self) -> dict[str, dict[str, Any]]:
        """Sections of config.json that may change without a word."""
        return {"options": self.options, "stamps": self.stamps}

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.comm.rank == 0

    @property
    def synchronised(self) -> bool:
        """Whether batch norms take the statistics of all ranks."""
        return synchronises(self.options["sync_batch_norm"], self.settings["batch_size"], self.comm)

    def batches(self, part: str, **order: Any) -> Prefetch:
        """Return this rank's share of the batches of a part."""
        shared = {"rank": self.comm.rank, "ranks": self.comm.size}
        return Prefetch(BatchIterator(self.parts[part], self.settings["batch_size"], **order, **shared))


def plan_of(given: dict[str, Any], switches: dict[str, Any], comm: Comm) -> Plan:
    """Return what the options and switches that were given come to; all that can be refused is, before data are read.

    Raises UsageError, ConfigError, BackendError, CheckpointError or DataError, and CommError where ranks differ.
    """
    choice = gather(given, switches)
    options = process_options(given)
    try:
        makers = makers_of(options["log"])
    except ValueError as error:
        raise UsageError(f"--log: {error}") from None
    device = device_of_rank(comm, options, device_from(options))
    comm = over_nccl(comm, device)
    share_cores(comm)
    summing = arithmetic_from(options)
    if _starts_from(given, choice):
        check_place(Path(choice.settings["weights"]))
    if given.keys() & {"resume", "config"}:
        check_not_moved(choice.settings, given)
    names = Parts(choice.settings).names
    config, found = new_config(choice.model, choice.switches, choice.given, choice.settings, *names)
    parts = dict(zip(names, found, strict=True))
    data, stamps = fingerprints(given, parts)
    whole = {"settings": choice.settings, "network": config.to_dict(), "options": options, "data": data}
    refuse_strangers(comm, whole)
    return Plan(given, choice, options, makers, comm, device, summing, config, parts, data, stamps)


def _starts_from(given: dict[str, Any], choice: Choice) -> bool:
    """Whether weights of another run are still to be copied."""
    resumed = "resume" in given and is_begun(Path(given["resume"]))
    return choice.settings["weights"] is not None and not resumed


def network_of(plan: Plan) -> tuple[Model, str]:
    """Return the network on its device, and a line on the weights that it begins with, if they are of another run."""
    model = build(plan.choice.model, plan.config, plan.settings["seed"])
    begun = begin_with(plan.settings["weights"], model, plan) if _starts_from(plan.given, plan.choice) else ""
    model.to(plan.device)
    return model, begun


def begin_with(place: str, model: Model, plan: Plan) -> str:
    """Copy the weights of a run or file into a fresh network, and return a line on what was taken and what was not."""
    source = read_source(Path(place))
    taken, fresh = start_from(model, plan.choice.model, source, plan.class_names)
    line = f"weights: {len(taken)} tensors of {source.path} (SHA-256 {sha256_of(source.path)[:12]}...)"
    if not fresh:
        return f"{line}, all there are"
    before = ", ".join(source.class_names or [f"{source.config.classes} others"])
    return f"{line}; {len(fresh)} start anew, as its classes are {before}: {', '.join(fresh)}"


def run_of(plan: Plan, model: Model) -> tuple[Run, Journal]:
    """Return the run, with its folder made, and what writes and speaks of it; nothing is trained or written yet."""
    settings, comm = plan.settings, plan.comm
    try:
        batches = plan.batches(
            "train", seed=settings["seed"], augment=Augmentation(settings["augment"], settings["seed"])
        )
        schedule = make_schedule(settings, len(batches))
        optimizer = make_optimizer(settings, model)
    except ValueError as error:
        raise UsageError(str(error)) from None
    folder = comm.exchange(make_folder(plan) if plan.first else None)[0]
    journal = Journal(folder, quiet=is_quiet()) if plan.first else Silent(folder)
    run = Run(
        folder=folder,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        train=batches,
        test=plan.batches("test", shuffle=False),
        val=plan.batches("val", shuffle=False) if "val" in plan.parts else None,
        epochs=settings["epochs"],
        device=plan.device,
        log=journal.log,
        warn=journal.warn,
        save_every=seconds_of(plan.options["save_every"]),
        accumulate=settings["accumulate"],
        clip_norm=settings["clip_norm"],
        patience=settings["patience"],
        origin={
            "model": plan.choice.model,
            "settings": settings,
            "network": plan.config.to_dict(),
            "class_names": list(plan.class_names),
            "arithmetic": plan.options["arithmetic"],
        },
        seed=settings["seed"],
        cuda_graph=wants_graph(plan.options["cuda_graph"], plan.device, comm.size),
        comm=comm,
        synchronised=plan.synchronised,
    )
    return run, journal


def make_schedule(settings: dict[str, Any], steps: int) -> Schedule:
    """Return the learning rate by step. steps: of an epoch."""
    rate, warmup = settings["lr"], settings["warmup_steps"]
    if settings["schedule"] == "constant":
        return Constant(rate, warmup_steps=warmup)
    if settings["schedule"] == "step":
        return Step(rate, settings["step_epochs"] * steps, settings["step_factor"], warmup_steps=warmup)
    return Cosine(rate, settings["epochs"] * steps, min(settings["final_lr"], rate), warmup_steps=warmup)


def make_optimizer(settings: dict[str, Any], model: Model) -> Any:
    """Return the optimizer of the settings over all parameters."""
    options = {"weight_decay": settings["weight_decay"]}
    if settings["optimizer"] == "sgd":
        options["momentum"] = settings["momentum"]
    return OPTIMIZERS[settings["optimizer"]](model.named_parameters(), settings["lr"], **options)


def make_folder(plan: Plan) -> Path:
    """Return the run folder, made; raises UsageError if it holds a run already."""
    given = plan.given
    if "resume" in given:
        return Path(given["resume"])
    if "output_dir" not in given:
        name = f"{plan.settings['dataset']}-{plan.config.title}-{time.strftime('%Y%m%d-%H%M%S')}"
        return make_new_folder(Path("runs") / name)
    folder = Path(given["output_dir"])
    check_is_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"--output-dir: {folder}: expected a folder, found a file of that name or above it") from None
    return folder


def check_is_free(folder: Path) -> None:
    """Raise UsageError if a folder holds a run."""
    if (folder / "config.json").exists():
        go_on = f"--resume {shlex.quote(str(folder))}"
        raise UsageError(f"--output-dir: {folder} holds a run already; go on with {go_on} or choose another")
