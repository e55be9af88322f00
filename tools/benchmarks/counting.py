"""What counting costs: `python -m misnet.tools.benchmarks.counting [RUN_DIR]`.

Inference on one batch, and the same counted, in turns in one process; the ratio is that of medians. Inference is what
runs when nobody looks: layers in one pass. Counted means what an audit does with 16 batches: `count_ops`, the first of
them asked for all costs, the others for what they count, and all folded. Then the memory that the counts of a
data set take: those of this batch, as often as 10,000 samples need. Without RUN_DIR the network has fresh weights and
the batch statistics of the batch, so that it fires more than a trained one, and inference takes longer.
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from misnet.audit.report import calibrate
from misnet.datasets import BatchIterator
from misnet.models.contract import Model, take
from misnet.models.registry import DEFAULT, build
from misnet.tools.networks import new_config, trained_network
from misnet.tools.settings import check_settings
from misnet.tools.subjects import at_once
from misnet.tools.toolkit import run_tool
from snncore import Ops, Tensor, count_ops, no_grad
from snncore.backend import Array

BATCHES = 16  # that are counted in one go


def network(run_dir: Path | None, switches: dict[str, Any]) -> tuple[Model, Any]:
    """Return a network in evaluation mode, and samples."""
    if run_dir is not None:
        model, data = trained_network(run_dir, "last", "test", {})
    else:
        config, (data,) = new_config(DEFAULT, switches, switches, check_settings({}), "test")
        model = build(DEFAULT, config)
        calibrate(model, *first_batch(model, data, 32))
    model.eval()
    return model, data


def first_batch(model: Model, data: Any, n: int) -> list[Array]:
    """The streams of the first `n` samples."""
    *streams, _ = take(model, next(iter(BatchIterator(data, n, shuffle=False).epoch(0))))
    return streams


def counted(model: Model, streams: list[Array], batches: int = 1, details: bool = False) -> Ops:
    """Count a batch, several times, as an audit does (`misnet.audit.report.count_batches`)."""
    with no_grad(), count_ops(timesteps=model.config.timesteps, details=details, fixed=True) as ops:
        for _ in range(batches):
            ops.next_batch(samples=streams[0].shape[1])
            model(*map(Tensor, streams))
    if batches > 1:
        ops.fold()
    return ops


def turns(candidates: dict[str, Callable[[], Any]], repeats: int) -> dict[str, tuple[float, float]]:
    """Run the candidates in turns, the first two not counted; median seconds on the clock and of the processor."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for turn in range(repeats + 2):
        for name, run in candidates.items():
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            if turn > 1:
                seen[name].append((time.perf_counter() - clock, time.process_time() - cpu))
    return {name: tuple(map(statistics.median, zip(*pairs, strict=True))) for name, pairs in seen.items()}  # type: ignore[misc]


def cost(model: Model, streams: list[Array], repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds of some inferences, and of as many that are counted as an audit counts them."""

    def plain() -> None:
        with no_grad():
            for _ in range(BATCHES):
                model(*map(Tensor, streams))

    return turns({"inference": plain, "counted": lambda: counted(model, streams, BATCHES)}, repeats)


def memory(batch: Ops, samples: int, details: bool) -> list[tuple[int, int]]:
    """Bytes that the counts of a data set take, after a tenth of the samples and after all: (samples, bytes)."""
    ops = Ops(details=details)
    ops.batches = 0
    found = []
    tracemalloc.start()
    try:
        for part in (samples // 10, samples):
            while (ops.samples or 0) < part:
                ops.extend(batch)
            found.append((ops.samples or 0, tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path, nargs="?", metavar="RUN_DIR", help="folder that tools/train.py wrote")
    parser.add_argument("--variant", default="S", help="without RUN_DIR (default: S)")
    parser.add_argument("--size", type=int, default=8, help="pixels, without RUN_DIR (default: 8)")
    parser.add_argument("--batch-size", type=int, help="(default: as tools/audit.py has it)")
    parser.add_argument("--repeats", type=int, default=5, help=f"turns of {BATCHES} batches (default: 5)")
    parser.add_argument("--samples", type=int, default=10_000, help="of the data set (default: 10,000)")
    given = parser.parse_args()
    model, data = network(given.run_dir, {"variant": given.variant, "size": given.size})
    streams = first_batch(model, data, given.batch_size or at_once(model))
    times = cost(model, streams, given.repeats)
    for name, (clock, cpu) in times.items():
        print(f"{name:<10} {1e3 * clock / BATCHES:8.2f} ms, {1e3 * cpu / BATCHES:8.2f} ms of the processor")
    ratios = [b / a - 1 for a, b in zip(times["inference"], times["counted"], strict=True)]
    print(f"counting adds {ratios[0]:.1%} of an inference; {ratios[1]:.1%} of the processor")
    batch = counted(model, streams)
    print(f"firing rate {batch.totals()['spikes'] / batch.totals()['places']:.3f}, {len(batch.calls)} calls")
    for details in (False, True):
        (few, first), (many, last) = memory(batch, given.samples, details)
        print(
            f"counts of {many:,} samples, {'with' if details else 'without'} details: {last / 1e6:.1f} MB; "
            f"{first / 1e6:.1f} MB of {few:,}; {(last - first) / max(1, many - few):,.0f} bytes a sample"
        )


if __name__ == "__main__":
    run_tool(main)
