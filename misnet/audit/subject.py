"""What an audit is about, whatever brought it: a network that ran, a layer table, recorded spikes."""

from dataclasses import dataclass, field
from typing import Any

from snncore import Ops

__all__ = ["NoSampleError", "Subject"]


class NoSampleError(ValueError):
    """A subject of no sample at all; the message names what there was none in."""


@dataclass
class Subject:
    """Counts, and what a reader must know to have them again.

    title: one line on network, size, timesteps and data. ops: what was counted, over `ops.samples` samples.
    timesteps: of one sample; 0 for a network without time. network: its settings, as JSON can hold them.
    weights: words on where they come from, trained or not. parameters: how many, None if that is not known.
    data: name, split, fingerprint, or whatever else says which inputs ran.
    warnings: what could not be counted or read, in words; printed before the figures.
    training: a training step of the same network, counted apart, if it was asked for.
    high: where rates are known within bounds alone, the counts at the upper ends; `ops` is then that at the lower.
    trained: whether the weights were, None if nobody knows. weights_sha256: of their file.
    run: how they were trained, of `misnet.audit.provenance.training_of`.
    accuracy: of each head on the samples that were counted, shares of 1, the verdict first. device: that counted.
    by_rates: the counts are those of rates that somebody told, and of no sample that ran.
    alone: some of the samples, each counted by itself, for the spread of rules that look at whole batches.
    """

    title: str
    ops: Ops
    timesteps: int
    network: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    parameters: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    training: Ops | None = None
    high: Ops | None = None
    trained: bool | None = None
    weights_sha256: str = ""
    run: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    by_rates: bool = False
    alone: list[Ops] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a subject of no sample at all, whatever brought it: nothing can be said of one."""
        if self.ops.samples == 0 and not any(self.ops.told.values()):  # samples may have run, and nothing been counted
            raise NoSampleError(f"{self.data.get('name') or self.title}: expected at least one sample, found none")
