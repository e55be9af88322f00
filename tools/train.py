"""Train a network: `python tools/train.py --variant S`. The command line and its help: `train_options`."""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import gc
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from typing import Any

from misnet.datasets import DataError
from misnet.datasets.batching.hang import in_time
from misnet.datasets.registry import data_options
from misnet.models.contract import sizes
from misnet.models.options import first_look, split
from misnet.tools.loudness import is_verbose
from misnet.tools.naming import called
from misnet.tools.process_options import seconds_of
from misnet.tools.ranks import Watch, job, refuse_ranks
from misnet.tools.seeds import is_of_seeds, train_seeds
from misnet.tools.settings import model_of
from misnet.tools.taking_up import take_up
from misnet.tools.toolkit import STOPPED, StopRequest, progress, run_tool
from misnet.tools.train_options import make_parser
from misnet.tools.train_plan import Plan, check_is_free, network_of, plan_of, run_of
from misnet.tools.train_ranks import describe_sharing
from misnet.training.ahead import helped
from misnet.training.journal import EVALUATED, Journal
from misnet.training.lock import FolderLock
from misnet.training.loggers import Loggers
from misnet.training.machine import machine
from misnet.training.memory import available_mib, probe, warning
from misnet.training.run import Run, Stopped, write_config
from misnet.training.selection import describe_best, describe_early_end
from snncore.launcher import world
from snncore.parallel import Comm


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
    plan = plan_of(given, switches, comm or Comm())
    model, begun = network_of(plan)
    run, journal = run_of(plan, model)
    loggers = Loggers(plan.makers if plan.first else [], journal.warn)

    def after_epoch() -> None:
        journal.curves(run.rows, model.heads)
        journal.weights(run.epoch, model)
        loggers(run.rows[-1])
        journal.epoch_done(run.epochs - run.epoch)

    run.after_epoch = after_epoch
    with FolderLock(run.folder) if plan.first else nullcontext(), plan.summing, closing(loggers), helpers(plan):
        if not run.comm.exchange(begin(run, journal, plan) if plan.first else None)[0]:
            return 0
        run.join()
        loggers.begin(run.folder, run.rows)
        watch = Watch(run.comm, "The last checkpoint is whole; --resume goes on from it", run.folder / "run.log")
        for line in introduce(run, journal, plan, watch):
            journal.log(line)
        if begun:
            journal.log(begun)
        with watch:
            try:
                return train_to_the_end(run, journal, stop or StopRequest())
            except DataError as error:
                raise DataError(f"{error}{way_on(plan.settings)}") from error


def helpers(plan: Plan) -> AbstractContextManager[None]:
    """Return the block in which other processes compile kernels: on the CPU, for a run of one rank."""
    if plan.device != "cpu" or plan.comm.size > 1:
        return nullcontext()
    return helped(plan.choice.model, plan.config, plan.settings["optimizer"])


def begin(run: Run, journal: Journal, plan: Plan) -> bool:
    """Write the folder of a new run, or take up the old one; returns False if that is finished."""
    if "resume" in plan.given:
        return take_up(run, journal, plan.given, plan.recorded, plan.data)
    check_is_free(run.folder)  # nobody can begin one now
    run.write()  # before config.json, so that whatever has one can go on
    names = plan.class_names
    write_config(run.folder, plan.settings, plan.choice.model, plan.config, plan.data, names, **plan.recorded)
    journal.weights(0, run.model)
    return True


def introduce(run: Run, journal: Journal, plan: Plan, watch: Watch) -> list[str]:
    """Return the lines with which training begins: ranks, network, data, memory and folder."""
    model, config, settings = run.model, plan.config, plan.settings
    memory = expected_memory(run, settings, journal)
    samples = "pairs" if len(model.streams) == 2 else "samples"
    words = {"train": "training", "val": "validation", "test": "test"}
    *most, last = [f"{len(found)} {words[part]}" for part, found in plan.parts.items()]
    lines = []
    if run.comm.size > 1:
        sharing = describe_sharing(run.comm, settings["batch_size"], plan.synchronised)
        lines.append(f"{sharing}: {watch.describe()}")
    lines.append(
        f"{config.title}, {model.count_parameters():,} parameters, T={config.timesteps}, {sizes(config)}; "
        f"{settings['dataset']}: {', '.join(most)} and {last} {samples}; "
        f"{run.device}{memory}; writing {run.folder}"
    )
    if run.cuda_graph and run.comm.size > 1:
        lines.append("CUDA graph: off: several ranks")
    if is_verbose():
        for name, values in {"settings": settings, "network": config.to_dict(), "machine": machine()}.items():
            lines.append(f"{name}: {', '.join(f'{key}={value}' for key, value in values.items())}")
    return lines


def expected_memory(run: Run, settings: dict[str, Any], journal: Journal) -> str:
    """Return words on the memory that training will take, and warn if there is less; nothing on a GPU."""
    if run.device != "cpu":
        return ""
    batch, parts = -(-min(settings["batch_size"], len(run.train)) // run.comm.size), run.accumulate
    found = probe(run.model)
    if line := warning(found, batch, parts, available_mib()):
        journal.warn(line)
    averages = sum(x.nbytes for x in run.optimizer.state_dict().values()) / 2**20  # the first step fills them
    total = found.total(math.ceil(batch / parts)) + averages
    return "" if math.isnan(total) else f", about {total:.0f} MiB"


def way_on(settings: dict[str, Any]) -> str:
    """Return words on what may be done about a sample that cannot be read: it is seldom the only one."""
    name = settings["dataset"]
    if settings["data_dir"] is None or "on_bad_sample" not in data_options(name):
        return ""
    check = f"{called('prepare')} {name} --data-dir {shlex.quote(settings['data_dir'])} --check"
    return f"; all such files: {check}; to leave them out: a new run with --on-bad-sample skip"


@contextmanager
def kept_from_collector() -> Iterator[None]:
    """Keep Python's garbage collector off what is there, within the block, unless somebody has done so before.

    Every twenty training steps it would walk 150,000 objects, most of them of modules, for as long as half a step.
    """
    ours = not gc.get_freeze_count()
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()  # a run refers to itself, and another may follow


def train_to_the_end(run: Run, journal: Journal, stop: StopRequest) -> int:
    """Train, and return the exit status."""
    folder = run.folder
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
        with kept_from_collector():
            run.run()
    except Stopped:
        line = f"stopped and saved; go on with: {called('train')} --resume {shlex.quote(str(folder))}"
        with suppress(OSError, ValueError):  # the terminal may be gone
            if run.comm.rank == 0:
                print(line, file=sys.stderr)
        return STOPPED
    finally:
        journal.draw()  # however it ended
    if run.epoch < run.epochs:
        journal.log(f"ended early: {describe_early_end(run.rows, run.patience, run.epochs)}")
    journal.log(f"{describe_best(run.rows, run.verdict)}; see {run.folder / 'curves.png'}", result=True)
    journal.log(f"look closer with: {called('evaluate')} {shlex.quote(str(folder))}")
    return 0


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
