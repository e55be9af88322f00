"""Ways into an audit by a table of layers or a graph: `--layers TABLE.csv [--spikes FILE.npz]` and `--nir FILE.nir`."""

import argparse
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from misnet.audit.layers import table_subject
from misnet.audit.layers_cells import parse_rate
from misnet.audit.layers_row import TEMPLATE, Rate, TableError
from misnet.audit.layers_table import read_table, table_text
from misnet.audit.nir_graph import graph_rows
from misnet.audit.nir_network import graph_subject
from misnet.audit.spikes import recorded_subject
from misnet.audit.spikes_file import LAYOUTS, is_layout
from misnet.audit.subject import Subject
from misnet.datasets import DataError
from misnet.tools.toolkit import UsageError
from snncore.files import replace_file
from snncore.interchange import DT, read_graph

__all__ = ["add_layers", "add_nir", "layers_subject", "nir_subject"]


STEPS = 4
"""Timesteps where neither the table nor --steps says."""


class _WriteTemplate(argparse.Action):
    """Writes a table that can be read as it stands, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, value: Any, option: Any = None) -> None:
        if value.exists():
            parser.error(f"{option}: expected a new file, found {value}")
        replace_file(value, TEMPLATE.encode())
        parser.exit(0, f"wrote {value}\n")


def rate_of(text: str) -> Rate:
    """Read --rate; for argparse, whose error it raises."""
    try:
        return parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, found {text!r}") from None


def steps_of(text: str) -> int:
    """Read --steps; for argparse, whose error it raises."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def add_layers(group: argparse._ArgumentGroup) -> None:
    """Add --layers, what goes with it, and the options that --nir shares."""
    group.add_argument(
        "--layers", type=Path, metavar="TABLE.csv", help="a table of layers with shapes and firing rates"
    )
    group.add_argument(
        "--layers-template", type=Path, action=_WriteTemplate, metavar="FILE", help="write a table to fill in, and end"
    )
    group.add_argument(
        "--spikes", type=Path, metavar="FILE.npz", help="with --layers: recorded spike trains, by name of layer"
    )
    group.add_argument(
        "--layout",
        metavar="AXES",
        help="of the arrays of --spikes: TNHWC (default), TNCHW, TNF, ...; without N for one; "
        "of the inputs of --torch: TN (time first), NT or N (default: TN if it fits)",
    )
    group.add_argument(
        "--steps",
        type=steps_of,
        metavar="T",
        help=f"the same as --timesteps here: T, where the table has none (default: {STEPS}; with --torch: none)",
    )
    group.add_argument(
        "--rate", type=rate_of, metavar="R", help="of layers without one: 0.13, 13%% or 0.1-0.3 (default: 0 to 1)"
    )


def layers_subject(args: argparse.Namespace) -> Subject:
    """Count the table of --layers, by its rates or from the recordings of --spikes."""
    if args.layout and not args.spikes:
        raise UsageError("--layout: expected --spikes FILE.npz beside it, found none")
    if not is_layout(args.layout or ""):
        raise UsageError(f"--layout: expected {LAYOUTS}, found {args.layout!r}")
    try:
        rows = read_table(args.layers)
        if args.spikes:
            return recorded_subject(args.layers, rows, args.spikes, args.layout or "", args.steps, args.rate)
        subject = table_subject(args.layers, rows, args.steps or STEPS, args.rate)
        if args.steps is None and any(row.timesteps is None for row in rows):
            subject.warnings.insert(0, f"the table has no timesteps: T={STEPS} is taken (--steps)")
        return subject
    except TableError as error:
        raise DataError(str(error)) from None


def seconds_of(text: str) -> float:
    """Read --nir-dt; for argparse, whose error it raises."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, such as 1e-3, found {text!r}")
    return seconds


def add_nir(group: argparse._ArgumentGroup) -> None:
    """Add --nir and what goes with it; --inputs is shared with other networks from elsewhere."""
    group.add_argument("--nir", type=Path, metavar="FILE.nir", help="a graph of NIR, by --rate or run on --inputs")
    group.add_argument(
        "--nir-dt",
        type=seconds_of,
        metavar="SECONDS",
        help=f"with --nir --inputs: length of a timestep (default: {DT:g})",
    )
    group.add_argument(
        "--nir-table", type=Path, metavar="FILE.csv", help="with --nir: write its layers as a table for --layers"
    )
    with suppress(argparse.ArgumentError):  # of another way
        group.add_argument(
            "--inputs",
            type=Path,
            metavar="FILE.npy",
            help="data to run on: [T, N, ...]; with --torch: .npy, .npz or .pt",
        )


def nir_subject(args: argparse.Namespace) -> Subject:
    """Count the graph of --nir."""
    if args.inputs is None and args.nir_dt is not None:
        raise UsageError("--nir-dt: expected --inputs FILE.npy beside it, found none; counts by a rate have no dt")
    if args.inputs is not None and (extra := [f"--{n}" for n in ("steps", "rate") if getattr(args, n) is not None]):
        raise UsageError(f"--inputs: the run sets timesteps and rates; also found {', '.join(extra)}")
    try:
        if args.nir_table is not None:
            rows, _ = graph_rows(read_graph(args.nir))
            replace_file(args.nir_table, table_text(rows).encode())
        inputs = None if args.inputs is None else Path(args.inputs)
        return graph_subject(args.nir, inputs, args.steps or STEPS, args.rate, args.nir_dt or DT)
    except TableError as error:
        raise DataError(str(error)) from None
