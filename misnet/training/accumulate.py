"""A step whose batch does not fit in memory at once: gradients of its parts, one after another, added up."""

from itertools import pairwise
from typing import Any

import numpy as np

from misnet.models.contract import Model, take
from misnet.training.recording import FiringRates, statistics_of
from misnet.training.step import refuse_step
from misnet.training.totals import Totals, count_correct
from snncore import Tensor, training_step
from snncore.backend import array_module
from snncore.clipping import clip_grad_norm
from snncore.optim import Optimizer

__all__ = ["accumulated_step", "parts_of"]


def parts_of(samples: int, parts: int) -> list[slice]:
    """Return where the parts of a batch lie: as even as can be, none of them empty."""
    edges = np.linspace(0, samples, min(parts, samples) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


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
) -> float:
    """Do what `train_step` does on a batch of N samples with the memory of N / parts; returns the loss.

        g = sum over parts p of (n_p / N) * d loss_p / d w

    which is the gradient of the whole batch if the loss is a mean over samples and no layer mixes samples. BatchNorm
    does: it takes mean and variance of each part, and moves its running statistics once for each. Dropout draws anew
    for each part, from (seed, step). clip_norm limits the norm of the sum.
    Raises Diverged, with everything as it was, as `train_step` does.
    """
    *streams, labels = take(model, batch)
    model.train()
    statistics = statistics_of(model)
    kept = statistics.keep()
    of_batch = Totals()
    optimizer.zero_grad()
    result, suspect, of_parts = 0.0, streams, []
    with np.errstate(all="ignore"), training_step(seed, step):  # what is not finite is looked for below
        for part in parts_of(len(labels), parts):
            rates = FiringRates()
            inputs = [x[:, part] for x in streams]
            with rates.recording():
                scores = model(*map(Tensor, inputs))
                value = model.loss(scores, labels[part])
            share = (part.stop - part.start) / len(labels)
            xp = array_module(value.data)
            value.backward(xp.full(value.shape, share, value.dtype))
            loss = float(value.item())
            result += share * loss
            of_parts.append({name: y.data for name, y in scores.items()})
            of_batch.add(scores, labels[part], loss, rates, count_correct(scores, labels[part]))
            if suspect is streams and not np.isfinite(loss):
                suspect = inputs
        model.after_backward(
            {name: Tensor(xp.concatenate([y[name] for y in of_parts])) for name in of_parts[0]}, labels
        )
        finite = optimizer.all_finite(xp.asarray(result, value.dtype))
        if clip_norm is not None:
            clip_grad_norm(optimizer.parameters.values(), clip_norm)
        optimizer.lr = lr
        optimizer.step(finite)
        if not int(finite):
            statistics.put_back(kept)
            refuse_step(model, optimizer, suspect, result, step, seed)
    totals.join(of_batch)
    return result
