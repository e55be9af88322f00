"""A model of what ranks share without a step in common: evaluation, and the decoding of tools/prepare.py.

    evaluation(R) = ceil(ceil(N / b) / R) (max(forward, data b) + meeting(R))  N samples in batches of b, dealt in turn
    meeting(R) = ceil(log2 R) latency + (R - 1) m / bandwidth                  m bytes of results of each go to all
    prepare(R) = ceil(ceil(N / c) / R) c (data + s / bandwidth)                ranges of c samples of s bytes each

forward: seconds of a batch. data: seconds to read and decode a sample. Every rank writes to a file system that keeps
up with all of them, over a link of its own. Source of the meeting: the all-gather of Thakur, Rabenseifner, Gropp 2005
(see `scaling`), Section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from misnet.tools.benchmarks.scaling import GBIT, Link

__all__ = ["Work", "project_sharing"]


@dataclass(frozen=True)
class Work:
    """What one rank showed. samples: N of the data set. batch: b. forward, data: seconds. results, sample: bytes."""

    samples: int
    batch: int
    forward: float
    data: float
    results: int
    sample: int
    range: int

    def evaluation(self, ranks: int, link: Link) -> float:
        """Return the seconds in which all samples are evaluated."""
        rounds = math.ceil(math.ceil(self.samples / self.batch) / ranks)
        meeting = math.ceil(math.log2(ranks)) * link.latency + (ranks - 1) * self.results / link.bandwidth
        return rounds * (max(self.forward, self.data * self.batch) + meeting)

    def prepare(self, ranks: int, link: Link) -> float:
        """Return the seconds in which all samples are decoded and written."""
        rounds = math.ceil(math.ceil(self.samples / self.range) / ranks)
        return rounds * min(self.range, self.samples) * (self.data + self.sample / link.bandwidth)


def project_sharing(work: Work, ranks: Sequence[int], link: Link) -> list[dict[str, Any]]:
    """Return rows of both, as `scaling.project` has them; efficiency is that against one rank."""
    rows = []
    for kind, seconds in (("evaluation", work.evaluation), ("prepare", work.prepare)):
        one = seconds(1, link)
        for r in ranks:
            took = seconds(r, link)
            rows.append(
                {
                    "scaling": kind,
                    "gbit_per_s": link.bandwidth / GBIT,
                    "ranks": r,
                    "batch": work.samples,
                    "step_s": took,
                    "samples_per_s": work.samples / took,
                    "efficiency": one / (r * took),
                }
            )
    return rows
