"""The way into an audit by a PyTorch network: `--torch FILE.py:make_model --inputs FILE [--steps T]`."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from misnet.audit.subject import Subject
from misnet.audit.torch_source import SourceError, torch_subject
from misnet.datasets import DataError
from misnet.tools.toolkit import UsageError

__all__ = ["add_torch", "torch_way"]

LAYOUTS = ("TN", "NT", "N")


def add_torch(group: argparse._ArgumentGroup) -> None:
    """Add --torch and what goes with it; what another way has declared already is shared."""
    kinds: dict[str, dict[str, Any]] = {
        "--torch": {"metavar": "FILE.py:FUNCTION", "help": "a PyTorch network: what a function of a file returns"},
        "--inputs": {"type": Path, "metavar": "FILE", "help": "what --torch runs on: .npy, .npz or .pt, all samples"},
        "--steps": {"type": int, "metavar": "T", "help": "timesteps of the network of --torch (default: none)"},
        "--layout": {"metavar": "AXES", "help": "of the inputs: TN (time first), NT or N (default: TN if it fits)"},
        "--events": {
            "action": argparse.BooleanOptionalAction,
            "default": None,
            "help": "float inputs of --torch are events, whole numbers; --no-events: integers stay as they are",
        },
        "--labels": {
            "type": Path,
            "metavar": "FILE",
            "help": "the class of each sample of --torch, .npy, .npz or .pt: accuracy beside the energy",
        },
        "--outer-loop": {
            "action": "store_true",
            "default": None,
            "help": "call the PyTorch network once for each timestep, on x[t] of inputs with time, else on the same x",
        },
    }
    for name, kind in kinds.items():
        with suppress(argparse.ArgumentError):
            group.add_argument(name, **kind)


def torch_way(args: argparse.Namespace) -> Subject:
    """Run and count the network of --torch; raises UsageError for the command line, DataError for what is in files."""
    file, colon, function = args.torch.rpartition(":")
    if not (file and colon and function.isidentifier()):
        raise UsageError(f"--torch: expected FILE.py:FUNCTION, such as net.py:make_model, found {args.torch!r}")
    if args.inputs is None:
        raise UsageError("--torch: expected --inputs FILE as well: what a network does depends on what it is given")
    if args.layout not in (None, *LAYOUTS):
        raise UsageError(f"--layout: expected one of {', '.join(LAYOUTS)} for --torch, found {args.layout!r}")
    if args.device not in ("auto", "cpu"):
        raise UsageError(f"--device: a PyTorch network is audited on the CPU, found {args.device!r}")
    steps = args.steps or 0
    if steps < 0 or (args.outer_loop and not steps):
        raise UsageError(f"--steps: expected a whole number of at least 1, found {args.steps}")
    try:
        how = (steps, args.layout, bool(args.outer_loop), args.batch_size, args.events, args.labels)
        return torch_subject(Path(file), function, args.inputs, *how)
    except ImportError as error:
        raise UsageError(f"--torch: {error}") from None
    except SourceError as error:
        raise DataError(str(error)) from None
