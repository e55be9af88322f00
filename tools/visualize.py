"""Draw what a trained network does inside: pictures of a run folder, of any model.

rasters    spikes of one sample, from the first layer to the last
membranes  charge, threshold, spike and reset of a few neurons of that sample
rates      firing rate by layer, stream and timestep, over many samples
balance    accuracy of each head, and of the verdict without each stream; spikes by stream
maps       where layers are active, over the image and the spectrogram
surrogate  the surrogate gradient and its primitive, over the membranes of the sample
weights    learned numbers such as alpha, and weights, over training
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets import BatchIterator, DataError, Dataset
from misnet.datasets.base import Subset
from misnet.models.contract import Model, take
from misnet.tools.naming import Parser
from misnet.tools.networks import trained_network
from misnet.tools.parts import PARTS
from misnet.tools.toolkit import (
    UsageError,
    add_arithmetic_option,
    add_data_options,
    add_device_options,
    arithmetic_from,
    device_from,
    run_tool,
)
from misnet.visual.looking import Counts, count, look
from misnet.visual.pictures import PICTURES, Nothing, Subject
from misnet.visual.style import contents
from snncore import MonitorError
from snncore.backend import asnumpy, to_device
from snncore.files import replace_file
from snncore.nearest import one_of

DPI = 130
COUNTED = {"rates", "balance"}
"""Pictures of many samples."""
EXAMPLES = (
    ("every picture that can be drawn, into runs/first/pictures", "python tools/visualize.py runs/first"),
    (
        "two pictures of another sample and of some layers, also as SVG",
        "python tools/visualize.py runs/first --sample 7 --only rasters,membranes --layers 'stages.0.*' --svg",
    ),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that tools/train.py wrote")
    parser.add_argument(
        "-o", "--output-dir", type=Path, metavar="DIR", help="folder for the pictures (default: RUN_DIR/pictures)"
    )
    parser.add_argument("--only", metavar="NAME,NAME", help="draw these alone (default: all that there can be)")
    parser.add_argument("--sample", type=int, default=0, metavar="K", help="sample that is looked into (default: 0)")
    parser.add_argument("--samples", type=int, default=64, metavar="N", help="samples that are counted (default: 64)")
    parser.add_argument(
        "--layers",
        action="append",
        default=[],
        metavar="PATH",
        help="rasters, membranes, maps and surrogate of these layers and all below them; * and ? stand for any "
        "letters; may be repeated",
    )
    parser.add_argument("--neurons", type=int, default=4, metavar="N", help="membranes in a row (default: 4)")
    parser.add_argument("--svg", action="store_true", help="also write each picture as SVG")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="weights to use (default: last)")
    parser.add_argument("--split", choices=PARTS[::-1], default="test", help="samples to use (default: test)")
    add_data_options(parser)
    add_device_options(parser)
    add_arithmetic_option(parser)
    return parser


def names_of(only: str | None) -> list[str]:
    """Return the names of the pictures that are asked for; raises UsageError, with the nearest, for one of none."""
    names = list(PICTURES) if only is None else [name.strip() for name in only.split(",")]
    for name in names:
        if name not in PICTURES:
            raise UsageError(f"--only: {one_of(name, PICTURES)}")
    return list(dict.fromkeys(names))


def check_folder(folder: Path) -> None:
    """Raise DataError unless files can be written into the folder, which need not exist yet."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DataError(f"--output-dir: expected a folder, found the file {place}")
    if not os.access(place, os.W_OK):
        raise DataError(f"--output-dir: expected a folder that can be written to, found {place}")


def batches_of(model: Model, data: Dataset, first: int, samples: int, size: int = 16) -> Iterator[tuple[Any, ...]]:
    """Yield batches (stream, ..., labels) of some samples in their order."""
    chosen = Subset(data, range(first, min(first + samples, len(data))))
    for batch in BatchIterator(chosen, size, shuffle=False).epoch(0):
        yield take(model, batch)


def see(args: argparse.Namespace, names: list[str]) -> Subject:
    """Load the run, look into one sample and count many, where a picture asks for it."""
    device = device_from(vars(args))
    with arithmetic_from(vars(args), args.run_dir):
        model, data = trained_network(args.run_dir, args.checkpoint, args.split, vars(args))
        if not 0 <= args.sample < len(data):
            raise UsageError(f"--sample: expected 0 to {len(data) - 1}, found {args.sample}")
        model.to(device)
        *streams, labels = next(batches_of(model, data, args.sample, 1))
        try:
            seen = look(model, [to_device(x, device) for x in streams], args.layers)
        except MonitorError as error:
            raise UsageError(f"--layers: {error}") from None
        many = batches_of(model, data, 0, args.samples)
        counts = count(model, many, device) if COUNTED & {*names} else Counts()
    label = data.class_names[int(labels[0])]
    return Subject(
        folder=args.run_dir,
        model=model,
        inputs={name: np.asarray(asnumpy(x))[:, 0] for name, x in zip(model.streams, streams, strict=True)},
        seen=seen,
        counts=counts,
        title=f"{model.config.title} on {data.name} ({args.split})",
        sample=f"{data.name} {args.split} sample {args.sample}: {label}",
        neurons=args.neurons,
    )


def main() -> None:
    """Look, draw, write and print."""
    parser = make_parser()
    args = parser.parse_args()
    for name in ("samples", "neurons"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: expected at least 1, found {getattr(args, name)}")
    names = names_of(args.only)
    folder = args.output_dir or args.run_dir / "pictures"
    if args.run_dir.is_dir():  # else the run is what is missing, which is said below
        check_folder(folder)
    subject = see(args, names)
    files: dict[Path, bytes] = {}
    lines = []
    for name in names:
        try:
            figure = PICTURES[name](subject)
        except Nothing as why:
            lines.append(f"{name:<10} not drawn: {why}")
            continue
        endings = ("png", "svg") if args.svg else ("png",)
        files |= {folder / f"{name}.{ending}": contents(figure, ending, DPI) for ending in endings}
        lines.append(f"{name:<10} {', '.join(str(folder / f'{name}.{ending}') for ending in endings)}")
    if files:
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        replace_file(path, content)
    print("\n".join((f"{subject.title}; {subject.sample}", *lines)))  # once the files are there
    if not files:
        raise DataError(f"{args.run_dir}: none of the pictures can be drawn of {subject.model.config.title}")


if __name__ == "__main__":
    run_tool(main)
