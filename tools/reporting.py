"""What the page of a run is made of: read from its folder, and measured where it is not there."""

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.provenance import SCHEMA
from misnet.audit.whole import whole
from misnet.datasets import BatchIterator, DataError, Prefetch
from misnet.models.contract import Scores
from misnet.models.registry import build, config_class
from misnet.report.run import RunReport
from misnet.tools.evaluate import class_table, confusion_matrix
from misnet.tools.naming import called
from misnet.tools.networks import DATA_SETTINGS, trained_network
from misnet.tools.settings import check_settings
from misnet.tools.subjects import BATCH, SPREAD, run_subject
from misnet.tools.toolkit import arithmetic_from, device_of, progress
from misnet.training.folder import read_config, write_file
from misnet.training.recording import FiringRates
from misnet.training.results import Result, macro_f1, macro_f1_of, read_result
from misnet.training.selection import Row
from misnet.training.step import evaluate
from snncore.backend import Array, asnumpy
from snncore.checkpoint import CheckpointError, load_checkpoint
from snncore.energy import DEFAULT_TABLE, OWN_TABLES, RULES, load_prices
from snncore.files import json_bytes, read_file, sha256_of

__all__ = ["AUDIT", "EVALUATION", "read_run"]

AUDIT, EVALUATION = "audit.json", "evaluation.json"
DRAWN = {"curves.png", "confusion.png"}  # of which the page has its own
PICTURES = 2 * 2**20  # bytes of pictures that a page takes from a run folder


class Predictions:
    """Keeps what was predicted by the verdict of a network, batch by batch."""

    def __init__(self) -> None:
        self.truth: list[int] = []
        self.guess: list[int] = []
        self.classes = 0

    def __call__(self, scores: Scores, labels: Array) -> None:
        """Add a batch."""
        verdict = asnumpy(next(iter(scores.values())).data)
        self.classes = verdict.shape[1]
        self.truth.extend(asnumpy(labels).tolist())
        self.guess.extend(verdict.argmax(axis=1).tolist())

    def figures(self, names: list[str]) -> dict[str, Any]:
        """Return samples, a row a class and the confusion matrix, as tools/evaluate.py writes them."""
        names = names or [str(k) for k in range(self.classes)]
        confusion = confusion_matrix(np.array(self.truth, int), np.array(self.guess, int), len(names))
        return {
            "samples": len(self.truth),
            "macro_f1": macro_f1(confusion),
            "classes": class_table(confusion, tuple(names)),
            "confusion": confusion,
        }


def read_run(folder: Path, args: argparse.Namespace, command: str) -> RunReport:
    """Return what is known of a run folder; with args.quick only what lies there, else the rest is measured.

    What cannot be measured, since data or weights are not there, is said in `missing`. Raises CheckpointError where
    the folder holds no run, or a damaged file.
    """
    content = read_config(folder / "config.json")
    model = build(content["model"], config_class(content["model"]).from_dict(content["network"]))
    settings = check_settings(dict(content["settings"]), str(folder / "config.json"))
    run = RunReport(
        folder=folder,
        content=content,
        title=f"{model.config.title} on {settings['dataset']}",
        heads=model.heads,
        parameters=model.count_parameters(),
        changed=_changed(content, settings),
        result=read_result(folder) if (folder / "metrics.csv").exists() else None,
    )
    run.pictures, left_out = _pictures(folder)
    run.missing += _unfinished(run, folder) + left_out
    weights = folder / f"{args.checkpoint}.safetensors"
    if not weights.exists():
        run.missing.append(f"No weights: {weights} is not there; classes and operations cannot be measured.")
        return _with_energies(run, {})
    row, run.measured = _position(run, args.checkpoint, weights)
    asked = {name: vars(args)[name] for name in DATA_SETTINGS if name in vars(args)}
    unused: dict[str, str] = {}
    if not asked:  # of other data than those of the run nothing can lie here
        run.audit = _stored_audit(folder, weights, unused)
        run.evaluation = _stored_evaluation(folder, run, row, unused)
    if not args.quick:
        _measure(run, args, command)
    for found, name, tool in ((run.evaluation, EVALUATION, "evaluate"), (run.audit, AUDIT, "audit")):
        if found is None:
            why = f"is not used: {unused[name]}" if name in unused else "is not there"
            place = shlex.quote(str(folder))
            how = f"{called(tool)} {place} --checkpoint {args.checkpoint} --json {place}/{name}"
            run.missing += [f"{name} {why}; --quick measures nothing, to have it: {how}"] if args.quick else []
    energies = {} if run.audit is None else run.audit["rules"]
    return _with_energies(run, {name: of["per_sample"]["energy_mj"] for name, of in energies.items()})


def _with_energies(run: RunReport, energies: dict[str, float]) -> RunReport:
    """The energies and macro F1 that groups are compared by are those on the page, not of an older file."""
    if run.result is not None:
        f1 = None if run.evaluation is None else macro_f1_of(run.evaluation, run.result)
        run.result = replace(run.result, energy=energies, macro_f1=f1)
    return run


def _changed(content: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and switches that are not the default."""
    usual = check_settings({"dataset": settings["dataset"], "recipe": settings["recipe"]})
    found = {name: value for name, value in settings.items() if value != usual[name] or name in ("dataset", "recipe")}
    network = config_class(content["model"])().to_dict()
    for name, value in content["network"].items():
        if value != network.get(name):
            found[f"model_{name}" if name in settings else name] = value
    return found


def _unfinished(run: RunReport, folder: Path) -> list[str]:
    go_on = f"go on with: {called('train')} --resume {shlex.quote(str(folder))}"
    if run.result is None and "train" not in run.content.get("data", {"train": ""}):
        return ["Not trained here: the weights were adopted from elsewhere, so that there are no figures of training."]
    if run.result is None:
        return [f"No epoch is done yet, so that there are no figures of training; {go_on}"]
    if not run.result.finished:
        return [f"Not finished: stands at epoch {len(run.result.rows)} of {run.result.epochs}; {go_on}"]
    return []


def _position(run: RunReport, checkpoint: str, weights: Path) -> tuple[Row | None, str]:
    """Return the epoch whose figures those of a checkpoint must be, None within an epoch, and words on the weights."""
    _, metadata = load_checkpoint(weights)
    epoch, batch = metadata.get("epoch"), metadata.get("batch", 0)
    if batch or not epoch or run.result is None or epoch > len(run.result.rows):
        within = f", within epoch {epoch + 1}, after batch {batch}" if isinstance(epoch, int) and batch else ""
        return None, f"weights of {weights.name}{within}"
    return run.result.rows[epoch - 1], f"weights of {weights.name}, after epoch {epoch}"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_file(path).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None


def _stored_audit(folder: Path, weights: Path, unused: dict[str, str]) -> dict[str, Any] | None:
    """Return audit.json, if it is one of these very weights, over test samples, as this version writes it.

    unused: gets a sentence on why it is not taken.
    """
    found = _read_json(folder / AUDIT)
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or "rules" not in found:
        unused[AUDIT] = "another version of the audit wrote it"
    elif found.get("weights_sha256") != sha256_of(weights):
        unused[AUDIT] = f"it is of other weights than {weights.name} holds now"
    elif found["data"].get("split") != "test":
        unused[AUDIT] = f"it is of {found['data'].get('split')} samples, not of the test"
    else:
        return found
    return None


def _stored_evaluation(folder: Path, run: RunReport, row: Row | None, unused: dict[str, str]) -> dict[str, Any] | None:
    """Return evaluation.json, if its accuracies are those of the epoch of the checkpoint."""
    found = _read_json(folder / EVALUATION)
    if found is None:
        return None
    columns = [f"test_accuracy_{head}" for head in run.heads]
    if not isinstance(found, dict) or not all(key in found for key in ("classes", "confusion", "samples", *columns)):
        unused[EVALUATION] = "it does not hold what evaluate.py --json writes of test samples"
    elif row is None or any(abs(found[column] - row[column]) > 1e-9 for column in columns):
        unused[EVALUATION] = "its accuracies are not those of the weights shown here"
    else:
        return found
    return None


def _measure(run: RunReport, args: argparse.Namespace, command: str) -> None:
    """Count and evaluate what is not there yet, in one pass over the test samples, or say why that cannot be."""
    wanted = run.audit is None, run.evaluation is None
    if not any(wanted):
        return
    seen, names = Predictions(), list(run.content.get("class_names", []))
    given = argparse.Namespace(
        **{**vars(args), "run_dir": run.folder, "split": "test", "training_step": False, "spread": SPREAD}
    )
    accuracy: dict[str, float] = {}
    try:
        if wanted[0]:
            subject = run_subject(given, {}, seen)
            prices = {name: load_prices(OWN_TABLES.get(name, DEFAULT_TABLE)) for name in RULES}
            run.audit, _, _ = whole(subject, prices, (), command)
            accuracy = subject.accuracy
        else:
            accuracy = _evaluate(given, seen)
    except (DataError, CheckpointError) as error:
        run.missing.append(f"Classes and operations could not be measured: {error}.")
        return
    run.evaluation = seen.figures(names) | {f"test_accuracy_{head}": share for head, share in accuracy.items()}
    before = run.content.get("data", {}).get("test")
    if wanted[0] and run.audit is not None and before not in (None, run.audit["data"].get("fingerprint")):
        run.missing.append("Measured on other samples than the run was tested on in training.")
    if args.keep:
        if wanted[0]:
            write_file(run.folder / AUDIT, json_bytes(run.audit))
        write_file(run.folder / EVALUATION, json_bytes(run.evaluation))


def _evaluate(args: argparse.Namespace, seen: Predictions) -> dict[str, float]:
    """Run the network over the test samples without counting; return the accuracy of each head."""
    device = device_of(args.device)
    model, data = trained_network(args.run_dir, args.checkpoint, "test", vars(args))
    model.to(device)
    batches = Prefetch(BatchIterator(data, args.batch_size or BATCH, shuffle=False))
    shown = progress(batches.epoch(0), total=len(batches), initial=0, text="test")
    with arithmetic_from(vars(args), args.run_dir):
        totals = evaluate(model, shown, device, seen=seen, rates=FiringRates())
    return {head: right / max(1, totals.samples) for head, right in totals.correct.items()}


def _pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Return pictures that others drew into the folder, as many as a page takes, and a sentence on those left out."""
    shown, left_out, size = [], [], 0
    for file in (*sorted(folder.glob("*.png")), *sorted((folder / "pictures").glob("*.png"))):  # as visualize.py does
        if file.name in DRAWN:
            continue
        size += file.stat().st_size
        (shown if size <= PICTURES else left_out).append(file)
    names = ", ".join(file.name for file in left_out)
    return shown, [f"Pictures left out, as they are above {PICTURES >> 20} MiB together: {names}."] if left_out else []


def results_of(runs: list[RunReport]) -> list[Result]:
    """Return what the runs reached of which an epoch is done."""
    return [run.result for run in runs if run.result is not None]
