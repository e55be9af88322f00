"""One optimizer step, and one pass over an evaluation set."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from misnet.models.contract import Model, Scores, take
from misnet.training.ranks import ALONE, begin_overlap, go_back, sum_gradients, whole_batch
from misnet.training.recording import FiringRates, first_nonfinite, statistics_of
from misnet.training.totals import Totals, count_correct
from snncore import Tensor, no_grad, to_device
from snncore.backend import Array, array_module
from snncore.clipping import clip_grad_norm
from snncore.flat import FlatBuffers, is_finite
from snncore.optim import Optimizer
from snncore.parallel import Share
from snncore.rng import training_step

__all__ = [
    "Diverged",
    "Passes",
    "Seen",
    "Told",
    "Totals",
    "evaluate",
    "finish",
    "look",
    "predict",
    "refuse_step",
    "tell",
    "train_step",
]


class Diverged(RuntimeError):
    """A loss or gradient is not finite; the message names the step and the first layer or parameter that is not."""


def train_step(
    model: Model,
    optimizer: Optimizer,
    lr: float,
    batch: Any,
    totals: Totals,
    step: int,
    seed: int = 0,
    clip_norm: float | None = None,
    share: Share = ALONE,
) -> float:
    """Forward, backward and update on one batch; returns the loss, added to `totals`.

    batch: see `misnet.models.contract.take`, arrays on the device of the model. step, seed: which step of which run
    it is; what layers draw in it (dropout) depends on these two and the layer alone. clip_norm: what the common norm of
    all gradients is limited to, None for no limit. share: which samples of the batch these are, and the other ranks.
    On a GPU nothing is read before everything is told to run, and then all numbers at once: whether the weights may
    change is decided there. Raises Diverged, with every weight, average and running statistic as it was, if the loss, a
    gradient or a weight is not finite.
    """
    *streams, labels = take(model, batch)

    def update(finite: Array) -> None:
        optimizer.lr = lr
        optimizer.step(finite)

    with np.errstate(all="ignore"):  # what is not finite is looked for below
        with training_step(seed, step):
            told = tell(model, optimizer, streams, labels, update, clip_norm, share)
        return finish(model, optimizer, told, streams, labels, totals, step, seed, share)


class Told(NamedTuple):
    """What a device was told to do in a step, and where its numbers will be."""

    rates: FiringRates
    slots: list[int]  # of the loss, whether all is finite, and the right answers of each head
    heads: tuple[str, ...]
    statistics: FlatBuffers
    kept: list[Array]  # the running statistics before the step


def tell(
    model: Model,
    optimizer: Optimizer,
    streams: list[Array],
    labels: Array,
    update: Callable[[Array], None],
    clip_norm: float | None = None,
    share: Share = ALONE,
) -> Told:
    """Launch a step, without waiting for a GPU; update: launches the optimizer's part, given whether all is finite."""
    model.train()
    rates, statistics = FiringRates(), statistics_of(model)
    kept = statistics.keep()
    optimizer.zero_grad()
    with rates.recording(), share.shared():
        scores = model(*map(Tensor, streams))
        value = model.loss(scores, labels)
    overlap = begin_overlap(optimizer, share)
    loss = sum_gradients(optimizer, go_back(value, share, overlap), share, statistics, overlap)
    model.after_backward(*whole_batch(model, scores, labels, share))
    finite = optimizer.all_finite(loss)
    if clip_norm is not None:
        clip_grad_norm(optimizer.parameters.values(), clip_norm)
    update(finite)
    tally = rates.tally_on(array_module(loss))
    numbers = (loss, finite, *count_correct(scores, labels).values())
    return Told(rates, [tally.keep(x) for x in numbers], tuple(scores), statistics, kept)


def finish(
    model: Model,
    optimizer: Optimizer,
    told: Told,
    streams: list[Array],
    labels: Array,
    totals: Totals,
    step: int,
    seed: int,
    share: Share = ALONE,
) -> float:
    """Read the numbers of a step, take it back if something is not finite, else add it to `totals`; see train_step."""
    reading = told.rates.read()  # the one place that waits for a GPU
    assert reading is not None
    result, all_finite, *correct = (reading.number(slot) for slot in told.slots)
    if not all_finite:
        told.statistics.put_back(told.kept)
        refuse_step(model, optimizer, streams, result, step, seed, share)
    totals.add({}, labels, result, told.rates, dict(zip(told.heads, map(int, correct), strict=True)))
    return result


def refuse_step(
    model: Model, optimizer: Optimizer, streams: list[Array], result: float, step: int, seed: int, share: Share = ALONE
) -> NoReturn:
    """Take back a step that changed no weight, and raise Diverged with the first thing that is not finite.

    Of several ranks each looks through its own samples, and all raise what the first of them found.
    """
    optimizer.take_back()
    with training_step(seed, step):  # anew, so that the same numbers are drawn again
        found = _nonfinite(model, streams, result)
    told = [(rank, *of_rank) for rank, of_rank in enumerate(share.comm.exchange(found)) if of_rank is not None]
    if not told and math.isfinite(result):
        raise Diverged(f"step {step}: something is not finite, but it cannot be found again")
    # A gradient is the sum of all ranks, and tells least.
    rank, _, first = min(told, key=lambda x: (x[1], x[0])) if told else (0, False, "the loss")
    what = f"the loss is {result}" if not math.isfinite(result) else f"the loss is {result:g} but not all else is"
    where = f" (on rank {rank})" if told and share.comm.size > 1 else ""
    raise Diverged(f"step {step}: {what}; first not finite: {first}{where}")


def _nonfinite(model: Model, streams: list[Array], result: float) -> tuple[bool, str] | None:
    """Say what is not finite first, and whether that is a gradient; None if nothing is found."""
    if not math.isfinite(result):
        first = first_nonfinite(model, *streams)
        return None if first is None else (False, first)
    # A membrane that is NaN never fires and one that is infinite always does: spikes hide them from the loss.
    for name, p in model.named_parameters():
        if is_finite(p.data) and (p.grad is None or is_finite(p.grad)):
            continue
        first = first_nonfinite(model, *streams)
        return (False, first) if first else (True, f"the gradient of {name}")
    return None


def predict(model: Model, *streams: Array) -> Any:
    """Return the class scores of a batch in evaluation mode; nothing is recorded."""
    model.eval()
    with no_grad():
        return model(*map(Tensor, streams))


class Seen(NamedTuple):
    """What a device was told to do with a batch that is evaluated, and where its numbers will be."""

    rates: FiringRates
    slots: list[int]  # of the loss, and the right answers of each head
    scores: Scores


class Passes(Protocol):
    """Other ways to do what `look` does: `misnet.training.graphed_passes`."""

    def look(self, streams: Sequence[Array], labels: Array, keep: bool = False) -> Seen:
        """As `look`. keep: the scores are to be used after the next batch."""


def look(model: Model, streams: Sequence[Array], labels: Array) -> Seen:
    """Launch a batch in evaluation mode, without waiting for a GPU."""
    rates = FiringRates()
    with no_grad():
        with rates.recording():
            scores = predict(model, *streams)
        loss = model.loss(scores, labels).data
    tally = rates.tally_on(array_module(loss))
    numbers = (loss.reshape(()), *count_correct(scores, labels).values())
    return Seen(rates, [tally.keep(x) for x in numbers], scores)


def evaluate(
    model: Model,
    batches: Iterable[Any],
    device: str = "cpu",
    seen: Callable[[Scores, Array], None] | None = None,
    rates: FiringRates | None = None,
    passes: Passes | None = None,
) -> Totals:
    """Return the totals over `batches` in evaluation mode. On a GPU all numbers of a batch are read at once.

    seen: called with the scores and labels of each batch. rates: firing rates to add to, layer by layer. passes: who
    runs the batches; None: they are launched kernel by kernel.
    """
    totals = Totals()
    for batch in batches:
        *streams, labels = (to_device(x, device) for x in take(model, batch))
        told = look(model, streams, labels) if passes is None else passes.look(streams, labels, keep=seen is not None)
        reading = told.rates.read()  # the one place that waits for a GPU
        assert reading is not None
        loss, *correct = (reading.number(slot) for slot in told.slots)
        totals.add(told.scores, labels, loss, told.rates, dict(zip(told.scores, map(int, correct), strict=True)))
        if rates is not None:
            for path, places in told.rates.places.items():
                rates.spikes[path] += told.rates.spikes[path]
                rates.places[path] += places
        if seen is not None:
            seen(told.scores, labels)
    return totals
