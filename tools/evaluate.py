"""Evaluate a trained run: accuracy, a table by class, firing rates by layer, and a picture of the confusion matrix."""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets import Prefetch
from misnet.datasets.batching.in_turn import InTurn
from misnet.models.contract import Model, Scores
from misnet.tools.naming import Parser
from misnet.tools.networks import trained_network
from misnet.tools.outputs import check_outputs, picture_file
from misnet.tools.parts import PARTS
from misnet.tools.ranks import Watch, device_of_rank, job, refuse_other_work, share_cores, shown_by_first
from misnet.tools.toolkit import (
    DATA,
    add_arithmetic_option,
    add_data_options,
    add_device_options,
    add_graph_option,
    arithmetic_from,
    complain,
    device_from,
    run_tool,
    wants_graph,
)
from misnet.training.graphed_passes import GraphedPasses
from misnet.training.plots import plot_confusion
from misnet.training.recording import FiringRates
from misnet.training.results import macro_f1
from misnet.training.step import Totals, evaluate
from snncore.backend import Array, asnumpy
from snncore.files import json_bytes, replace_file
from snncore.launcher import world
from snncore.parallel import Comm
from snncore.sharing import in_turn

WORTH_RECORDING = 16  # batches: a recording takes 0.2 s on an H100, and spares 20 ms of each that follows

EXAMPLES = (
    ("the test samples with the last weights", "python tools/evaluate.py runs/first"),
    (
        "the best weights on the training samples, every figure in a file",
        "python tools/evaluate.py runs/first --checkpoint best --split train --json figures.json",
    ),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, examples=EXAMPLES)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that tools/train.py wrote")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="weights to use (default: last)")
    parser.add_argument("--split", choices=PARTS[::-1], default="test", help="samples to use (default: test)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples at a time (default: 32)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to a JSON file")
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="file to draw into (default: RUN_DIR/confusion.png)"
    )
    add_data_options(parser)
    add_device_options(parser)
    add_graph_option(parser)
    add_arithmetic_option(parser)
    return parser


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[list[int]]:
    """Return how many samples of each class were taken for each, [true, predicted]; labels are integers [n]."""
    return np.bincount(classes * labels + predicted, minlength=classes**2).reshape(classes, classes).tolist()


def class_table(confusion: list[list[int]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row per class, with 0 where there is nothing to divide by.

    precision = right / predictions, recall = right / samples, F1 = 2 right / (samples + predictions), as
    scikit-learn's `precision_recall_fscore_support(zero_division=0)`, whose import would take a second.
    """
    rows = []
    for k, name in enumerate(names):
        right, samples, said = confusion[k][k], sum(confusion[k]), sum(row[k] for row in confusion)
        scores = (right / max(1, said), right / max(1, samples), 2 * right / max(1, samples + said))
        rows.append({"class": name, "samples": samples} | dict(zip(("precision", "recall", "f1"), scores, strict=True)))
    return rows


def report(model: Model, totals: Totals, table: list[dict[str, Any]], rates: FiringRates, f1: float) -> str:
    """Return the text that is printed."""
    row = totals.row("test")
    lines = [f"{totals.samples} samples, loss {row['test_loss']:.4f}"]
    for head, text in model.heads.items():
        lines.append(f"accuracy, {text:<18} {100 * row[f'test_accuracy_{head}']:6.2f} %")
    lines.append(f"macro F1, {next(iter(model.heads.values())):<18} {100 * f1:6.2f} %")
    lines.append(f"\n{'class':<20} {'samples':>8} {'precision':>10} {'recall':>8} {'F1':>8}")
    for r in table:
        shown = [f"{r[key]:.3f}" if r["samples"] else "-" for key in ("precision", "recall", "f1")]  # none: no figure
        lines.append(f"{r['class']:<20} {r['samples']:>8} {shown[0]:>10} {shown[1]:>8} {shown[2]:>8}")
    lines.append(f"\n{'neuron layer':<34} {'firing rate':>11}")
    lines += [f"{path:<34} {rate:>11.4f}" for path, rate in rates.rates().items()]
    lines.append(f"{'all neurons':<34} {rates.mean():>11.4f}")
    return "\n".join(lines)


def on_batch(
    model: Model, batch: Any, device: str, passes: GraphedPasses | None = None
) -> tuple[Totals, list[int], list[int]]:
    """Return the totals of a batch, its labels, and what the first head says; passes: as in `evaluate`."""
    labels: list[int] = []
    predicted: list[int] = []

    def keep(scores: Scores, batch_labels: Array) -> None:
        labels.extend(asnumpy(batch_labels).tolist())
        verdict = next(iter(scores.values()))
        predicted.extend(asnumpy(verdict.data).argmax(axis=1).tolist())

    return evaluate(model, [batch], device, seen=keep, passes=passes), labels, predicted


def main() -> int:
    """Evaluate, print and draw, and return the exit status: 1 if a file cannot be written."""
    comm = world()
    with job(comm):
        return evaluate_run(comm)


def evaluate_run(comm: Comm) -> int:
    """Evaluate on all ranks of a job, of which the first writes; batches are dealt to them in turn."""
    parser = make_parser()
    args = parser.parse_args()
    if args.batch_size < 1:
        parser.error(f"--batch-size: expected at least 1, found {args.batch_size}")
    check_outputs(vars(args))
    device = device_of_rank(comm, vars(args), device_from(vars(args)))
    share_cores(comm)
    summing = arithmetic_from(vars(args), args.run_dir)
    model, data = trained_network(args.run_dir, args.checkpoint, args.split, vars(args))
    refuse_other_work(comm, args, data, args.run_dir / f"{args.checkpoint}.safetensors")
    model.to(device)
    dealt = InTurn(data, args.batch_size, shuffle=False, rank=comm.rank, ranks=comm.size)
    batches = Prefetch(dealt)
    labels: list[int] = []
    predicted: list[int] = []
    totals, rates = Totals(), FiringRates()
    choice = vars(args).get("cuda_graph", "auto")
    worth = choice == "on" or len(batches) >= WORTH_RECORDING
    graph = worth and comm.size == 1 and wants_graph(choice, device, comm.size)
    passes = GraphedPasses(model, lambda line: print(line, file=sys.stderr)) if graph else None
    with summing, Watch(comm), closing(batches.epoch(0)) as made:
        shown = shown_by_first(comm, made, len(batches), args.split)
        mine = (on_batch(model, batch, device, passes) for batch in shown)
        for of_batch, truths, guesses in in_turn(comm, dealt.batches, mine):
            totals.join(of_batch)
            labels += truths
            predicted += guesses
    if comm.rank > 0:
        return 0
    rates.add(totals.layers)
    truth, guess = np.array(labels), np.array(predicted)
    matrix = confusion_matrix(truth, guess, len(data.class_names))
    table = class_table(matrix, data.class_names)
    accuracy = 100 * float((truth == guess).mean())
    picture = args.picture or args.run_dir / "confusion.png"
    title = f"{model.config.title} on {data.name} {args.split}: {accuracy:.2f} %"
    figures = totals.row(args.split) | {
        "samples": totals.samples,
        "macro_f1": macro_f1(matrix),
        "classes": table,
        "confusion": matrix,
        "firing_rates": rates.rates(),
    }
    status = 0
    if args.json:
        text = json_bytes(figures)
        status |= written(args.json, lambda path: replace_file(path, text))
    status |= written(picture, lambda path: plot_confusion(np.array(matrix), data.class_names, path, title))
    print(
        report(model, totals, table, rates, figures["macro_f1"])
    )  # once the files are there, though the reader may have left
    if not status:
        print(f"\nconfusion matrix: {picture}")
    return status


def written(path: Path, write: Callable[[Path], None]) -> int:
    """Write a file, and return the exit status; one that cannot be written takes the figures from nobody."""
    try:
        write(path)
    except OSError as error:
        return complain(f"{path}: cannot be written: {error.strerror or error}", DATA)
    return 0


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
