"""Train a network: `python tools/train.py --variant S`. The command line and its help: `train_options`."""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import math
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

from misnet.datasets import Augmentation, BatchIterator, Prefetch
from misnet.datasets.batching.hang import in_time
from misnet.models.config import ModelConfig
from misnet.models.contract import Model, sizes
from misnet.models.options import first_look, split
from misnet.models.registry import build
from misnet.tools.loudness import is_quiet, is_verbose
from misnet.tools.naming import called
from misnet.tools.networks import new_config
from misnet.tools.parts import Parts
from misnet.tools.process_options import process_options, seconds_of
from misnet.tools.ranks import Watch, device_of_rank, job, over_nccl, refuse_ranks, refuse_strangers, share_cores
from misnet.tools.seeds import is_of_seeds, train_seeds
from misnet.tools.settings import Choice, gather, model_of
from misnet.tools.taking_up import fingerprints, is_begun, take_up
from misnet.tools.toolkit import (
    STOPPED,
    StopRequest,
    UsageError,
    arithmetic_from,
    device_from,
    progress,
    run_tool,
)
from misnet.tools.train_options import make_parser
from misnet.tools.train_ranks import Silent, describe_sharing, synchronises
from misnet.training.journal import EVALUATED, Journal
from misnet.training.lock import FolderLock, make_new_folder
from misnet.training.loggers import Loggers, makers_of
from misnet.training.machine import machine
from misnet.training.memory import available_mib, probe, warning
from misnet.training.run import Run, Stopped, write_config
from misnet.training.selection import describe_best, describe_early_end
from misnet.training.sources import read_source, start_from
from snncore.files import sha256_of
from snncore.optim import OPTIMIZERS
from snncore.parallel import Comm, world
from snncore.schedules import Constant, Cosine, Schedule


def make_schedule(settings: dict[str, Any], steps: int) -> Schedule:
    """Return the learning rate by step."""
    warmup = settings["warmup_steps"]
    if settings["schedule"] == "constant":
        return Constant(settings["lr"], warmup_steps=warmup)
    return Cosine(settings["lr"], steps, min(settings["final_lr"], settings["lr"]), warmup_steps=warmup)


def make_optimizer(settings: dict[str, Any], model: Model) -> Any:
    """Return the optimizer of the settings over all parameters."""
    options = {"weight_decay": settings["weight_decay"]}
    if settings["optimizer"] == "sgd":
        options["momentum"] = settings["momentum"]
    return OPTIMIZERS[settings["optimizer"]](model.named_parameters(), settings["lr"], **options)


def make_folder(given: dict[str, Any], settings: dict[str, Any], config: ModelConfig) -> Path:
    """Return the run folder, made; raises UsageError if it holds a run already."""
    if "resume" in given:
        return Path(given["resume"])
    if "output_dir" not in given:
        name = f"{settings['dataset']}-{config.title}-{time.strftime('%Y%m%d-%H%M%S')}"
        return make_new_folder(Path("runs") / name)
    folder = Path(given["output_dir"])
    check_is_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_is_free(folder: Path) -> None:
    """Raise UsageError if a folder holds a run."""
    if (folder / "config.json").exists():
        go_on = f"--resume {shlex.quote(str(folder))}"
        raise UsageError(f"--output-dir: {folder} holds a run already; go on with {go_on} or choose another")


def main() -> int:
    """Train, with one seed or several, and return the exit status."""
    comm = world()
    with job(comm):
        name = model_of(first_look(None, "config", "resume"))
        given, switches = split(vars(make_parser(name).parse_args()))
        seconds_of(given.get("save_every", "0"))  # a wrong option first, before files are read
        if not is_of_seeds(given):
            return train(given, switches, comm=comm)
        refuse_ranks(comm, {"--seeds": True}, "train the seeds one by one")
        return train_seeds(given, switches, train)


def train(
    given: dict[str, Any], switches: dict[str, Any], stop: StopRequest | None = None, comm: Comm | None = None
) -> int:
    """Train one run as the options and switches say that were given, and return the exit status.

    stop: asked after each batch; by default signals are turned into one once training begins. comm: the processes that
    train together, by default this one alone; rank 0 writes and speaks.
    """
    comm = comm or Comm()
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
    settings = choice.settings
    names = Parts(settings).names
    config, found = new_config(choice.model, choice.switches, choice.given, settings, *names)
    parts = dict(zip(names, found, strict=True))
    data, stamps = fingerprints(given, parts)
    recorded = {"options": options, "stamps": stamps}
    whole = {"settings": settings, "network": config.to_dict(), "options": options, "data": data}
    refuse_strangers(comm, whole)
    augment = Augmentation(settings["augment"], settings["seed"])
    own = {"rank": comm.rank, "ranks": comm.size}
    model = build(choice.model, config, settings["seed"])
    class_names = parts["train"].class_names
    resumed = "resume" in given and is_begun(Path(given["resume"]))
    begun = (
        "" if settings["weights"] is None or resumed else begin_with(settings["weights"], model, choice, class_names)
    )
    model.to(device)
    try:
        batches = Prefetch(
            BatchIterator(parts["train"], settings["batch_size"], seed=settings["seed"], augment=augment, **own)
        )
        schedule = make_schedule(settings, settings["epochs"] * len(batches))
        optimizer = make_optimizer(settings, model)
    except ValueError as error:
        raise UsageError(str(error)) from None
    folder = comm.exchange(make_folder(given, settings, config) if comm.rank == 0 else None)[0]
    journal = Journal(folder, quiet=is_quiet()) if comm.rank == 0 else Silent(folder)
    loggers = Loggers(makers if comm.rank == 0 else [], journal.warn)
    synchronised = synchronises(options["sync_batch_norm"], settings["batch_size"], comm)

    def in_order(part: str) -> Prefetch:
        return Prefetch(BatchIterator(parts[part], settings["batch_size"], shuffle=False, **own))

    run = Run(
        folder=folder,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        train=batches,
        test=in_order("test"),
        val=in_order("val") if "val" in parts else None,
        epochs=settings["epochs"],
        device=device,
        log=journal.log,
        warn=journal.warn,
        save_every=seconds_of(options["save_every"]),
        accumulate=settings["accumulate"],
        clip_norm=settings["clip_norm"],
        patience=settings["patience"],
        origin={
            "model": choice.model,
            "settings": settings,
            "network": config.to_dict(),
            "class_names": list(class_names),
            "arithmetic": options["arithmetic"],
        },
        seed=settings["seed"],
        cuda_graph=options["cuda_graph"] == "on",
        comm=comm,
        synchronised=synchronised,
    )

    def after_epoch() -> None:
        journal.curves(run.rows, model.heads)
        journal.weights(run.epoch, model)
        loggers(run.rows[-1])
        journal.epoch_done(run.epochs - run.epoch)

    run.after_epoch = after_epoch
    with FolderLock(folder) if comm.rank == 0 else nullcontext(), summing, closing(loggers):
        goes_on = True
        if comm.rank == 0 and "resume" not in given:
            check_is_free(folder)  # nobody can begin one now
            run.write()  # before config.json, so that whatever has one can go on
            write_config(folder, settings, choice.model, config, data, class_names, **recorded)
            journal.weights(0, model)
        elif comm.rank == 0:
            goes_on = take_up(run, journal, given, recorded, data)
        if not comm.exchange(goes_on)[0]:
            return 0
        run.join()
        loggers.begin(folder, run.rows)
        samples = "pairs" if len(model.streams) == 2 else "samples"
        words = {"train": "training", "val": "validation", "test": "test"}
        *most, last = [f"{len(found)} {words[part]}" for part, found in parts.items()]
        memory = expected_memory(run, settings, journal)
        watch = Watch(comm, "The last checkpoint is whole; --resume goes on from it", folder / "run.log")
        if comm.size > 1:
            journal.log(f"{describe_sharing(comm, settings['batch_size'], synchronised)}: {watch.describe()}")
        journal.log(
            f"{config.title}, {model.count_parameters():,} parameters, T={config.timesteps}, {sizes(config)}; "
            f"{settings['dataset']}: {', '.join(most)} and {last} {samples}; "
            f"{device}{memory}; writing {folder}"
        )
        if is_verbose():
            for name, values in {"settings": settings, "network": config.to_dict(), "machine": machine()}.items():
                journal.log(f"{name}: {', '.join(f'{key}={value}' for key, value in values.items())}")
        if begun:
            journal.log(begun)
        with watch:
            return train_to_the_end(run, journal, stop or StopRequest())


def begin_with(place: str, model: Model, choice: Choice, class_names: Sequence[str]) -> str:
    """Copy the weights of a run or file into a fresh network, and return a line on what was taken and what was not."""
    source = read_source(Path(place))
    taken, fresh = start_from(model, choice.model, source, class_names)
    line = f"weights: {len(taken)} tensors of {source.path} (SHA-256 {sha256_of(source.path)[:12]}...)"
    if not fresh:
        return f"{line}, all there are"
    before = ", ".join(source.class_names or [f"{source.config.classes} others"])
    return f"{line}; {len(fresh)} start anew, as its classes are {before}: {', '.join(fresh)}"


def expected_memory(run: Run, settings: dict[str, Any], journal: Journal) -> str:
    """Return words on the memory that training will take, and warn if there is less; nothing on a GPU."""
    if run.device != "cpu":
        return ""
    batch, parts = (
        -(-min(settings["batch_size"], settings["limit_train"] or settings["batch_size"]) // run.comm.size),
        run.accumulate,
    )
    found = probe(run.model)
    if line := warning(found, batch, parts, available_mib()):
        journal.warn(line)
    averages = sum(x.nbytes for x in run.optimizer.state_dict().values()) / 2**20  # the first step fills them
    total = found.total(math.ceil(batch / parts)) + averages
    return "" if math.isnan(total) else f", about {total:.0f} MiB"


def train_to_the_end(run: Run, journal: Journal, stop: StopRequest) -> int:
    """Train, and return the exit status."""
    folder = shlex.quote(str(run.folder))
    first = True

    def shown(batches: Any, total: int, initial: int, text: str) -> Any:
        nonlocal first
        if run.comm.size > 1:
            batches = in_time(batches, run.comm, text)
        if run.comm.rank > 0:
            return batches
        if first:
            evaluated = len(run.test) + (0 if run.val is None else len(run.val))
            left = (run.epochs - run.epoch) * (len(run.train) + EVALUATED * evaluated) - initial
            batches, first = journal.timed(batches, left), False
        return progress(batches, total, initial, text)

    run.stop, run.progress = stop, shown
    if run.batch == 0:
        journal.epoch_begins()
    try:
        run.run()
    except Stopped:
        line = f"stopped and saved; go on with: {called('train')} --resume {shlex.quote(str(folder))}"
        with suppress(OSError, ValueError):  # the terminal may be gone
            if run.comm.rank == 0:
                print(line, file=sys.stderr)
        return STOPPED
    if run.epoch < run.epochs:
        journal.log(f"ended early: {describe_early_end(run.rows, run.patience, run.epochs)}")
    journal.log(f"{describe_best(run.rows, run.verdict)}; see {run.folder / 'curves.png'}", result=True)
    journal.log(f"look closer with: {called('evaluate')} {shlex.quote(str(folder))}")
    return 0


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
