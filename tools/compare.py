"""Compare runs: a table, their curves in one picture, and the spread over seeds.

Takes run folders that tools/train.py wrote, and folders of several seeds. Runs that differ in the seed alone are one
line. Energies are shown of runs with an audit.json, which tools/audit.py RUN --json RUN/audit.json writes; macro F1 of
those with an evaluation.json of the last epoch, from tools/evaluate.py RUN --json RUN/evaluation.json.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
from pathlib import Path

from misnet.pictures import ENDINGS
from misnet.tools.comparing import compare, report, write_reports
from misnet.tools.naming import Parser
from misnet.tools.outputs import check_outputs, picture_file
from misnet.tools.seeds import SEEDS, folders_of
from misnet.tools.toolkit import run_tool
from misnet.training.results import read_result
from snncore.checkpoint import CheckpointError

EXAMPLES = (
    ("two runs side by side", "python tools/compare.py runs/first runs/second"),
    ("a folder of seeds: mean and spread, and the curves", "python tools/compare.py runs/seeds --picture seeds.png"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, or folder of several seeds")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table, a row for each line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure, those of each run too")
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help=f"draw the curves of all runs: {ENDINGS}")
    return parser


def expand(place: Path) -> list[Path]:
    """Return the run folders that are meant by a folder; raises CheckpointError if none has an epoch done."""
    if not (place / SEEDS).exists():
        return [place]
    if not (folders := folders_of(place)):
        raise CheckpointError(f"{place}: no seed has come to the end of an epoch yet")
    return folders


def main() -> None:
    """Compare, write and print."""
    args = make_parser().parse_args()
    check_outputs(vars(args))
    found = compare([read_result(folder) for place in args.runs for folder in expand(place)])
    written = write_reports(found, args.csv, args.json, args.picture)
    print(report(found))  # once the files are there, though the reader may have left
    for path in written:
        print(f"\nwrote {path}")


if __name__ == "__main__":
    run_tool(main)
