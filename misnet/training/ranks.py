"""A step on a batch that is spread over ranks: what is added up, and when.

Each rank computes the gradient of its samples' mean loss; with n_r of n samples on rank r the step takes

    loss = sum over r of (n_r / n) loss_r,  g = sum over r of (n_r / n) g_r

which are those of the whole batch if the loss is a mean over samples and no layer mixes samples. Batch norm does:
synchronised, it takes the statistics of the whole batch; else each rank takes its own, and the running statistics are
averaged by n_r / n, so that all ranks keep the same.
A sum with a NaN is a NaN: what is not finite on one rank is not finite on all, and all refuse the step together.
"""

from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np

from misnet.models.contract import Model, Scores
from misnet.training.totals import Totals
from snncore import Tensor
from snncore.backend import Array, array_module, asnumpy
from snncore.flat import FlatBuffers
from snncore.optim import Optimizer
from snncore.overlap import Overlap
from snncore.parallel import Comm, Share

__all__ = [
    "ALONE",
    "begin_overlap",
    "go_back",
    "same_weights",
    "share_of",
    "sum_gradients",
    "sum_totals",
    "take_from_first",
    "whole_batch",
]

ALONE = Share()
"""The share of one rank, which has every sample."""


def share_of(comm: Comm, start: int, stop: int, total: int, synchronised: bool) -> Share:
    """Return a share; one rank alone, and a batch that every rank has whole, are not synchronised."""
    return Share(comm, start, stop, total, synchronised and comm.size > 1 and stop - start < total)


def begin_overlap(optimizer: Optimizer, share: Share) -> Overlap | None:
    """Return what adds up the gradients of the coming backward pass while it runs; None where that cannot be.

    Batch norms that take their statistics over all ranks talk during backward, too: over NCCL, where everything stands
    in one queue, the gradients then come after them.
    """
    comm = share.comm
    if comm.size == 1 or share.whole or optimizer.flat is None or not comm.overlaps:
        return None
    return None if comm.one_queue and share.synchronised else Overlap(optimizer.flat, comm)


def go_back(value: Tensor, share: Share, overlap: Overlap | None = None) -> Array:
    """Go backward from a mean loss of the samples here; returns its part in that of the whole batch, of shape ()."""
    with share.shared(), nullcontext() if overlap is None else overlap.watching():
        if share.here == share.total:
            value.backward()
            return value.data
        part = array_module(value.data).full(value.shape, share.here / share.total, value.dtype)
        value.backward(part)
    return value.data * part


def sum_gradients(
    optimizer: Optimizer, loss: Array, share: Share, statistics: FlatBuffers, overlap: Overlap | None = None
) -> Array:
    """Add up gradients, in place, over all ranks; returns the loss of the whole batch, of shape ().

    loss: this rank's part of it, float of shape (). statistics: running ones, averaged where each rank took its own.
    overlap: what began to add up the gradients during backward.
    """
    comm = share.comm
    if comm.size == 1:
        return loss
    buffers: list[Array] = []
    if overlap is not None:
        overlap.finish()
    elif optimizer.flat is not None:
        optimizer.flat.gather()
        buffers = [optimizer.flat.g]
    else:
        buffers = [p.grad.reshape(-1) for p in optimizer.parameters.values() if p.grad is not None]
    whole = loss.reshape(1).copy()
    if share.whole:  # all have computed the same; on unlike machines not to the last bit
        for x in [*buffers, whole, *statistics.flats]:
            comm.broadcast(x)
        return whole.reshape(())
    for x in buffers:
        comm.sum_flat(x)
    comm.sum(whole)
    for x in statistics.flats if not share.synchronised else ():
        x *= share.here / share.total
        comm.sum(x)
    return whole.reshape(())


def whole_batch(model: Model, scores: Scores, labels: Array, share: Share) -> tuple[Scores, Array]:
    """Return scores and labels of the whole batch, in its order, if the model looks at them after backward."""
    if share.comm.size == 1 or share.whole or type(model).after_backward is Model.after_backward:
        return scores, labels
    xp = array_module(labels)
    here = {name: asnumpy(y.data) for name, y in scores.items()}
    found = share.comm.exchange((here, asnumpy(labels)))
    joined = {name: Tensor(xp.asarray(np.concatenate([y[name] for y, _ in found]))) for name in here}
    return joined, xp.asarray(np.concatenate([y for _, y in found]))


def sum_totals(totals: Totals, comm: Comm) -> Totals:
    """Return the sums over the samples of all ranks; `seconds` are those of rank 0."""
    if comm.size == 1:
        return totals
    whole = Totals()
    for other in comm.exchange(totals.to_dict()):
        whole.join(Totals.from_dict(other, ()))
    whole.seconds = totals.seconds
    return whole


def same_weights(weights: Mapping[str, Array], comm: Comm) -> str | None:
    """Return the name of a parameter that is not the same, bit for bit, on every rank; None if all are."""
    if comm.size == 1:
        return None
    import zlib

    sums = {name: zlib.crc32(np.ascontiguousarray(asnumpy(x)).tobytes()) for name, x in weights.items()}
    found = comm.exchange(sums)
    return next((name for name in sums if len({other[name] for other in found}) > 1), None)


def take_from_first(model: Model, optimizer: Optimizer, comm: Comm) -> None:
    """Give every rank the weights, running statistics and optimizer state of rank 0."""
    if comm.size == 1:
        return
    state = {key: np.array(asnumpy(x), order="C") for key, x in optimizer.state_dict().items()}
    arrays = {key: np.array(asnumpy(x), order="C") for key, x in model.state_dict().items()}
    for x in (*arrays.values(), *state.values()):
        comm.broadcast(x)
    model.load_state_dict(arrays)
    optimizer.load_state_dict(state)
