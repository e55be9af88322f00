"""Audit the energy of a network: exact operation counts on real inputs, read by every counting rule.

`python tools/audit.py runs/first` audits a trained run; `python tools/audit.py --variant XS` a network with fresh
weights and batch statistics of 32 training samples: what its shapes cost, not how often a trained network spikes.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from misnet.audit.claims import Claim, parse_claim
from misnet.audit.html_page import page
from misnet.audit.latex import latex_table
from misnet.audit.provenance import date_of
from misnet.audit.runs import check_trainings, run_lines, runs_latex, side_by_side
from misnet.audit.runs_page import runs_page
from misnet.audit.text import brief_lines, made_lines, rule_lines
from misnet.audit.whole import whole
from misnet.models.options import add_model_options, first_look, option_of, split
from misnet.models.registry import DEFAULT
from misnet.paper.conventions import rates_by_convention
from misnet.paper.energies import printed_energies
from misnet.paper.text import paper_lines
from misnet.tools.compare import expand
from misnet.tools.loudness import add_loudness_options, is_quiet, is_verbose, say
from misnet.tools.naming import Parser, called
from misnet.tools.networks import DATA_SETTINGS
from misnet.tools.outputs import check_outputs, write_outputs
from misnet.tools.parts import PARTS
from misnet.tools.ranks import Watch, job
from misnet.tools.subjects import SPREAD, subject_of, ways_of
from misnet.tools.toolkit import (
    UsageError,
    add_arithmetic_option,
    add_data_options,
    run_tool,
)
from misnet.tools.ways import WAYS
from snncore.energy import DEFAULT_TABLE, ON_REQUEST, OWN_TABLES, RULES, TABLES, PriceError, load_prices
from snncore.files import json_bytes, text_bytes
from snncore.launcher import world
from snncore.nearest import nearest_words
from snncore.parallel import Comm

EXAMPLES = (
    ("a trained run, read by every rule", "python tools/audit.py runs/first"),
    ("a printed figure against it", "python tools/audit.py runs/first --claim 1.32mJ"),
    ("two rules, a page to cite", "python tools/audit.py runs/first --rule exact,syops --html audit.html"),
    ("what the shapes of a network cost, untrained", "python tools/audit.py --model spikformer --size 32"),
    ("a table of layers from a paper", "python tools/audit.py --layers layers.csv --rate 0.1-0.3"),
)


def make_parser(model: str = DEFAULT) -> argparse.ArgumentParser:
    """Return the parser for a model."""
    parser = Parser(
        usage="%(prog)s [RUN_DIR | --model NAME] [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        examples=EXAMPLES,
    )
    parser.add_argument("run_dir", type=Path, nargs="?", metavar="RUN_DIR", help="folder that tools/train.py wrote")
    parser.add_argument("--checkpoint", choices=("last", "best"), help="weights of a run to use (default: last)")
    parser.add_argument("--split", choices=PARTS[::-1], help="samples to use (default: test)")
    parser.add_argument(
        "--batch-size",
        type=int,
        help="samples at a time (default: 32, of small images 128); changes no count, but what rules that look at "
        "whole batches (syops, neurobench, spikingjelly) make of them",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index> (default: auto)")
    add_arithmetic_option(parser)
    add_loudness_options(parser, "the table of rules and what is said of claims", "what each rule counts")
    group = parser.add_argument_group("audit")
    group.add_argument(
        "--rule",
        default="all",
        help=f"all (default: {', '.join(RULES)}), or some, with commas; by name alone: {', '.join(ON_REQUEST)}",
    )
    group.add_argument(
        "--prices",
        metavar="TABLE",
        help=f"price table: one of {', '.join(TABLES)} or a .toml file (default: what the authors of each rule take)",
    )
    group.add_argument(
        "--claim",
        metavar="FIGURE",
        action="append",
        default=[],
        help="what a paper claims for one sample, to be checked: 1.32mJ, '3.1 GSOPs', rate=12%%; may be given again",
    )
    group.add_argument(
        "--training-step",
        action="store_true",
        help="count a step of training too: forward, backward and the optimizer of the run (or the default one)",
    )
    group.add_argument(
        "--spread",
        type=int,
        default=SPREAD,
        metavar="N",
        help="samples that are also counted one by one, for the spread of rules that look at whole batches; 0 for none "
        f"(default: {SPREAD})",
    )
    group.add_argument("--paper", action="store_true", help="print Table 5 of the paper beside ours")
    group.add_argument("--json", type=Path, metavar="FILE", help="write every figure to a JSON file")
    group.add_argument("--html", type=Path, metavar="FILE", help="write one HTML page with tables and pictures")
    group.add_argument("--latex", type=Path, metavar="FILE", help="write the table of the rules for LaTeX")
    group.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="in place of RUN_DIR: several trainings side by side, run folders or folders of several seeds",
    )
    others = parser.add_argument_group("networks from elsewhere, in place of RUN_DIR")
    for way in WAYS.values():
        way.add(others)
    add_data_options(parser)
    add_model_options(parser, model)
    return parser


def claims_of(texts: Sequence[str]) -> list[Claim]:
    """Return the claims of --claim; raises UsageError for a text that is none."""
    try:
        return [parse_claim(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"--claim: {error}") from None


def chosen_rules(text: str) -> list[str]:
    """Return the names of rules for --rule; raises UsageError for one that does not exist."""
    names = list(RULES) if text == "all" else [name.strip() for name in text.split(",")]
    known = RULES | ON_REQUEST
    for name in names:
        if name not in known:
            raise UsageError(
                f"--rule: expected all or some of {', '.join(known)}, found {name!r}{nearest_words(name, known)}"
            )
    return names


def command_line() -> str:
    """Return the command that runs, as it can be typed."""
    return f"{called('audit')} {shlex.join(sys.argv[1:])}".strip()


def settle(args: argparse.Namespace) -> None:
    """Give options their defaults; raises UsageError for those that would say nothing of what is audited."""
    ways = "".join(f"--{name}" for name in ways_of(args)[:1])
    for name, usual, misfit in (
        ("checkpoint", "last", not (args.run_dir or args.runs) and "a trained run"),
        ("split", "test", ways and f"data of ours, not {ways}"),
    ):
        if vars(args)[name] is None:
            setattr(args, name, usual)
        elif misfit:
            raise UsageError(f"--{name}: expected it with {misfit}")


def audit_runs(args: argparse.Namespace, switches: dict[str, Any], comm: Comm) -> dict[str, Any]:
    """Count each of the folders of --runs, and return them side by side."""
    others = ["RUN_DIR"] if args.run_dir else [f"--{name}" for name in ways_of(args)]
    others += [f"--{name}" for name in ("claim", "training-step") if vars(args)[name.replace("-", "_")]]
    others += [option_of(name) for name in (*switches, *(("model",) if "model" in vars(args) else ()))]
    if others:
        raise UsageError(f"--runs: expected trained runs alone, found {', '.join(others)} too")
    folders = [folder for place in args.runs for folder in expand(place)]
    try:
        check_trainings([folder / f"{args.checkpoint}.safetensors" for folder in folders])
    except ValueError as error:
        raise UsageError(f"--runs: {error}") from None
    reports = [audit(argparse.Namespace(**{**vars(args), "run_dir": folder}), {}, comm)[0] for folder in folders]
    return side_by_side(reports, command_line())


def audit(
    args: argparse.Namespace, switches: dict[str, Any], comm: Comm
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Count and return (report, lines to print, lines on the claims)."""
    names = chosen_rules(args.rule)
    prices = {name: load_prices(args.prices or OWN_TABLES.get(name, DEFAULT_TABLE)) for name in names}
    claims = claims_of(args.claim)
    own = load_prices(args.prices) if args.prices else None
    return whole(subject_of(args, switches, comm), prices, claims, command_line(), own)


def main() -> None:
    """Count, write and print, with as many ranks as `mpiexec` started."""
    comm = world()
    with job(comm), Watch(comm):
        audit_shared(comm)


def audit_shared(comm: Comm) -> None:
    """Count on all ranks; the first writes and prints, files first, since the reader of what is printed may leave."""
    parser = make_parser(first_look(None).get("model", DEFAULT))
    others, switches = split(vars(parser.parse_args()))
    args = argparse.Namespace(**others)
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f"--batch-size: expected at least 1, found {args.batch_size}")
    if args.spread < 0:
        parser.error(f"--spread: expected at least 0, found {args.spread}")
    settle(args)
    found: dict[str, Any] = {}
    shown: list[str] = []
    files: dict[str, bytes] = {}
    if comm.rank == 0:
        check_outputs(vars(args))
    try:
        date_of(os.environ)
    except ValueError as error:  # said before anything is counted
        raise UsageError(str(error)) from None
    try:
        named = args.run_dir or ways_of(args) or switches or {"model", *DATA_SETTINGS} & {*others}
        named = named or args.claim or args.training_step
        if args.runs:
            found = audit_runs(args, switches, comm)
            shown += run_lines(found)
            makers = (("html", runs_page), ("latex", runs_latex))
            files |= {name: text_bytes(make(found)) for name, make in makers if vars(args)[name]}
        elif named or args.html or args.latex or not args.paper:
            found, lines, about = audit(args, switches, comm)
            lines = brief_lines(found) if is_quiet() else lines
            shown += [*lines, *(["", *about] if about else []), *([] if is_quiet() else ["", *made_lines(found)])]
            shown += rule_lines(list(found["rules"])) if is_verbose() else []
            if args.html:
                files["html"] = text_bytes(page(found["title"], found, about))
            if args.latex:
                files["latex"] = text_bytes(latex_table(found))
        if args.paper:
            prices = load_prices(args.prices or DEFAULT_TABLE)
            rows = printed_energies(prices, switches.get("preset", "paper"))
            found |= {"paper": rows, "paper_conventions": rates_by_convention(prices)}
            shown += paper_lines(rows, found["paper_conventions"])
    except PriceError as error:
        raise UsageError(f"--prices: {error}") from None
    if args.json:
        files["json"] = json_bytes(found)
    if comm.rank > 0:
        return
    write_outputs(files, vars(args))
    print("\n".join(shown))
    for name in files:
        say(f"\nwrote {vars(args)[name]}")


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
