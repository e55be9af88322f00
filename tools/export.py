"""Export a trained network: as a graph of NIR, as a state dict of PyTorch, or as arrays of NumPy.

docs/interchange.md says what goes where, and what does not. tools/adopt.py makes a run of such files, and of weights
that were trained elsewhere.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
from pathlib import Path

from misnet.datasets import DataError
from misnet.interchange.about import about, neuron_lines
from misnet.interchange.files import TORCH_FILES, npz_bytes, torch_bytes
from misnet.interchange.graph import shapes_of
from misnet.interchange.state import state_dict_of, what_it_is
from misnet.models.contract import Model
from misnet.tools.naming import Parser
from misnet.tools.outputs import check_output
from misnet.tools.table_ways import seconds_of
from misnet.tools.toolkit import UsageError, run_tool
from misnet.training.folder import load_run
from snncore.backend import asnumpy
from snncore.files import replace_file
from snncore.interchange import DT, InterchangeError, to_nir, write_nir

FORMATS = ("nir", "torch", "npz")
EXAMPLES = (
    ("every array, for NumPy alone", "python tools/export.py runs/first --to npz -o first.npz"),
    (
        "a state dict; by a name like first.pt with PyTorch",
        "python tools/export.py runs/first --to torch -o w.safetensors",
    ),
    ("a network that NIR can express", "python tools/export.py runs/sew --to nir -o sew.nir"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that tools/train.py wrote")
    parser.add_argument("--to", choices=FORMATS, required=True, help="format to write")
    parser.add_argument("-o", "--file", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="weights to use (default: last)")
    parser.add_argument(
        "--nir-dt",
        type=seconds_of,
        metavar="SECONDS",
        help=f"with --to nir: seconds of a timestep, by which decays become time constants (default: {DT:g})",
    )
    return parser


def export_nir(model: Model, path: Path, dt: float) -> str:
    """Write a graph of NIR, and return a line on it."""
    try:
        graph = to_nir(model, shapes_of(model), dt)
    except InterchangeError as error:
        raise InterchangeError(f"{model.config.title}: {error}") from None
    write_nir(path, graph)
    return f"{len(graph.nodes)} nodes, {len(graph.edges)} edges, for timesteps of {dt:g} s"


def export_arrays(model: Model, name: str, content: dict, to: str, path: Path) -> str:
    """Write weights, and return a line on them."""
    said = about(name, model, content)
    if to == "npz":
        arrays = {key: asnumpy(x) for key, x in model.state_dict().items()}
        words, file = "our own names and layout", npz_bytes(arrays, said)
    else:
        arrays = state_dict_of(model, name)
        words, file = f"names and layout of {what_it_is(name)}", torch_bytes(arrays, said, path)
    try:
        replace_file(path, file)
    except OSError as error:
        raise DataError(f"--file: {path}: {error.strerror or error}") from None
    return f"{len(arrays)} arrays, {words}"


def main() -> None:
    """Export and print."""
    args = make_parser().parse_args()
    if args.nir_dt is not None and args.to != "nir":
        raise UsageError(f"--nir-dt: expected --to nir beside it, found --to {args.to}")
    suffixes = {"torch": (*TORCH_FILES, ".safetensors"), "npz": (".npz",), "nir": (".nir",)}[args.to]
    if args.file.suffix not in suffixes:
        expected = " or ".join(suffixes)
        raise UsageError(f"--file: expected a name that ends with {expected} for --to {args.to}, found {args.file}")
    check_output("--file", args.file)
    model, content = load_run(args.run_dir, args.checkpoint)
    if args.to == "nir":
        line = export_nir(model, args.file, args.nir_dt or DT)
    else:
        line = export_arrays(model, content["model"], content, args.to, args.file)
    print(f"wrote {args.file}: {model.config.title}, {model.count_parameters():,} parameters; {line}")
    for text in neuron_lines(model):
        print(text)


if __name__ == "__main__":
    run_tool(main)
