"""How much memory training will take, found by a step over one sample before there is a batch."""

import math
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from misnet.models.contract import Model
from misnet.training.recording import peak_memory_mib, statistics_of
from snncore import Tensor

__all__ = ["Probe", "available_mib", "noise", "parts_that_fit", "probe", "step_over_noise", "warning"]

ROOM = 0.8
"""Share of the free memory that a batch may take before parts are proposed."""


@dataclass(frozen=True)
class Probe:
    """Memory of a step in MiB: `fixed + per_sample * samples`; the probing itself took `taken` of this process."""

    per_sample: float
    fixed: float
    taken: float

    def total(self, samples: int) -> float:
        """Return the most memory that the process will have taken after a step over so many samples."""
        peak = peak_memory_mib()
        return max(peak, peak - self.taken + self.fixed + self.per_sample * samples)


def probe(model: Model) -> Probe:
    """Return what forward and backward of a model on the CPU allocate at their peak.

        per_sample = peak(2 samples) - peak(1 sample)       fixed = peak(1 sample) - per_sample

    Measured, not modelled: the arrays that NumPy allocates (tracemalloc) in steps over random numbers; what does not
    depend on the samples, such as gradients, cancels. Two first steps, which may compile, are not counted. Weights and
    running statistics stay as they are, and gradients are forgotten. NaN if the model refuses such samples.
    """
    statistics = statistics_of(model)
    kept, was_training = statistics.keep(), model.training
    try:
        for samples in (1, 2):  # a batch norm over one sample of one timestep has no variance
            with suppress(ValueError):
                step_over_noise(model, samples)
                step_over_noise(model, samples + 1)
                less, more = _peak(model, samples), _peak(model, samples + 1)
                per_sample = max(0.0, more - less)
                return Probe(per_sample, max(0.0, less - samples * per_sample), more)
    finally:
        statistics.put_back(kept)
        model.train(was_training)
        for p in model.parameters():
            p.zero_grad()
    return Probe(math.nan, math.nan, math.nan)


def noise(model: Model, samples: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return streams of random numbers as a model takes them, and labels."""
    rng = np.random.default_rng(0)
    shapes = model.config.shapes().values()
    return [rng.random((t, samples, *rest), np.float32) for t, *rest in shapes], np.zeros(samples, np.int64)


def step_over_noise(model: Model, samples: int) -> None:
    """Run a model in training mode over random numbers, forward and backward."""
    streams, labels = noise(model, samples)
    with np.errstate(all="ignore"):
        model.train()
        model.loss(model(*map(Tensor, streams)), labels).backward()


def _peak(model: Model, samples: int) -> float:
    for p in model.parameters():
        p.zero_grad()
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        step_over_noise(model, samples)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()
    return peak / 2**20


def available_mib() -> float:
    """Return the memory that this process may still take: what the system has free, or its control group; or NaN."""
    free = math.nan
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) / 1024
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # not in a group, or "max"
            free = min(free, (int(Path(limit).read_text()) - int(Path(used).read_text())) / 2**20)
    return free


def parts_that_fit(per_sample: float, batch: int, free: float) -> int:
    """Return the fewest parts of a batch (`--accumulate`) whose memory fits into `free`; `batch` if none does."""
    for parts in range(1, batch + 1):
        if per_sample * math.ceil(batch / parts) <= ROOM * free:
            return parts
    return batch


def warning(found: Probe, batch: int, accumulate: int, free: float) -> str | None:
    """Return a line if a step needs more memory than there is, with what to do, or else None.

    batch: samples per step, taken in `accumulate` parts. free: MiB, or NaN if unknown.
    """
    at_once = math.ceil(batch / accumulate)
    needed = found.per_sample * at_once
    if not needed > ROOM * free:  # also where one of them is not known
        return None
    line = f"a step over {at_once} samples needs about {needed / 1024:.1f} GiB, {free / 1024:.1f} GiB are free"
    parts = parts_that_fit(found.per_sample, batch, free)
    if parts > accumulate:
        rest = found.per_sample * math.ceil(batch / parts)
        fits = "" if rest <= ROOM * free else "still "
        line += (
            f"; --accumulate {parts} takes the batch in {parts} parts and {fits}needs {rest / 1024:.1f} GiB, with the "
            "same gradients but for batch norm"
        )
    return line
