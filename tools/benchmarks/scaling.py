"""A model of data-parallel training: how long a step takes on R ranks, from what was measured on one and two.

    step(n, R) = max(compute(n) + exchange(R), data n)          the next batch is read while this one is computed
    exchange(R) = sum over the messages of a step of all_reduce(m, R)
                  + max(last bucket, all buckets - room compute(n))      of the gradients, which travel during backward
    all_reduce(m, R) = min(2 (R - 1) latency + 2 (R - 1) / R m / bandwidth,      a ring
                           ceil(log2 R) (latency + m / bandwidth))               recursive doubling
n: samples of a rank, the most that any has. m: bytes. room: the part of computing that is left when the first bucket is
final; the last one is at its end (`snncore.overlap`). All ranks are alike, each has a link of its own that sends and
receives at once, and none waits for a slower one.
Source of both forms: Thakur, Rabenseifner, Gropp 2005, "Optimization of Collective Communication Operations in MPICH",
Section 4 (the sums themselves, which are cheap beside a network, left out).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["GBIT", "Link", "Measured", "Step", "all_reduce_seconds", "link_of", "project"]

GBIT = 1e9 / 8
"""Bytes a second."""


@dataclass(frozen=True)
class Link:
    """bandwidth: bytes a second each way. latency: seconds of a message without content."""

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Step:
    """What a step takes, in seconds, of `samples` on the busiest of `ranks` and `total` on all."""

    ranks: int
    samples: int
    total: int
    compute: float
    exchange: float
    data: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return max(self.compute + self.exchange, self.data)

    @property
    def rate(self) -> float:
        """Samples a second, all ranks together."""
        return self.total / self.seconds


def all_reduce_seconds(size: float, ranks: int, link: Link) -> float:
    """Return how long it takes to add up `size` bytes over ranks; 0 for one rank alone."""
    if ranks == 1:
        return 0.0
    ring = 2 * (ranks - 1) * (link.latency + size / ranks / link.bandwidth)
    doubling = math.ceil(math.log2(ranks)) * (link.latency + size / link.bandwidth)
    return min(ring, doubling)


def link_of(small: tuple[float, float], large: tuple[float, float]) -> Link:
    """Return the link over which two ranks needed so long; small, large: (bytes, seconds) of an all-reduce.

    Raises ValueError if the large one was not slower, from which no bandwidth follows.
    """
    (m, t), (m_large, t_large) = small, large
    if not (m_large > m and t_large > t):
        raise ValueError(f"expected {m_large:g} bytes to take longer than {m:g}, found {t_large:g} s and {t:g} s")
    bandwidth = (m_large - m) / (t_large - t)
    return Link(bandwidth, max(0.0, t - m / bandwidth))


@dataclass(frozen=True)
class Measured:
    """What one and two ranks showed.

    compute: seconds of a step of one rank, by its samples. data: seconds to read a sample. few: samples below which
    batch norms are synchronised. messages: bytes of each all-reduce of a step, without and with such batch norms.
    buckets: bytes of those that run beside the backward pass, in their order; room: see above.
    """

    compute: dict[int, float]
    data: float
    few: int
    messages: dict[bool, list[int]]
    buckets: Sequence[int] = ()
    room: float = 0.0

    def compute_seconds(self, samples: int) -> float:
        """Return the time of a step: measured, on a line between two that were, or in proportion above the largest."""
        known = sorted(self.compute)
        if samples >= known[-1]:
            return self.compute[known[-1]] * samples / known[-1]
        if samples < known[0]:
            raise ValueError(f"samples: expected at least {known[0]}, the least that was measured, found {samples}")
        k = next(i for i, n in enumerate(known) if n > samples)
        low, high = known[k - 1], known[k]
        part = (samples - low) / (high - low)
        return self.compute[low] * (1 - part) + self.compute[high] * part

    def step(self, samples: int, total: int, ranks: int, link: Link) -> Step:
        """Return the step of ranks that have at most `samples` of `total`."""
        messages = self.messages[samples < self.few]
        exchange, compute = sum(all_reduce_seconds(m, ranks, link) for m in messages), self.compute_seconds(samples)
        if travel := [all_reduce_seconds(m, ranks, link) for m in self.buckets]:
            exchange += max(travel[-1], sum(travel) - self.room * compute)
        return Step(ranks, samples, total, compute, exchange, self.data * samples)


def project(measured: Measured, ranks: Sequence[int], link: Link, *, batch: int, each: int) -> list[dict[str, Any]]:
    """Return rows of strong scaling (`batch` samples shared by all) and weak scaling (`each` samples a rank).

    Efficiency is that against one rank: samples a second over R times those of one. Numbers of ranks with less than a
    sample each are left out of strong scaling.
    """
    rows = []
    for kind in ("strong", "weak"):
        base = batch if kind == "strong" else each
        one = measured.step(base, base, 1, link).rate
        for r in ranks:
            total = batch if kind == "strong" else each * r
            if total < r:
                continue
            step = measured.step(-(-total // r), total, r, link)
            rows.append(
                {
                    "scaling": kind,
                    "gbit_per_s": link.bandwidth / GBIT,
                    "ranks": r,
                    "batch": total,
                    "samples_per_rank": step.samples,
                    "compute_s": step.compute,
                    "exchange_s": step.exchange,
                    "data_s": step.data,
                    "step_s": step.seconds,
                    "samples_per_s": step.rate,
                    "efficiency": step.rate / (r * one),
                }
            )
    return rows
