"""What tools/scale.py measures, in a process of its own or in two that mpiexec starts: `scale_worker.py JSON`.

Rank 0 writes the figures into the file that the JSON names. Times are medians over steps, after one that is not
counted; those of computing are of the processor (one thread a rank), which other programs change least.
"""

import json
import math
import pickle
import statistics
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from misnet.datasets import BatchIterator
from misnet.models.registry import build
from misnet.tools.benchmarks.scale_counted import Counted
from misnet.tools.networks import new_config
from misnet.tools.ranks import job
from misnet.tools.settings import gather
from misnet.tools.train_ranks import FEW
from misnet.training.step import Totals, evaluate, train_step
from snncore.launcher import world
from snncore.optim import OPTIMIZERS
from snncore.parallel import Comm, Share, slice_of

ALL_REDUCES = 100  # timed ones of each size: the small ones take microseconds


class Bench:
    """Training steps of a network on its data."""

    def __init__(self, spec: dict[str, Any], comm: Comm) -> None:
        choice = gather(spec["given"], spec["switches"])
        config, (self.data,) = new_config(choice.model, choice.switches, choice.given, choice.settings, "train")
        self.model = build(choice.model, config, choice.settings["seed"])
        self.optimizer = OPTIMIZERS["adam"](self.model.named_parameters(), 1e-4)
        self.comm = comm

    def batches(self, total: int, steps: int) -> tuple[list[Any], list[float]]:
        """Return batches of this rank, `total` on all of them, and the seconds that reading each took."""
        found: list[Any] = []
        seconds: list[float] = []
        number = 0
        while len(found) <= steps:
            reader = BatchIterator(self.data, total, drop_last=True, rank=self.comm.rank, ranks=self.comm.size)
            source = reader.epoch(number)
            for _ in range(min(len(reader), steps + 1 - len(found))):
                began = time.perf_counter()
                found.append(next(source))
                seconds.append(time.perf_counter() - began)
            number += 1
        return found, seconds[1:]

    def step(self, total: int, steps: int) -> dict[str, Any]:
        """Return medians over steps of `total` samples on all ranks."""
        comm = Counted(self.comm)
        place = slice_of(total, comm.rank, comm.size)
        here = place.stop - place.start
        share = Share(comm, place.start, place.stop, total, here < FEW)  # alone too: exact sums take their time
        batches, reading = self.batches(total, steps)
        rows = []
        for k, batch in enumerate(batches):
            self.comm.barrier()
            comm.clear()
            began, processor = time.perf_counter(), time.process_time()
            train_step(self.model, self.optimizer, 1e-4, batch, Totals(), k, share=share)
            comm.any(False, False)
            computed = time.process_time() - processor - comm.processor
            rows.append((time.perf_counter() - began, comm.seconds, comm.last - comm.first, computed))
        step, exchange, room, compute = (statistics.median(column) for column in zip(*rows[1:], strict=True))
        return {
            "samples": here,
            "step_s": step,
            "exchange_s": exchange,
            "compute_s": compute,
            "data_s_per_sample": statistics.median(reading) / here,
            "messages": comm.sizes,
            "buckets": comm.buckets,
            "room": room / (step - exchange),
        }

    def evaluation(self, samples: int, steps: int) -> dict[str, Any]:
        """Return the median seconds of evaluating a batch, and what `scale_sharing` asks beside it."""
        batches, _ = self.batches(samples, steps)
        spent = []
        for batch in batches:
            began = time.process_time()
            totals = evaluate(self.model, [batch])
            spent.append(time.process_time() - began)
        return {
            "seconds": statistics.median(spent[1:]),
            "result_bytes": len(pickle.dumps(totals)) + 16 * samples,
            "sample_bytes": sum(4 * math.prod(shape) for shape in self.data.streams.values()),
        }

    def all_reduce(self, size: int) -> dict[str, float]:
        """Return the least time in which `size` bytes are added up: that in which no other program ran."""
        x, spent = np.zeros(max(1, size // 4), np.float32), []
        for _ in range(ALL_REDUCES):
            self.comm.barrier()
            began = time.perf_counter()
            self.comm.sum(x)
            spent.append(time.perf_counter() - began)
        return {"bytes": x.nbytes, "seconds": min(spent)}


def measure(spec: dict[str, Any], comm: Comm) -> dict[str, Any]:
    """Return the figures of the ranks at hand; totals: the batches to measure, of all ranks together."""
    bench = Bench(spec, comm)
    for total in spec["totals"]:
        bench.step(total, 1)  # compiles kernels, or loads them
    steps = [bench.step(total, spec["steps"]) for total in spec["totals"]]
    flat = bench.optimizer.flat
    gradient = flat.g.nbytes if flat is not None else sum(p.data.nbytes for p in bench.model.parameters())
    sizes = [8, int((8 * gradient) ** 0.5), gradient] if comm.size > 1 else []
    found = {} if comm.size > 1 else {"evaluation": bench.evaluation(max(spec["totals"]), spec["steps"])}
    return found | {"steps": steps, "all_reduce": [bench.all_reduce(m) for m in sizes], "gradient_bytes": gradient}


def main() -> None:
    """Measure and write."""
    spec, comm = json.loads(sys.argv[1]), world()
    with job(comm):
        if comm.size != spec["ranks"]:
            raise ValueError(f"expected {spec['ranks']} ranks, found {comm.size}")
        found = measure(spec, comm)
        if comm.rank == 0:
            Path(spec["output"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
