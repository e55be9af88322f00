"""One training run for each of several seeds, in a folder of its own each, and the spread of what they reach.

    DIR/seeds.json      the seeds, and the options and switches that all runs share
    DIR/seed-0, ...     the run folders, as tools/train.py writes them
    DIR/summary.csv     mean and standard deviation, as tools/compare.py writes them; summary.json has every run
    DIR/summary.png     the curves of all seeds

The same command again, or --resume DIR, goes on where it stopped: runs that are finished are left alone.
"""

import argparse
import gc
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from misnet.models.options import option_of
from misnet.tools.comparing import compare, report, write_reports
from misnet.tools.loudness import say
from misnet.tools.naming import called
from misnet.tools.process_options import OPTIONS
from misnet.tools.settings import gather
from misnet.tools.toolkit import DATA, STOPPED, StopRequest, UsageError, complain
from misnet.training.folder import write_file
from misnet.training.lock import make_new_folder
from misnet.training.results import read_result
from misnet.training.selection import describe_best
from misnet.training.step import Diverged
from snncore.checkpoint import CheckpointError
from snncore.files import read_file

__all__ = ["SEEDS", "folders_of", "is_of_seeds", "seeds_of", "train_seeds"]

SEEDS = "seeds.json"
PER_RUN = {"resume", "output_dir", "seeds", *OPTIONS}  # not shared, or of no matter
Train = Callable[[dict[str, Any], dict[str, Any], StopRequest], int]


def seeds_of(text: str) -> list[int]:
    """Return the seeds in a text such as 0,1,2; raises ArgumentTypeError for another, or a seed given twice."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len({*seeds}) < len(seeds):
        raise argparse.ArgumentTypeError(f"expected integers of at least 0, each once, as 0,1,2, found {text!r}")
    return seeds


def is_of_seeds(given: dict[str, Any]) -> bool:
    """Return whether options ask for several seeds, or to go on with a folder of several."""
    return "seeds" in given or ("resume" in given and (Path(given["resume"]) / SEEDS).exists())


def train_seeds(given: dict[str, Any], switches: dict[str, Any], train: Train) -> int:
    """Train a run for each seed that is not finished yet, write what they reach, and return the exit status.

    train: trains one run for options, switches and a request to stop, and returns its exit status.
    Raises UsageError for options that cannot be meant.
    """
    folder, seeds, options, switches = _study(given, switches)
    stop, failed = StopRequest(), 0
    of_run = {name: given[name] for name in OPTIONS if name in given}
    for seed in seeds:
        gc.collect()  # a run refers to itself; the collector counts objects, not the hundreds of MiB of their arrays
        place = folder / f"seed-{seed}"
        if stop():
            status = STOPPED
        elif line := _is_done(place):
            say(f"{place}: done already, {line}")
            continue
        else:
            begun = (place / "config.json").exists()
            where = {"resume": str(place)} if begun else options | {"seed": seed, "output_dir": str(place)}
            try:
                status = train(where | of_run, {} if begun else switches, stop)
            except Diverged as error:  # the others may tell how often that happens
                complain(f"{place}: {error}", DATA)
                failed += 1
                continue
        if status == STOPPED:
            print(f"go on with all seeds: {called('train')} --resume {shlex.quote(str(folder))}", file=sys.stderr)
        if status:
            return status
        _summarise(folder)
    print(f"\n{report(_summarise(folder))}" if folders_of(folder) else "no seed came to the end of an epoch")
    if failed:
        print(f"warning: {failed} of {len(seeds)} seeds ended with an error", file=sys.stderr)
    return DATA if failed else 0


def folders_of(folder: Path) -> list[Path]:
    """Return the run folders of a folder of seeds in which an epoch is done, in the order of the seeds."""
    places = [folder / f"seed-{seed}" for seed in _read(folder / SEEDS)["seeds"]]
    return [place for place in places if (place / "metrics.csv").exists()]


def _summarise(folder: Path) -> Any:
    found = compare([read_result(place) for place in folders_of(folder)])
    write_reports(found, folder / "summary.csv", folder / "summary.json", folder / "summary.png")
    return found


def _is_done(place: Path) -> str | None:
    """Return what a run reached if it has come to its end."""
    if not (place / "metrics.csv").exists():
        return None
    result = read_result(place)
    return describe_best(result.rows, result.heads[0]) if result.finished else None


def _study(given: dict[str, Any], switches: dict[str, Any]) -> tuple[Path, list[int], dict[str, Any], dict[str, Any]]:
    """Return folder, seeds, and the options and switches of all runs; writes seeds.json."""
    if "seed" in given:
        raise UsageError(f"--seed: expected it without --seeds, which names them all, found {given['seed']}")
    if "resume" in given:
        folder = Path(given["resume"])
        if not (folder / SEEDS).exists():
            raise UsageError(f"--seeds: {folder} is not a folder of several seeds, as it holds no {SEEDS}")
        if extra := sorted({*given, *switches} - PER_RUN):
            raise UsageError(
                f"--resume takes the settings of all seeds from {folder / SEEDS}; also found "
                f"{', '.join(map(option_of, extra))}"
            )
        content = _read(folder / SEEDS)
    else:
        options = {name: value for name, value in given.items() if name not in PER_RUN}
        choice = gather(options, switches)  # what cannot be meant is said before a folder is made
        content = {"seeds": [], "options": options, "switches": switches}
        folder = _folder(given, f"{choice.settings['dataset']}-{choice.model}-seeds")
        if (folder / SEEDS).exists():
            before = _read(folder / SEEDS)
            _check_same(folder, before, json.loads(json.dumps(content)))
            content = before
    content["seeds"] += [seed for seed in given.get("seeds", []) if seed not in content["seeds"]]
    write_file(folder / SEEDS, (json.dumps(content, indent=2) + "\n").encode())
    tuples = {name: tuple(x) if isinstance(x, list) else x for name, x in content["switches"].items()}
    return folder, content["seeds"], content["options"], tuples


def _folder(given: dict[str, Any], name: str) -> Path:
    if "output_dir" not in given:
        return make_new_folder(Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = Path(given["output_dir"])
    if (folder / "config.json").exists():
        raise UsageError(f"--output-dir: {folder} holds a run of one seed already; choose another for several")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_same(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UsageError, naming the first option that differs, unless the runs in a folder are those asked for."""
    for section in ("options", "switches"):
        for name in sorted({*before[section], *now[section]}):
            old, new = (content[section].get(name, "nothing") for content in (before, now))
            if old != new:
                raise UsageError(
                    f"{option_of(name)}: the seeds in {folder} are trained with {old!r}, found {new!r}; say the same "
                    "again, or choose another --output-dir"
                )


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a seeds.json; raises CheckpointError if it is not one."""
    try:
        content = json.loads(read_file(path).decode())
        right = {name: content[name] for name in ("seeds", "options", "switches")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as what train.py --seeds writes: {error!r}") from None
    seeds, *others = right.values()
    numbers = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not numbers or not all(isinstance(part, dict) for part in others):
        raise CheckpointError(f"{path}: expected a list of seeds, and options and switches by name, found {content!r}")
    return right
