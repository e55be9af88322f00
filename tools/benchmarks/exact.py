"""Exact sums beside float32 ones: the error of each layer against float64, and the time of steps that take turns.

    python -m misnet.tools.benchmarks.exact runs/first             the weights, data and densities of a run
    python -m misnet.tools.benchmarks.exact --variant S --size 8   the times of a network with fresh weights

Times are those of the processor, in one process and on one thread, so that other programs disturb them little.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets import BatchIterator
from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.benchmarks.ours import OurRun
from misnet.tools.naming import Parser
from misnet.tools.networks import trained_network
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import UsageError, load_split, run_tool
from snncore import Tensor, arithmetic, no_grad, observe
from snncore import functions as F
from snncore.context import current_path
from snncore.tape import Function

WEIGHTED = (F.Conv2d, F.Linear)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path, nargs="?", metavar="RUN_DIR", help="a run of MISNet")
    parser.add_argument("--variant", default="S", help="size of a network with fresh weights (default: S)")
    parser.add_argument("--size", type=int, default=8, help="its height and width (default: 8)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="samples (default: 16)")
    parser.add_argument("--steps", type=int, default=8, help="counted steps of each kind (default: 8)")
    return parser


def layer_errors(model: MISNet, streams: tuple[np.ndarray, ...]) -> list[dict[str, Any]]:
    """Return, for each layer with weights in evaluation, its largest errors relative to its largest output.

    All sums are of the same input, that of the exact network: exact ones, float32 by the kernel that `auto` runs, and
    float64, which is taken for right.
    """
    calls: list[tuple[str, Function, tuple[Any, ...]]] = []

    def keep(function: Function, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        if isinstance(function, WEIGHTED):
            calls.append((current_path(), function, inputs))

    model.eval()
    with no_grad(), arithmetic("exact"), observe(keep):
        model(*map(Tensor, streams))
    rows = []
    for path, function, (x, w, *_) in calls:
        with no_grad():
            wide = x.astype(np.float64) if x.dtype.kind == "f" else x
            right = function(wide, w.astype(np.float64)).data
            found = {}
            for choice in ("exact", "float32"):
                with arithmetic(choice):
                    found[choice] = abs(function(x, w).data - right)
        largest = abs(right).max() or 1.0
        rows.append(
            {
                "layer": path,
                "terms": w.size // w.shape[-1],
                "density": float(x.mean()) if x.dtype == np.uint8 else None,
                **{f"{choice}_max": float(e.max() / largest) for choice, e in found.items()},
                **{f"{choice}_rms": float(np.sqrt((e**2).mean()) / largest) for choice, e in found.items()},
            }
        )
    return rows


def step_times(run: OurRun, steps: int) -> dict[str, dict[str, float]]:
    """Return medians in ms of training steps and of inference, by arithmetic, each kind of step in its turn.

    `first` is inference after a step that changed the weights, `again` with weights that are packed already.
    """
    times: dict[str, dict[str, list[float]]] = {kind: {} for kind in ("train", "first", "again")}
    for turn in range(steps + 2):
        for choice in ("float32", "exact"):
            with arithmetic(choice):
                for kind, step in (("train", run.train), ("first", run.infer), ("again", run.infer)):
                    started = time.process_time()
                    step()
                    if turn >= 2:
                        times[kind].setdefault(choice, []).append(1000 * (time.process_time() - started))
    return {kind: {choice: statistics.median(ms) for choice, ms in found.items()} for kind, found in times.items()}


def main() -> int:
    """Measure and print."""
    parser = make_parser()
    args = parser.parse_args()
    for name in ("size", "batch_size", "steps"):
        if (value := getattr(args, name)) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, found {value}")
    if args.run_dir:
        model, data = trained_network(args.run_dir, "last", "test", {})
        if not isinstance(model, MISNet):
            raise UsageError(f"RUN_DIR: expected a run of MISNet, found one of {model.config.title}")
    else:
        model = MISNet(MISNetConfig(variant=args.variant, timesteps=4, size=args.size, visual_channels=1))
        data = load_split("train", check_settings({}), args.size, 4)
    *streams, labels = next(iter(BatchIterator(data, args.batch_size, shuffle=False).epoch(0)))
    if args.run_dir:
        columns = ("exact_max", "float32_max", "exact_rms", "float32_rms")
        print(f"{'layer':<34}{'terms':>6}{'density':>9}" + "".join(f"{name:>13}" for name in columns))
        for row in layer_errors(model, tuple(streams)):
            density = "analog" if row["density"] is None else f"{row['density']:.3f}"
            errors = "".join(f"{row[name]:>13.1e}" for name in columns)
            print(f"{row['layer']:<34}{row['terms']:>6}{density:>9}{errors}")
    arrays = {name: np.array(x) for name, x in model.state_dict().items()}
    run = OurRun(model.config.to_dict(), arrays, (*streams, labels))
    for kind, found in step_times(run, args.steps).items():
        ratio = found["exact"] / found["float32"]
        print(f"{kind:<6} float32 {found['float32']:8.1f} ms  exact {found['exact']:8.1f} ms  ratio {ratio:.2f}")
    return 0


if __name__ == "__main__":
    run_tool(main)
