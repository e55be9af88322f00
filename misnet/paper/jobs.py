"""Runs of a grid: each trains and audits in processes of its own, in a folder of its own, and is done once.

A folder DIR/NAME holds what tools/train.py writes, and audit.json of tools/audit.py. Beside it stand NAME.json, the
options that it was begun with, and NAME.log, what the two commands printed. A run that was cut off goes on.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import misnet
from misnet.training.results import AUDIT, read_result
from snncore.checkpoint import CheckpointError
from snncore.files import replace_file
from snncore.launcher import without_launcher
from snncore.parallel import Comm
from snncore.sharing import hand_out

__all__ = ["Job", "JobError", "Outcome", "finished_jobs", "run_jobs", "trained"]


class JobError(ValueError):
    """A folder that holds another run than the one that is wanted."""


@dataclass(frozen=True)
class Job:
    """A run. name: of its folder. train: options of tools/train.py. audit: options of tools/audit.py."""

    name: str
    train: tuple[str, ...]
    audit: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a run. error: why it has no result, None if it has one."""

    job: Job
    folder: Path
    error: str | None = None


class Running:
    """The processes of runs under way, which can be told to end: a run then saves."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen] = []
        self.halted = False

    def run(self, command: Sequence[str], **options: Any) -> subprocess.Popen:
        """Run a command to its end; it is told to end at once if all have been told."""
        with subprocess.Popen(command, start_new_session=True, **options) as process:
            self.processes = [other for other in self.processes if other.poll() is None] + [process]
            if self.halted:
                process.terminate()
            process.wait()
        return process

    def halt(self) -> None:
        """Tell all to end, and those that begin later."""
        self.halted = True
        for process in self.processes:
            process.terminate()


def trained(folder: Path) -> bool:
    """Whether a run folder has come to its end."""
    try:
        return read_result(folder).finished
    except CheckpointError:
        return False


def finished_jobs(jobs: Sequence[Job], directory: Path) -> list[Outcome]:
    """Return what came of the jobs that are trained already; runs nothing. Raises JobError as run_jobs does."""
    found = [job for job in jobs if trained(directory / job.name)]
    for job in found:
        check_is_same(job, directory)
    return [Outcome(job, directory / job.name) for job in found]


def check_is_same(job: Job, directory: Path) -> None:
    """Raise JobError if the folder of a job was begun with other options; note them if it is new."""
    path, wanted = directory / f"{job.name}.json", {k: list(v) for k, v in asdict(job).items() if k != "name"}
    try:
        before = json.loads(path.read_text())
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(wanted, indent=2) + "\n").encode())
        return
    except ValueError as error:
        raise JobError(f"{path}: cannot be read as JSON: {error}; remove it with the run beside it") from None
    if not isinstance(before, dict) or not all(isinstance(words, list) for words in before.values()):
        raise JobError(f"{path}: expected the options of a run, found {before!r}; remove it with the run beside it")
    if before != wanted:
        raise JobError(
            f"{directory / job.name}: was begun with {_words(before)}, wanted are {_words(wanted)}; "
            "choose another --output-dir, or remove the folder"
        )


def _words(options: dict[str, list[str]]) -> str:
    return " ".join([*options.get("train", []), *(["| audit", *options["audit"]] if options.get("audit") else [])])


def run_jobs(
    jobs: Sequence[Job],
    directory: Path,
    at_once: int = 1,
    log: Callable[[str], None] = print,
    comm: Comm | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Run jobs, `at_once` at a time, and return what came of each, in their order; one that fails stops no other.

    Each gets its share of the processors as threads, or NUMBA_NUM_THREADS if that is less; kernels give the same bits
    with any number of them.
    comm: ranks that the jobs are handed out to, each `at_once` at a time; all call this, in a folder that all see, and
    all return everything. stop: asked by several ranks; True on one makes all save and end.
    Raises JobError before anything runs if a folder holds another run; KeyboardInterrupt once all have saved.
    """
    comm = comm or Comm()
    for job in jobs if comm.rank == 0 else ():
        check_is_same(job, directory)
    comm.barrier()
    share = max(1, (os.cpu_count() or 1) // (at_once * comm.local_size))
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    threads = min(share, int(asked)) if asked.isdecimal() and int(asked) > 0 else share
    here = str(Path(misnet.__file__).parents[1])  # a checkout that is not installed, from whatever folder it is called
    paths = os.pathsep.join(path for path in (here, os.environ.get("PYTHONPATH")) if path)
    environment = {
        **without_launcher(os.environ),
        "NUMBA_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": paths,
    }

    if comm.size > 1:
        return _on_ranks(jobs, directory, environment, at_once, log, comm, stop)

    def one(numbered: tuple[int, Job]) -> Outcome:
        number, job = numbered
        outcome = _run(job, directory, environment)
        log(f"[{number}/{len(jobs)}] {job.name}: {outcome.error or 'done'}")
        return outcome

    pool = ThreadPoolExecutor(at_once)
    try:
        return list(pool.map(one, enumerate(jobs, 1)))
    finally:
        pool.shutdown(cancel_futures=True)  # waits for those that run: Ctrl-C reached them too, and they save


def _on_ranks(
    jobs: Sequence[Job],
    directory: Path,
    environment: dict[str, str],
    at_once: int,
    log: Callable[[str], None],
    comm: Comm,
    stop: Callable[[], bool],
) -> list[Outcome]:
    found: dict[int, Outcome] = {}
    running = Running()
    with ThreadPoolExecutor(at_once) as pool:
        begin = functools.partial(pool.submit, _run, directory=directory, environment=environment, running=running)
        for done in hand_out(comm, jobs, begin, at_once, stop, ends=lambda done: False, halt=running.halt):
            job = jobs[done.task]
            found[done.task] = done.result or Outcome(job, directory / job.name, str(done.error))
            log(f"[{len(found)}/{len(jobs)}] {job.name}: {found[done.task].error or 'done'}")
    if any(comm.any(stop())):
        raise KeyboardInterrupt
    return [found[k] for k in range(len(jobs))]


def _run(job: Job, directory: Path, environment: dict[str, str], running: Running | None = None) -> Outcome:
    folder = directory / job.name
    log = directory / f"{job.name}.log"
    if not trained(folder):
        begun = (folder / "config.json").exists()
        options = ("--resume", str(folder)) if begun else ("--output-dir", str(folder), *job.train)
        if error := _command("train", options, log, environment, running):
            return Outcome(job, folder, error)
    if not (folder / AUDIT).exists():
        options = (str(folder), "--json", str(folder / AUDIT), *job.audit)
        if error := _command("audit", options, log, environment, running):
            return Outcome(job, folder, error)
    return Outcome(job, folder)


def _command(
    tool: str,
    options: Sequence[str],
    log: Path,
    environment: dict[str, str],
    running: Running | None = None,
) -> str | None:
    """Run a tool; returns None, or why it failed: its last line that begins with `error:`, else its last one.

    running: starts and notes its process, out of reach of Ctrl-C, for the one who passes that on.
    """
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as out:
        run = subprocess.run if running is None else running.run
        line = [sys.executable, "-m", f"misnet.tools.{tool}", *options]
        status = run(line, env=environment, stdout=out, stderr=out).returncode
    if status == 0:
        return None
    lines = log.read_bytes()[begin:].decode(errors="replace").strip().splitlines() or ["(nothing printed)"]
    said = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])
    return f"{tool} ended with status {status}: {said} (see {log})"
