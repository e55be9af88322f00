"""Run a table or figure of the paper: every cell, several seeds, and a page with the printed figures beside ours.

`python tools/reproduce.py table7 --seeds 3` trains a shrunken copy of each network of Table 7 on the built-in data;
`--scale full --data-dir DIR` is the paper's own experiment, on its data sets, at its sizes, for days. The same command
again goes on where it stopped: what is done is not done again. `--dry-run` says what would run, and for how long.
fig7, fig8 and fig9 are pictures of the networks that are trained for them, or of run folders: `--runs A B`.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from misnet.datasets.registry import REGISTRY
from misnet.models.config import ModelConfig
from misnet.models.options import option_of
from misnet.paper.estimate import EVALUATION, SAMPLES, Cost, cost_of, seconds_an_operation
from misnet.paper.grid import QUICK_SETTINGS, SCALES, SMALL_SCALE, TITLES, Cell, Run, cells, config_of, plan, problem
from misnet.paper.jobs import Job, JobError, Outcome, finished_jobs, run_jobs
from misnet.paper.pages import Line, Page, as_values, later_lines, to_html, to_markdown
from misnet.paper.paired import base_of
from misnet.tools.loudness import add_loudness_options, is_verbose, say
from misnet.tools.naming import Parser, called
from misnet.tools.paper_figures import FIGURES, draw, names_of
from misnet.tools.ranks import Watch, job, refuse_ranks, refuse_strangers, take_card
from misnet.tools.seeds import seeds_of
from misnet.tools.settings import RECIPES
from misnet.tools.toolkit import DATA, StopRequest, UsageError, run_tool
from misnet.training.folder import write_file
from misnet.training.results import count_parameters, read_result
from snncore.checkpoint import CheckpointError
from snncore.files import text_bytes
from snncore.launcher import world
from snncore.parallel import Comm

AUDITED = ("--rule", "paper,exact", "--limit-eval", "64")  # of a trained run: 64 test samples
ALL = TITLES | {name: picture.title for name, picture in FIGURES.items()}
OF_DRAWING = ("name", "runs", "sample", "data_dir", "output_dir")  # options that count beside --runs
OF_TRAINING = ("epochs", "limit_train", "limit_eval", "recipe", "data_dir", "device")


EXAMPLES = (
    ("what Table 7 would run, and for how long", "python tools/reproduce.py table7 --dry-run"),
    ("a shrunken copy of it, three seeds, two runs at a time", "python tools/reproduce.py table7 --seeds 3 --jobs 2"),
    ("the paper's own experiment, on its data", "python tools/reproduce.py table7 --scale full --data-dir DIR"),
    ("spikes of one test sample of trained runs", "python tools/reproduce.py fig8 --runs runs/first --sample 3"),
)


def seeds_from(text: str) -> list[int]:
    """Return the seeds of --seeds: those in a list with commas, as for train.py, or 0 to N-1 for a number N."""
    if text.isascii() and text.isdigit():
        return list(range(int(text)))
    return seeds_of(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    names = "; ".join(f"{name}: {title.partition(': ')[2]}" for name, title in ALL.items())
    parser.add_argument("name", choices=tuple(ALL), metavar="NAME", help=names)
    scale = "quick (default): narrow networks, few samples, built-in data; full: the networks, sizes and data printed"
    parser.add_argument("--scale", choices=tuple(SCALES), default="quick", help=scale)
    parser.add_argument("--dataset", choices=tuple(REGISTRY), help="one data set for all cells (quick: dialpad)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of the data sets")
    parser.add_argument(
        "--epochs", type=int, help=f"of a run (quick: {QUICK_SETTINGS['epochs']}; full: the data set's)"
    )
    for name, what in (("limit_train", "training"), ("limit_eval", "test")):
        text = f"{what} samples (quick: at most {QUICK_SETTINGS[name]})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text)
    parser.add_argument("--recipe", choices=tuple(RECIPES), help="of training (full: that of the paper)")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:<index> (default: auto)")
    parser.add_argument(
        "--seeds", type=seeds_from, default=[0], metavar="SEEDS", help="as 0,1,2, or 3 for those (default: 0)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at the same time (default: 1); one a rank under mpiexec"
    )
    parser.add_argument("--only", metavar="TEXT", help="cells whose row or column has this text")
    place = Path("runs/reproduce")
    parser.add_argument(
        "--output-dir", type=Path, default=place, metavar="DIR", help="where to write (default: %(default)s)"
    )
    folders = "run folders to draw fig7, fig8 or fig9 of; trains nothing"
    parser.add_argument("--runs", type=Path, nargs="+", metavar="RUN", help=folders)
    parser.add_argument("--sample", type=int, metavar="K", help="test sample of fig8 and fig9 (default: 0)")
    add_loudness_options(parser, "the page", "the command line of every run")
    page = "write the page of the runs that are done, naming those that are not; run nothing"
    parser.add_argument("--page-only", action="store_true", help=page)
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and for how long; run nothing")
    return parser


@dataclass(frozen=True)
class Planned:
    """A cell and its runs, one a seed, or why there is none."""

    cell: Cell
    run: Run
    jobs: tuple[Job, ...]
    refused: str | None


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for numbers that cannot be used, and for options that would do nothing."""
    if args.dry_run and args.page_only:
        raise UsageError("--page-only: expected it without --dry-run, which writes nothing")
    if args.sample is not None and args.name not in ("fig8", "fig9"):
        raise UsageError(f"--sample: expected it with fig8 or fig9, found it with {args.name}")
    if args.runs is not None:
        if args.name not in FIGURES:
            raise UsageError(f"--runs: expected it with {', '.join(FIGURES)}, found it with {args.name}")
        usual = vars(make_parser().parse_args([args.name]))
        others = [name for name in usual if name not in OF_DRAWING and vars(args)[name] != usual[name]]
        if others:
            found = ", ".join(map(option_of, others))
            raise UsageError(f"--runs: expected it without what says how to train, found {found} too")
    for name in ("epochs", "limit_train", "limit_eval", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: expected an integer of at least 1, found {value}")
    if not args.seeds:
        raise UsageError("--seeds: expected a number of at least 1, or seeds as 0,1,2, found 0")


def chosen(args: argparse.Namespace) -> list[Planned]:
    """Return the cells that are asked for; raises UsageError if there is none."""
    text = (args.only or "").lower()
    every = FIGURES[args.name].cells if args.name in FIGURES else cells(args.name)
    found = [cell for cell in every if text in f"{cell.row} {cell.column}".lower()]
    if not found:
        raise UsageError(f"--only: expected text of a row or column of {args.name}, found {args.only!r}")
    try:
        return [planned(cell, plan(cell, args.scale, args.dataset), args) for cell in found]
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def planned(cell: Cell, run: Run, args: argparse.Namespace) -> Planned:
    """Return a cell with its jobs: those of another cell that comes to the same run are the same jobs."""
    if (why := problem(run)) is not None:
        return Planned(cell, run, (), why)
    more = {name: getattr(args, name) for name in OF_TRAINING if getattr(args, name) is not None}
    options = [*run.arguments(), *(x for name, v in more.items() for x in (f"--{name.replace('_', '-')}", str(v)))]
    digest = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:8]
    name = f"{run.model}-{run.source.dataset}-{digest}"
    jobs = (Job(f"{name}/seed-{seed}", (*options, "--seed", str(seed)), AUDITED) for seed in args.seeds)
    return Planned(cell, run, tuple(jobs), None)


def first_line(args: argparse.Namespace) -> str:
    """Return the line that begins a page: at what scale it was run, and with what instead of that."""
    more = [f"--{name.replace('_', '-')} {getattr(args, name)}" for name in OF_TRAINING if getattr(args, name)]
    seeds = "One seed." if len(args.seeds) == 1 else f"{len(args.seeds)} seeds."
    data = args.dataset or ("dialpad" if args.scale == "quick" else "")
    scale = SMALL_SCALE if args.name == "models" and args.scale == "quick" else SCALES[args.scale]
    words = [scale, f"Data: {data}." if data else "", f"With {' '.join(more)}." if more else "", seeds]
    return " ".join(text for text in words if text)


def dry_run(found: Sequence[Planned], args: argparse.Namespace) -> list[str]:
    """Return a line for each cell, and the hours of all: one step of each model is measured here."""
    costs: dict[int, Cost] = {}
    by_model: dict[str, dict[ModelConfig, Cost]] = {}
    for k, of_cell in enumerate(found):
        if of_cell.refused is None:
            config, model = config_of(of_cell.run), of_cell.run.model
            known = by_model.setdefault(model, {})
            if config not in known:
                known[config] = cost_of(model, config)
            costs[k] = known[config]
    speed = {}
    for model, configs in by_model.items():
        say(f"measuring a training step of {model} ...")
        speed[model] = seconds_an_operation(model, list(configs.items()))
    lines = [f"{'cell':<56} {'model':<24} {'parameters':>12} {'GMAC/sample':>12} {'hours/run':>10}"]
    hours: dict[str, float] = {}
    for k, of_cell in enumerate(found):
        run, label = of_cell.run, _label(of_cell.cell)
        if k not in costs:
            lines.append(f"{label:<56} {run.model:<24} cannot run: {of_cell.refused}")
            continue
        samples = args.limit_train or run.settings.get("limit_train") or SAMPLES.get(run.source.dataset, 10000)
        samples = min(samples, SAMPLES.get(run.source.dataset, samples))
        epochs = args.epochs or run.settings.get("epochs") or REGISTRY[run.source.dataset].default_epochs
        of_run = EVALUATION * speed[run.model] * costs[k].operations * samples * epochs / 3600
        hours |= {job.name: of_run for job in of_cell.jobs}
        numbers = f"{costs[k].parameters:>12,} {costs[k].operations / 1e9:>12.4f} {of_run:>10.2f}"
        lines.append(f"{label:<56} {run.model:<24} {numbers}")
    lines.append(f"{len(hours)} runs, about {sum(hours.values()):.1f} hours on this machine, one after another")
    return lines


def collect(found: Sequence[Planned], outcomes: dict[str, Outcome]) -> tuple[Line, ...]:
    """Return the lines of the page."""
    bases = {p.cell.column: _label(p.cell) for p in found if base_of(p.cell.table, p.cell.row)}
    return tuple(_line(p, outcomes, bases.get(p.cell.column)) for p in found)


def _label(cell: Cell) -> str:
    return f"{cell.row}, {cell.column}"


def _line(of_cell: Planned, by_name: dict[str, Outcome], base: str | None) -> Line:
    cell = of_cell.cell
    outcomes = [by_name[job.name] for job in of_cell.jobs if job.name in by_name]
    results, errors = [], [outcome.error for outcome in outcomes if outcome.error is not None]
    missing = [job.name.rpartition("-")[2] for job in of_cell.jobs if job.name not in by_name]
    for outcome in outcomes:
        if outcome.error is None:
            try:
                results.append(read_result(outcome.folder))
            except CheckpointError as error:
                errors.append(str(error))
    notes = (
        cell.note,
        "" if of_cell.refused is None else f"not run: {of_cell.refused}",
        f"not run yet: seed {', '.join(missing)}" if missing else "",
    )
    return Line(
        _label(cell),
        of_cell.run.source.dataset,
        paper=cell.accuracy,
        paper_parameters=cell.parameters,
        paper_mj=cell.energy,
        parameters=count_parameters(results[0].content) if results else None,
        results=tuple(results),
        errors=tuple(errors),
        note="; ".join(text for text in notes if text),
        base=None if base == _label(cell) else base,
    )


def main() -> int:
    """Run what is asked for and write the page; returns 1 if a run failed."""
    comm = world()
    with job(comm), Watch(comm, "The same command goes on"):
        return run_shared(comm)


def run_shared(comm: Comm) -> int:
    """Run what is asked for, a run at a time on each rank; the first writes the page. Returns 1 if a run failed."""
    args = make_parser().parse_args()
    check(args)
    refuse_ranks(comm, {"--jobs": args.jobs > 1}, "each rank has one run at a time")
    for_one = {"--runs": args.runs, "--dry-run": args.dry_run, "--page-only": args.page_only}
    refuse_ranks(comm, for_one, "ranks share runs, and it has none")
    refuse_strangers(comm, {"options": {name: str(value) for name, value in vars(args).items()}})
    take_card(comm)
    if args.runs is not None:
        return _draw(args, args.runs, names_of(args.runs), args.name)
    found = chosen(args)
    say(first_line(args))
    if args.dry_run:
        print("\n".join(dry_run(found, args)))
        return 0
    jobs = list({job.name: job for of_cell in found for job in of_cell.jobs}.values())
    if is_verbose():
        for job in jobs:
            print(f"{args.output_dir / 'cells' / job.name}: {called('train')} {shlex.join(job.train)}")
    try:
        if args.page_only:
            came = finished_jobs(jobs, args.output_dir / "cells")
        else:
            stop = StopRequest("the runs under way have saved") if comm.size > 1 else lambda: False
            came = run_jobs(jobs, args.output_dir / "cells", args.jobs, say, comm, stop)
    except JobError as error:
        raise UsageError(f"--output-dir: {error}") from None
    except KeyboardInterrupt:
        if comm.rank == 0:
            print(f"stopped; the same command goes on: {_command()}", file=sys.stderr)
        raise
    if comm.rank > 0:
        return 0
    failed = sum(outcome.error is not None for outcome in came)
    if args.name in FIGURES:
        if failed or len(came) < len(jobs) or any(of_cell.refused for of_cell in found):
            print("error: not drawn, as a network is missing", file=sys.stderr)
            return DATA
        first = [args.output_dir / "cells" / of_cell.jobs[0].name for of_cell in found]
        return _draw(args, first, [of_cell.cell.row for of_cell in found], f"{args.name}-{args.scale}")
    fewer = args.limit_train or args.limit_eval or args.recipe not in (None, "paper")
    comparable = args.scale == "full" and args.dataset is None and not fewer
    lines = collect(found, {outcome.job.name: outcome for outcome in came})
    lines += () if args.only else later_lines(args.name)
    page = Page(TITLES[args.name], first_line(args), _command(), lines, comparable)
    place, written = args.output_dir / f"{args.name}-{args.scale}", []
    place.parent.mkdir(parents=True, exist_ok=True)  # with --page-only nothing has been run there
    for ending, text in ((".md", to_markdown(page)), (".html", to_html(page)), (".json", as_values(page))):
        written.append(place.with_name(place.name + ending))
        write_file(written[-1], text_bytes(text))
    print(to_markdown(page))
    print(f"wrote {', '.join(map(str, written))}")
    if failed:
        print(f"error: {failed} of {len(came)} runs failed", file=sys.stderr)
    return DATA if failed else 0


def _draw(args: argparse.Namespace, folders: Sequence[Path], names: Sequence[str], file: str) -> int:
    written = draw(args.name, folders, names, args.output_dir / file, args.data_dir, args.sample or 0)
    print(f"wrote {', '.join(map(str, written))}")
    return 0


def _command() -> str:
    return f"{called('reproduce')} {shlex.join(x for x in sys.argv[1:] if x != '--page-only')}"


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
