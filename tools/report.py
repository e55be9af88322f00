"""Make one page of a run, or of several side by side, that opens anywhere: curves, classes, energies, settings, data.

Takes run folders that tools/train.py wrote, and folders of several seeds. What tools/evaluate.py and tools/audit.py
would say of the test samples is taken from RUN/evaluation.json and RUN/audit.json, where these are of the weights that
lie there, and else measured, which takes about as long as the two tools do.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import os
import shlex
import sys
from pathlib import Path

from misnet.audit.provenance import date_of, made_by
from misnet.models.options import option_of
from misnet.report.page import Group, report_page
from misnet.report.run import RunReport
from misnet.tools.comparing import Comparison, cells, compare, words_on
from misnet.tools.naming import Parser, called
from misnet.tools.networks import DATA_SETTINGS
from misnet.tools.outputs import check_output, check_outputs, write_outputs
from misnet.tools.reporting import AUDIT, read_run, results_of
from misnet.tools.seeds import SEEDS, folders_of
from misnet.tools.toolkit import UsageError, add_arithmetic_option, add_data_options, run_tool
from snncore.checkpoint import CheckpointError
from snncore.files import text_bytes

EXAMPLES = (
    ("a run, as report.html", "python tools/report.py runs/first"),
    ("only what lies in the folder, at once", "python tools/report.py runs/first --quick"),
    ("folders of seeds: mean and standard deviation", "python tools/report.py runs/concat runs/mlp -o both.html"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, or folder of several seeds")
    parser.add_argument(
        "-o", "--html", type=Path, default=Path("report.html"), metavar="FILE", help="page to write (report.html)"
    )
    parser.add_argument("--quick", action="store_true", help="measure nothing; show what lies in the folders")
    parser.add_argument(
        "--keep", action="store_true", help="write what is measured into each RUN, as evaluation.json and audit.json"
    )
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="weights to use (default: last)")
    parser.add_argument("--batch-size", type=int, help="samples at a time (default: that of audit.py)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index> (default: auto)")
    add_arithmetic_option(parser)
    add_data_options(parser)
    return parser


def expand(place: Path) -> list[Path]:
    """Return the run folders that are meant by a folder, also those of seeds in which no epoch is done yet."""
    if not (place / SEEDS).exists():
        return [place]
    done = folders_of(place)
    begun = sorted(folder for folder in place.glob("seed-*") if (folder / "config.json").exists())
    if not (found := [*done, *(folder for folder in begun if folder not in done)]):
        raise CheckpointError(f"{place}: no seed has begun yet")
    return found


def grouped(found: Comparison, runs: list[RunReport]) -> list[Group]:
    """Return the runs in the groups of a comparison."""
    by_folder = {run.folder: run for run in runs}
    return [Group(group.name, [by_folder[result.folder] for result in group.results]) for group in found.groups]


def main() -> None:
    """Read, measure what is missing, and write the page."""
    parser = make_parser()
    args = parser.parse_args()
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f"--batch-size: expected at least 1, found {args.batch_size}")
    if args.keep and args.quick:
        parser.error("--keep: expected it without --quick, which measures nothing to be kept")
    of_data = [name for name in DATA_SETTINGS if name in args]
    changed = [name for name in of_data if name != "data_dir"]
    for name, others in (("quick", of_data), ("keep", changed)):  # what lies in a folder is of the data of the run
        if vars(args)[name] and others:
            found = ", ".join(map(option_of, others))
            parser.error(f"--{name}: expected it with the data of the run alone, found {found}")
    check_outputs(vars(args))
    try:
        date_of(os.environ)
    except ValueError as error:  # said before anything is counted
        raise UsageError(str(error)) from None
    command = f"{called('report')} {shlex.join(sys.argv[1:])}"
    folders = [folder for place in args.runs for folder in expand(place)]
    for k, folder in enumerate(folders):
        if os.path.realpath(folder) in [os.path.realpath(other) for other in folders[:k]]:
            raise UsageError(f"RUN: expected each run once, found {folder} twice")
    for folder in folders if args.keep else ():
        if folder.is_dir():  # else that is said where it is read
            check_output("--keep", folder / AUDIT)
    runs = [read_run(folder, args, command) for folder in folders]
    made = made_by(command)
    if len(runs) == 1:
        page = report_page(runs, made)
    elif results := results_of(runs):
        found = compare(results)
        page = report_page(runs, made, grouped(found, runs), cells(found), words_on(found), found.notes)
    else:
        page = report_page(runs, made)
    write_outputs({"html": text_bytes(page)}, vars(args))
    for run in runs:
        for text in run.missing:
            print(f"note: {run.folder}: {text}")
    print(f"wrote {args.html}")


if __name__ == "__main__":
    run_tool(main)
