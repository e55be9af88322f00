"""What training MISNet costs on seven data sets: memory, time on this machine, and what a cache takes on disk.

Memory and time are measured on one step at 32x32 pixels and T=4, over random input and with fresh weights, and scaled
by pixels and timesteps; a trained network spikes less and is faster. Time is that of one thread by the clock of the
processors, so that other programs matter little; a quarter is added for evaluation. Decoding files comes on top.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet.datasets.registry import REGISTRY
from misnet.models.registry import build, config_class
from misnet.paper.estimate import EVALUATION, SAMPLES
from misnet.tools.naming import Parser
from misnet.tools.settings import RECIPES
from misnet.tools.toolkit import UsageError, run_tool
from misnet.training.journal import duration
from misnet.training.memory import probe
from misnet.training.recording import peak_memory_mib
from misnet.training.step import Totals, train_step
from snncore.kernels import kernels_for, reference
from snncore.optim import OPTIMIZERS

MEASURED, BATCH, STEPS = 32, 8, 3  # pixels of the measured step, its samples, how many are timed
VARIANTS = ("XS", "S", "L", "XL")
EXAMPLES = (
    ("all seven at their own sizes", "python tools/costs.py"),
    (
        "one data set at the paper's size and another batch",
        "python tools/costs.py --dataset crema-d --size 128 --batch-size 8",
    ),
)


@dataclass(frozen=True)
class Unit:
    """What a variant takes at 32x32 and T=4: MiB per sample, MiB once, seconds per sample on one thread."""

    per_sample: float
    fixed: float
    seconds: float


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    parser.add_argument("--dataset", choices=tuple(SAMPLES), help="one data set (default: all)")
    parser.add_argument("--variant", choices=VARIANTS, help="one size of the network (default: XS and S)")
    parser.add_argument("--size", type=int, help="height and width (default: that of each data set)")
    parser.add_argument("--timesteps", type=int, default=4, help="timesteps T (default: 4)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples per step (default: 32)")
    parser.add_argument("--epochs", type=int, help="passes over the training set (default: that of each data set)")
    return parser


@contextmanager
def one_thread() -> Iterator[None]:
    """Run compiled kernels on one thread within the block."""
    if kernels_for() is reference:
        yield
        return
    import numba

    from snncore.kernels.cpu.threads import one_at_a_time

    one_at_a_time()  # starts the threads
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def measure(variant: str) -> Unit:
    """Run training steps of a variant and return what it takes; the first step is not counted."""
    config = config_class("misnet").from_dict({"variant": variant, "size": MEASURED, "timesteps": 4})
    model = build("misnet", config)
    found = probe(model)
    optimizer = OPTIMIZERS[RECIPES["default"]["optimizer"]](model.named_parameters(), RECIPES["default"]["lr"])
    rng = np.random.default_rng(0)
    streams = [rng.standard_normal((s[0], BATCH, *s[1:])).astype(np.float32) for s in config.shapes().values()]
    spent = []
    for step in range(STEPS + 1):
        began = time.process_time()
        train_step(model, optimizer, 1e-3, (*streams, np.arange(BATCH) % config.classes), Totals(), step)
        spent.append(time.process_time() - began)
    averages = sum(x.nbytes for x in optimizer.state_dict().values()) / 2**20
    weights = sum(p.data.nbytes for p in model.parameters()) / 2**20
    process = peak_memory_mib() - max(found.taken, BATCH * found.per_sample)  # the interpreter, packages and kernels
    return Unit(found.per_sample, process + found.fixed + averages + weights, min(spent[1:]) / BATCH)


def table(args: argparse.Namespace, units: dict[str, Unit]) -> list[str]:
    """Return the lines of a Markdown table, a row for each data set and variant."""
    lines = ["| data set | pixels | training samples | epochs | cache | MISNet | memory | one epoch | the run |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    for name in [args.dataset] if args.dataset else SAMPLES:
        entry, samples = REGISTRY[name], SAMPLES[name]
        size, epochs = args.size or entry.default_size, args.epochs or entry.default_epochs
        scale = (size / MEASURED) ** 2 * args.timesteps / 4
        channels = 2 if name in ("dialpad", "mnist-fsdd") else 3 if name == "mnist-dvs-ntidigits" else 4
        cache = samples * args.timesteps * size**2 * channels * 4 / 2**30
        for variant, unit in units.items():
            memory = (unit.fixed + unit.per_sample * scale * args.batch_size) / 1024
            seconds = EVALUATION * unit.seconds * scale * samples
            cells: list[Any] = [f"`{name}`", size, f"{samples:,}", epochs, f"{cache:.2g} GiB", variant]
            cells += [f"{memory:.2g} GiB", duration(seconds), duration(seconds * epochs)]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> None:
    """Measure and print."""
    args = make_parser().parse_args()
    for name in ("size", "timesteps", "batch_size", "epochs"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: expected an integer of at least 1, found {value}")
    with one_thread():
        units = {variant: measure(variant) for variant in ([args.variant] if args.variant else VARIANTS[:2])}
    for variant, unit in units.items():
        print(
            f"MISNet-{variant} at {MEASURED}x{MEASURED}, T=4: {unit.per_sample:.1f} MiB and {unit.seconds:.3f} s per "
            f"sample, {unit.fixed:.0f} MiB once"
        )
    print("\n".join(["", *table(args, units)]))


if __name__ == "__main__":
    run_tool(main)
