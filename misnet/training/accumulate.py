"""A step whose batch does not fit in memory at once: gradients of its parts, one after another, added up."""

from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import numpy as np

from misnet.models.contract import Model, take
from misnet.training.ranks import ALONE, begin_overlap, sum_gradients, whole_batch
from misnet.training.recording import FiringRates, statistics_of
from misnet.training.step import refuse_step
from misnet.training.totals import Totals, count_correct
from snncore import Tensor, training_step
from snncore.backend import array_module
from snncore.clipping import clip_grad_norm
from snncore.optim import Optimizer
from snncore.parallel import Share, slice_of

__all__ = ["accumulated_step", "parts_of", "parts_on_ranks"]


def parts_of(samples: int, parts: int) -> list[slice]:
    """Return where the parts of a batch lie: as even as can be, none of them empty."""
    edges = np.linspace(0, samples, min(parts, samples) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def parts_on_ranks(samples: int, parts: int, share: Share) -> list[tuple[slice, Share]]:
    """Return where the parts of this rank's samples lie, and each part's share in those of all ranks together."""
    comm = share.comm
    if comm.size == 1 or share.whole:
        return [(part, share) for part in parts_of(samples, parts)]
    slices = [slice_of(share.total, rank, comm.size) for rank in range(comm.size)]
    counts = [s.stop - s.start for s in slices]
    cut = [parts_of(count, min(parts, *counts)) for count in counts]  # as many on each, for what they do together
    found = []
    for k, part in enumerate(cut[comm.rank]):
        sizes = [of_rank[k].stop - of_rank[k].start for of_rank in cut]
        start = sum(sizes[: comm.rank])
        found.append((part, Share(comm, start, start + sizes[comm.rank], sum(sizes), share.synchronised)))
    return found


def accumulated_step(
    model: Model,
    optimizer: Optimizer,
    lr: float,
    batch: Any,
    totals: Totals,
    step: int,
    parts: int,
    seed: int = 0,
    clip_norm: float | None = None,
    share: Share = ALONE,
) -> float:
    """Do what `train_step` does on a batch of N samples with the memory of N / parts; returns the loss.

        g = sum over parts p of (n_p / N) * d loss_p / d w

    which is the gradient of the whole batch if the loss is a mean over samples and no layer mixes samples. BatchNorm
    does: it takes mean and variance of each part, and moves its running statistics once for each. Dropout draws anew
    for each part, from (seed, step). clip_norm limits the norm of the sum. share: which samples of the batch these are,
    and the other ranks; all take as many parts, and a synchronised batch norm sees the parts of all ranks together.
    Raises Diverged, with everything as it was, as `train_step` does.
    """
    *streams, labels = take(model, batch)
    model.train()
    statistics = statistics_of(model)
    kept = statistics.keep()
    of_batch = Totals()
    optimizer.zero_grad()
    n = share.total if share.comm.size > 1 else len(labels)
    result, suspect, of_parts = 0.0, streams, []
    with np.errstate(all="ignore"), training_step(seed, step):  # what is not finite is looked for below
        cut = parts_on_ranks(len(labels), parts, share)
        for k, (part, of_part) in enumerate(cut, 1):
            rates = FiringRates()
            inputs = [x[:, part] for x in streams]
            with rates.recording(), of_part.shared():
                scores = model(*map(Tensor, inputs))
                value = model.loss(scores, labels[part])
            weight = (part.stop - part.start) / n
            xp = array_module(value.data)
            overlap = begin_overlap(optimizer, share) if k == len(cut) else None  # the last part makes them final
            with of_part.shared(), nullcontext() if overlap is None else overlap.watching():
                value.backward(xp.full(value.shape, weight, value.dtype))
            loss = float(value.item())
            result += weight * loss
            of_parts.append({name: y.data for name, y in scores.items()})
            of_batch.add(scores, labels[part], loss, rates, count_correct(scores, labels[part]))
            if suspect is streams and not np.isfinite(loss):
                suspect = inputs
        whole = sum_gradients(optimizer, xp.asarray(result, value.dtype), share, statistics, overlap)
        result = result if share.comm.size == 1 else float(whole)
        joined = {name: Tensor(xp.concatenate([y[name] for y in of_parts])) for name in of_parts[0]}
        model.after_backward(*whole_batch(model, joined, labels, share))
        finite = optimizer.all_finite(whole)
        if clip_norm is not None:
            clip_grad_norm(optimizer.parameters.values(), clip_norm)
        optimizer.lr = lr
        optimizer.step(finite)
        if not int(finite):
            statistics.put_back(kept)
            refuse_step(model, optimizer, suspect, result, step, seed, share)
    totals.join(of_batch)
    return result
