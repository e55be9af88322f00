"""Adopt weights from elsewhere: a run folder that evaluate, audit and export take, and `train --weights` begins from.

Weights say nothing of neurons: give the switches of the network that was trained (--neuron, --tau, --v-threshold, ...).
docs/interchange.md says which files are read, and under which names.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from misnet.interchange.about import neuron_lines
from misnet.interchange.files import READ, read_weights
from misnet.interchange.graph import from_graph
from misnet.interchange.state import from_state_dict, what_it_is
from misnet.models.contract import Model
from misnet.models.options import add_model_options, first_look, split
from misnet.models.registry import DEFAULT, build
from misnet.tools.naming import Parser, called
from misnet.tools.networks import new_config
from misnet.tools.settings import check_settings
from misnet.tools.table_ways import seconds_of
from misnet.tools.toolkit import UsageError, add_data_options, run_tool
from misnet.training.folder import check_class_names, write_config
from misnet.training.state import State, save_newest
from snncore.checkpoint import CheckpointError
from snncore.files import abandoned, beside
from snncore.interchange import DT

EXAMPLES = (
    ("a state dict of PyTorch", "python tools/adopt.py sew18.pt --model sew-resnet18 --streams visual -o runs/sew18"),
    ("an archive of tools/export.py says which network it is of", "python tools/adopt.py first.npz -o runs/again"),
    ("a graph of NIR", "python tools/adopt.py sew.nir --model sew-resnet18 --streams visual -o runs/sew"),
)


def make_parser(model: str = DEFAULT) -> argparse.ArgumentParser:
    """Return the parser for a model."""
    parser = Parser(
        usage="%(prog)s FILE --model NAME -o RUN_DIR [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        examples=EXAMPLES,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=f"weights to adopt: {', '.join(READ)}")
    parser.add_argument(
        "--nir-dt",
        type=seconds_of,
        default=DT,
        metavar="SECONDS",
        help=f"of a graph of NIR: seconds of a timestep (default: {DT:g})",
    )
    parser.add_argument("-o", "--output-dir", type=Path, required=True, metavar="RUN_DIR", help="folder to write")
    add_data_options(parser)
    add_model_options(parser, model)
    return parser


def says(path: Path) -> dict[str, Any]:
    """Return what a file says about its network; nothing for one that says nothing, or that cannot be read."""
    with suppress(CheckpointError, OSError):
        if path.suffix in (".npz", ".safetensors"):
            return read_weights(path)[1]
    return {}


def model_of(arguments: list[str]) -> str:
    """Return the model that a command line is about: that of --model, or the one that the file says it is of."""
    if found := first_look(arguments).get("model"):
        return found
    files = (Path(text) for text in arguments if not text.startswith("-"))
    return next((name for path in files if (name := says(path).get("model"))), DEFAULT)


def main() -> None:
    """Adopt and print."""
    name = model_of(sys.argv[1:])
    given, switches = split(vars(make_parser(name).parse_args()))
    path, folder, dt = (given.pop(key) for key in ("file", "output_dir", "nir_dt"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--output-dir: expected a new folder, or an empty one, found {folder}")
    if folder.exists() and folder.samefile(os.curdir):  # another would take its place
        raise UsageError(f"--output-dir: expected another folder than the current one, found {folder}")
    if path.suffix not in READ:
        raise UsageError(f"FILE: expected a name that ends with one of {', '.join(READ)}, found {path}")
    arrays, said = ({}, {}) if path.suffix == ".nir" else read_weights(path)
    if said and "model" not in given:
        switches = said["network"] | switches
    settings = check_settings(given)
    config, (data,) = new_config(name, switches, {}, settings, "test")
    check_class_names({"class_names": said.get("class_names") or None}, data)
    model = build(name, config)
    if path.suffix == ".nir":
        state, words = from_graph(model, path, dt), "a graph of NIR"
    elif path.suffix == ".npz":
        state, words = arrays, "our own names and layout"
    else:
        words = f"names and layout of {what_it_is(name)}"
        state = from_state_dict(model, name, arrays, str(path))
    model.load_state_dict(state, str(path))
    origin = {"model": name, "settings": settings, "network": config.to_dict(), "class_names": list(data.class_names)}
    write_folder(folder, model, origin, data)
    print(f"wrote {folder}: {config.title}, {model.count_parameters():,} parameters of {path}; {words}")
    for text in neuron_lines(model):
        print(text)
    print(f"look closer with: {called('evaluate')} {shlex.quote(str(folder))}")


def write_folder(folder: Path, model: Model, origin: dict[str, Any], data: Any) -> None:
    """Make the run folder, whole or not at all."""
    temporary = beside(folder)
    try:
        temporary.mkdir(parents=True)
        for left in abandoned(folder, temporary.stat().st_mtime):
            shutil.rmtree(left, ignore_errors=True)
        weights = {f"model/{key}": x for key, x in model.state_dict().items()}
        save_newest(temporary, weights, State(origin=origin))
        names, prints = origin["class_names"], {"test": data.fingerprint()}
        write_config(temporary, origin["settings"], origin["model"], model.config, prints, names)
        os.replace(temporary, folder)
    except OSError as error:
        raise CheckpointError(f"--output-dir: {folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    run_tool(main)
