"""Counting a network over a data set by several ranks: the counts of each batch travel, and add up in their order."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from misnet.audit.report import batch_by_batch
from misnet.models.contract import Model
from misnet.training.totals import count_correct
from snncore import Ops, count_ops, no_grad
from snncore.parallel import Comm
from snncore.sharing import in_turn

__all__ = ["count_on_ranks"]


def count_on_ranks(
    model: Model, batches: Iterable[Any], pieces: int, comm: Comm, device: str = "cpu"
) -> tuple[Ops, dict[str, int]]:
    """Return the counts and right answers of all batches, on every rank, as `count_batches` has them in one process.

    batches: of this rank, every comm.size-th of the `pieces` that there are, from number comm.rank on.
    """
    whole, right = Ops(timesteps=model.config.timesteps, details=False), dict[str, int]()
    with closing(_of_each(model, batches, device)) as mine:
        for of_batch, correct in in_turn(comm, pieces, mine):
            whole.extend(of_batch)
            for head, n in correct.items():
                right[head] = right.get(head, 0) + n
    return whole, right


def _of_each(model: Model, batches: Iterable[Any], device: str) -> Iterator[tuple[Ops, dict[str, int]]]:
    model.eval()
    steps = model.config.timesteps
    with no_grad(), count_ops(timesteps=steps, details=False, fixed=True) as ops:
        for scores, labels in batch_by_batch(model, batches, device, ops):
            of_batch = Ops(len(labels), steps, details=False)
            of_batch.calls = [replace(call, batch=0) for call in ops.calls]
            ops.calls.clear()  # no batch is kept here; they travel call by call, and are folded where they arrive
            yield of_batch, {head: int(n) for head, n in count_correct(scores, labels).items()}
