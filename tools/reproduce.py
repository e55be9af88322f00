"""Run a table or figure of the paper: every cell, several seeds, and a page with the printed figures beside ours.

`python tools/reproduce.py table7 --seeds 3` trains a shrunken copy of each network of Table 7 on the built-in data;
`--scale full --data-dir DIR` is the paper's own experiment, on its data sets, at its sizes, for days. The same command
again goes on where it stopped: what is done is not done again. `--dry-run` says what would run, and for how long.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from misnet.datasets.registry import REGISTRY
from misnet.models.config import ModelConfig
from misnet.paper.estimate import EVALUATION, Cost, cost_of, seconds_an_operation
from misnet.paper.jobs import JobError, Outcome, run_jobs
from misnet.paper.pages import Line, Page, as_values, to_html, to_markdown
from misnet.paper.scales import SAMPLES, SCALES, Plan, Planned, plan
from misnet.paper.tables import GRIDS, TITLES, cells
from misnet.tools.naming import Parser, called
from misnet.tools.settings import RECIPES
from misnet.tools.toolkit import DATA, UsageError, run_tool
from misnet.training.folder import write_file
from misnet.training.results import Result, read_result
from snncore.checkpoint import CheckpointError

QUICK = {"dataset": "dialpad", "size": 16, "epochs": 4, "limit_train": 800, "limit_eval": 360}
MOST_TIMESTEPS = 4  # of a quick cell, but for the table of timesteps


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = "; ".join(f"{name}: {TITLES[name].partition(': ')[2]}" for name in GRIDS)
    parser.add_argument("name", choices=tuple(GRIDS), metavar="NAME", help=names)
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="quick",
        help="quick (default): narrow networks, few samples; full: as printed",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of the data sets")
    parser.add_argument(
        "--dataset", choices=tuple(REGISTRY), help="one data set for every cell, instead of the paper's"
    )
    parser.add_argument("--size", type=int, help="height and width in pixels, instead of the paper's (quick: 16)")
    parser.add_argument("--epochs", type=int, help="of each run (quick: 4; full: as tools/train.py has it)")
    parser.add_argument("--limit-train", type=int, metavar="N", help="training samples (quick: 800)")
    parser.add_argument("--limit-eval", type=int, metavar="N", help="test samples (quick: 360)")
    parser.add_argument("--recipe", choices=tuple(RECIPES), help="of tools/train.py: default, or the paper's")
    parser.add_argument("--device", help="of tools/train.py (default: auto)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N-1 (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at the same time (default: 1)")
    parser.add_argument("--only", metavar="TEXT", help="cells whose row or column has this text")
    parser.add_argument(
        "--output-dir", type=Path, default=Path("runs/reproduce"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print cells, parameters, operations and hours, run nothing"
    )
    return parser


def wanted(args: argparse.Namespace) -> Plan:
    """Return what the options ask for; raises UsageError for values that cannot be used."""
    for name in ("size", "epochs", "limit_train", "limit_eval", "seeds", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: expected an integer of at least 1, found {value}")
    quick = QUICK if args.scale == "quick" else {}
    settings = {name: getattr(args, name) or quick.get(name) for name in ("epochs", "limit_train", "limit_eval")}
    settings |= {"recipe": args.recipe, "data_dir": args.data_dir, "device": args.device}
    options = [x for name, value in settings.items() if value for x in (f"--{name.replace('_', '-')}", str(value))]
    return Plan(
        scale=args.scale,
        dataset=args.dataset or quick.get("dataset"),
        size=args.size or quick.get("size"),
        most_timesteps=MOST_TIMESTEPS if args.scale == "quick" else 0,
        options=tuple(options),
        seeds=tuple(range(args.seeds)),
    )


def chosen(args: argparse.Namespace, of: Plan) -> list[Planned]:
    """Return the cells that are asked for; raises UsageError if there is none."""
    text = (args.only or "").lower()
    found = [cell for cell in cells(args.name) if text in f"{cell.row} {cell.column}".lower()]
    if not found:
        raise UsageError(f"--only: expected text of a row or column of {args.name}, found {args.only!r}")
    return plan(found, of)


def first_line(args: argparse.Namespace, of: Plan) -> str:
    """Return the line that begins a page: at what scale it was run, and on what."""
    data = of.dataset or "the data sets of the paper"
    more = " ".join(of.options)
    seeds = "one seed" if len(of.seeds) == 1 else f"{len(of.seeds)} seeds"
    if of.scale == "quick":
        return (
            f"QUICK SCALE, not the paper's experiment: shrunken networks on {data}, {of.size} pixels, T at most "
            f"{of.most_timesteps}, {seeds}; {more}"
        )
    return f"Full scale: the networks of the paper on {data}, {of.size or 'printed'} pixels, {seeds}; {more}"


def dry_run(planned: Sequence[Planned], of: Plan, epochs: int | None, samples: int | None) -> list[str]:
    """Return a line for each cell, and the hours of all: one step of each model is measured here."""
    costs: dict[int, Cost] = {}
    by_model: dict[str, list[tuple[ModelConfig, Cost]]] = {}
    for k, of_cell in enumerate(planned):
        if of_cell.config is not None:
            costs[k] = cost_of(of_cell.cell.model, of_cell.config)
            by_model.setdefault(of_cell.cell.model, []).append((of_cell.config, costs[k]))
    speed = {model: seconds_an_operation(model, configs) for model, configs in by_model.items()}
    lines = [f"{'cell':<58} {'model':<25} {'parameters':>12} {'GMAC/sample':>12} {'hours/run':>10}"]
    total, counted = 0.0, set()
    for k, of_cell in enumerate(planned):
        cell = of_cell.cell
        label = f"{cell.row}, {cell.column}"
        if k not in costs:
            lines.append(f"{label:<58} {cell.model:<25} cannot run: {of_cell.refused}")
            continue
        n = samples or SAMPLES.get(of_cell.dataset, 1437)
        passes = epochs or REGISTRY[of_cell.dataset].default_epochs
        hours = EVALUATION * speed[cell.model] * costs[k].operations * n * passes / 3600
        lines.append(
            f"{label:<58} {cell.model:<25} {costs[k].parameters:>12,} {costs[k].operations / 1e9:>12.4f} {hours:>10.2f}"
        )
        for job in of_cell.jobs:
            total += 0 if job.name in counted else hours
            counted.add(job.name)
    lines.append(f"{len(counted)} runs, about {total:.1f} hours on this machine, one after another")
    return lines


def collect(planned: Sequence[Planned], outcomes: dict[str, Outcome]) -> tuple[Line, ...]:
    """Return the lines of the page."""
    lines = []
    for of_cell in planned:
        cell, results, errors = of_cell.cell, [], []
        for job in of_cell.jobs:
            outcome = outcomes[job.name]
            if outcome.error is not None:
                errors.append(outcome.error)
                continue
            try:
                results.append(read_result(outcome.folder))
            except CheckpointError as error:
                errors.append(str(error))
        notes = [text for text in (cell.note, of_cell.note, of_cell.refused) if text]
        line = Line(f"{cell.row}, {cell.column}", cell.data, cell.accuracy, cell.parameters, cell.energy)
        parameters = None if of_cell.config is None else cost_of(cell.model, of_cell.config).parameters
        parameters = _counted(results) or parameters
        lines.append(
            replace(line, parameters=parameters, results=tuple(results), errors=tuple(errors), note="; ".join(notes))
        )
    return tuple(lines)


def _counted(results: Sequence[Result]) -> int | None:
    """Return the parameters of the network that ran, whose classes and channels are those of the data."""
    if not results:
        return None
    found = json.loads((results[0].folder / "audit.json").read_text(encoding="utf-8"))
    return int(found["parameters"])


def main() -> int:
    """Run what is asked for and write the page; returns 1 if a run failed."""
    args = make_parser().parse_args()
    of = wanted(args)
    planned = chosen(args, of)
    print(first_line(args, of))
    if args.dry_run:
        samples = args.limit_train or (QUICK["limit_train"] if args.scale == "quick" else None)
        epochs = args.epochs or (QUICK["epochs"] if args.scale == "quick" else None)
        print("\n".join(dry_run(planned, of, epochs, samples)))
        return 0
    jobs = list({job.name: job for of_cell in planned for job in of_cell.jobs}.values())
    try:
        found = run_jobs(jobs, args.output_dir / "cells", args.jobs, lambda line: print(line, flush=True))
    except JobError as error:
        raise UsageError(f"--output-dir: {error}") from None
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on: {_command()}", file=sys.stderr)
        raise
    outcomes = {outcome.job.name: outcome for outcome in found}
    page = Page(TITLES[args.name], first_line(args, of), _command(), collect(planned, outcomes), of.comparable)
    place = args.output_dir / f"{args.name}-{args.scale}"
    written = []
    for ending, text in ((".md", to_markdown(page)), (".html", to_html(page)), (".json", as_values(page))):
        written.append(place.with_name(place.name + ending))
        write_file(written[-1], text.encode())
    print(to_markdown(page))
    print(f"wrote {', '.join(map(str, written))}")
    failed = sum(outcome.error is not None for outcome in found)
    if failed:
        print(f"error: {failed} of {len(found)} runs failed", file=sys.stderr)
    return DATA if failed else 0


def _command() -> str:
    return f"{called('reproduce')} {shlex.join(sys.argv[1:])}"


if __name__ == "__main__":
    run_tool(main)
