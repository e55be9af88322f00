"""Build the API reference from the docstrings, as web pages, and refuse docstrings that are missing or lead nowhere.

`pip install -e ".[docs]"` brings pdoc, which renders docstrings written as plain text. Faults are printed one a line,
and end the command with status 1: a public name without a docstring, a dotted name or a file that a docstring names
and that does not exist, and whatever pdoc warns of.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import importlib
import sys
import tempfile
import warnings
from pathlib import Path

from misnet._checkout import how_to_install
from misnet.tools.docstring_names import unresolved
from misnet.tools.docstrings import public_names, stand_in_for, undocumented, value_docs
from misnet.tools.naming import Parser
from misnet.tools.toolkit import DATA, UsageError, run_tool

PAGES = (
    *("snncore", "snncore.functions", "snncore.nn", "snncore.optim", "snncore.schedules", "snncore.surrogate"),
    *("snncore.opcount", "snncore.energy", "snncore.layout", "snncore.gradcheck", "snncore.checkpoint"),
    *("snncore.interchange", "snncore.parallel", "snncore.launcher", "snncore.mpi", "snncore.nccl"),
    *("snncore.overlap", "snncore.sharing"),
    *("misnet", "misnet.models.contract", "misnet.models.config", "misnet.models.registry"),
    *("misnet.training.run", "misnet.training.step", "misnet.training.recording"),
    *("misnet.audit.report", "misnet.audit.claims", "misnet.datasets", "misnet.datasets.registry"),
)
"""The modules that have a page; what they export is the public API."""

STYLE = "main.pdoc { width: calc(68rem + var(--sidebar-width)) }\n"  # lines of 120 letters, as in the sources
ROOT = Path(__file__).resolve().parents[1]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        examples=[
            ("build the pages, to be opened in a browser", "python tools/reference.py"),
            ("only look for faults; needs no pdoc", "python tools/reference.py --check"),
        ],
    )
    default = Path("build/reference")
    parser.add_argument(
        "--output-dir", type=Path, default=default, metavar="DIR", help="folder to write (default: %(default)s)"
    )
    parser.add_argument("--check", action="store_true", help="look for faults and write nothing")
    return parser


def faults() -> list[str]:
    """Return what is wrong with the docstrings, a sentence each: of the pages, and of every file's references."""
    return [*(f"{name}: has no docstring" for page in PAGES for name in undocumented(page)), *unresolved(ROOT)]


def build(folder: Path) -> list[str]:
    """Write the pages into a folder; returns what pdoc warns of. Raises UsageError where it is not installed."""
    try:
        import pdoc
        import pdoc.doc_ast
        from pdoc.render_helpers import markdown_extensions
    except ImportError:
        raise UsageError(f"pdoc is not installed; install it with: {how_to_install('pdoc', 'docs')}") from None
    markdown_extensions["breaks"] = {"on_newline": True}  # a docstring's lines stay lines
    with (
        warnings.catch_warnings(record=True) as caught,
        stand_in_for("snncore", "audit_torch", "snncore.foreign.audit"),
        tempfile.TemporaryDirectory() as style,
    ):
        warnings.simplefilter("always")
        Path(style, "custom.css").write_text(STYLE, encoding="utf-8")
        for page in map(importlib.import_module, PAGES):  # pdoc finds only those that stand in the page's own file
            docs = {name: value_docs(page, name) for name in public_names(page)}
            pdoc.doc_ast.walk_tree(page).var_docstrings.update({name: text for name, text in docs.items() if text})
        pdoc.render.configure(template_directory=Path(style), footer_text="snncore and MISNet")
        pdoc.pdoc(*_roots(), output_directory=folder)
    return [f"{warning.filename}: {str(warning.message).strip().splitlines()[0]}" for warning in caught]


def _roots() -> list[str]:
    """The pages without those that pdoc takes along with their package, which exports them."""
    along = {f"{page}.{name}" for page in PAGES for name in public_names(importlib.import_module(page))}
    return [page for page in PAGES if page not in along]


def main() -> int:
    """Look for faults, build the pages, and return the exit status."""
    args = make_parser().parse_args()
    found = faults()
    if not args.check:
        found += build(args.output_dir)
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        return DATA
    print("no faults" if args.check else f"wrote {args.output_dir / 'index.html'}")
    return 0


if __name__ == "__main__":
    run_tool(main)
