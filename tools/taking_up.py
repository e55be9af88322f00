"""Going on with a run that was stopped, killed or is finished: what must be as it was, and what may be said anew.

One rule: config.json is a record, and a difference between it and the checkpoint is refused. What may change during a
run (its length, rates, schedule, augmentation) is said on the command line, and then recorded in both.
"""

import json
import shlex
from pathlib import Path
from typing import Any

from misnet.datasets import DataError, Dataset
from misnet.tools.naming import called
from misnet.tools.networks import fingerprint_of
from misnet.training.folder import MAY_BE_SAID, compare_origin, newer_version, read_config, write_file
from misnet.training.journal import Journal
from misnet.training.machine import other_machine
from misnet.training.run import Run
from misnet.training.selection import describe_best, describe_early_end
from misnet.training.state import LAST, PREVIOUS

__all__ = ["fingerprints", "is_begun", "take_up"]


def fingerprints(given: dict[str, Any], parts: dict[str, Dataset]) -> tuple[dict[str, str], dict[str, str]]:
    """Return fingerprint and stamp of each part of the data, by its name.

    A run that goes on with files whose names, sizes and times are those that were stamped does not read them again:
    with 200,000 of them that takes minutes.
    """
    known = read_config(Path(given["resume"]) / "config.json") if "resume" in given else {}
    data, stamps = {}, {}
    for name, dataset in parts.items():
        data[name], stamp = fingerprint_of(known, name, dataset)
        if stamp is not None:
            stamps[name] = stamp
    return data, stamps


def take_up(
    run: Run,
    journal: Journal,
    given: dict[str, Any],
    recorded: dict[str, dict[str, Any]],
    data: dict[str, str],
) -> bool:
    """Bring a run to where its folder stands; returns False, with a word on what to do, if it is finished.

    given: the options of the command line, of which those in MAY_BE_SAID replace settings of the run. recorded:
    sections of config.json that may change without a word, "options" and "stamps". data: fingerprints of the splits.
    Raises DataError if the data changed, CheckpointError if the folder does not hold a run with the other settings of
    `run.origin`.
    """
    check_data(run.folder, data)
    path = run.folder / "config.json"
    content = read_config(path)
    if words := newer_version(content):
        journal.warn(f"{path}{words}")
    origin = run.origin or {}
    # Switches that the data decide come from the data, not from the file: it is compared by itself.
    compare_origin({"network": origin["network"]} if origin else {}, content, path)
    asked = {name: origin["settings"][name] for name in sorted(MAY_BE_SAID & set(given))}
    # What is said need not be what the checkpoint has: also where the run was killed before it was recorded in both.
    run.origin = origin | {"settings": {k: v for k, v in origin["settings"].items() if k not in asked}}
    if is_begun(run.folder):
        run.resume()
    else:
        journal.warn(f"{run.folder}: nothing was saved before the run ended; it begins anew")
    run.origin = origin
    if run.finished:
        drawn, saved = (_changed_at(run.folder / name) for name in ("curves.png", LAST))
        if drawn < saved:  # the run was killed before it drew its last epochs
            journal.curves(run.rows, run.model.heads)
            journal.draw()
        folder, best = shlex.quote(str(run.folder)), describe_best(run.rows, run.verdict)
        if run.epoch >= run.epochs:
            print(f"{run.folder}: finished: all {run.epochs} epochs are done, {best}")
            print(f"train on with: {called('train')} --resume {folder} --epochs {run.epochs + 1} (or more)")
        else:
            print(f"{run.folder}: finished: {describe_early_end(run.rows, run.patience, run.epochs)}, {best}")
            print(f"train on with: {called('train')} --resume {folder} --patience {(run.patience or 0) + 1} (or more)")
        print(f"look closer with: {called('evaluate')} {folder}")
        return False
    changed = {name: value for name, value in asked.items() if content["settings"].get(name) != value}
    if changed or any(content.get(section) != value for section, value in recorded.items()):
        before = {name: content["settings"].get(name) for name in changed}
        content["settings"] |= changed
        content |= recorded
        if changed:
            run.write()  # the checkpoint first: a run that is cut off here is taken up by the same command
        write_file(path, (json.dumps(content, indent=2) + "\n").encode())
        for name, value in changed.items():
            journal.log(f"{name}: {value} from here on, {before[name]} before")
    journal.log(f"{run.folder}: going on at epoch {run.epoch + 1}, batch {run.batch + 1}")
    if found := other_machine(content.get("versions", {})):
        journal.log(f"note: since the run began: {found}: its last bits may not be those of an undisturbed run")
    return True


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def is_begun(folder: Path) -> bool:
    """Return whether there is anything in a run folder to go on with."""
    return any((folder / file).exists() for file in (LAST, PREVIOUS, "metrics.csv", "best.safetensors"))


def check_data(folder: Path, data: dict[str, str]) -> None:
    """Raise DataError if a split is not the one that the run in `folder` began with."""
    before = read_config(folder / "config.json").get("data", {})
    for name, fingerprint in data.items():
        if "train" not in before:
            quoted = shlex.quote(str(folder))
            begin = f"{called('train')} --config {shlex.quote(str(folder / 'config.json'))} --weights {quoted}"
            raise DataError(
                f"{folder}: no training began here, as its config.json records no training data; "
                f"begin one with: {begin}"
            )
        if before[name] != fingerprint:
            raise DataError(f"{folder}: the {name} data changed since the run began, so that it cannot go on")
