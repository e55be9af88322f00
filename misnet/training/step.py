"""One optimizer step, one pass over an evaluation set, and the sums they are reported by."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from misnet.models.misnet.model import MISNet, Outputs, loss
from misnet.training.recording import FiringRates, first_nonfinite, is_finite
from snncore import Tensor, no_grad, to_device
from snncore.backend import array_module
from snncore.optim import Optimizer

__all__ = ["Diverged", "Totals", "evaluate", "predict", "train_step"]


class Diverged(RuntimeError):
    """A loss or gradient is not finite; the message names the step and the first layer or parameter that is not."""


@dataclass
class Totals:
    """Sums over the samples seen so far; what an epoch's line is made of. JSON can hold `asdict` of it."""

    samples: int = 0
    loss: float = 0.0  # sum of loss x samples
    correct: list[int] = field(default_factory=lambda: [0, 0, 0])  # of av, a, v
    spikes: int = 0
    places: int = 0  # neurons x timesteps x samples
    seconds: float = 0.0

    def add(
        self, outputs: Outputs, labels: Any, loss_value: float, rates: FiringRates, correct: list[int] | None = None
    ) -> None:
        """Add a batch; correct: of each head, if that is known already."""
        self.samples += len(labels)
        self.loss += loss_value * len(labels)
        found = [int(x) for x in count_correct(outputs, labels)] if correct is None else correct
        self.correct = [a + b for a, b in zip(self.correct, found, strict=True)]
        self.spikes += sum(rates.spikes.values())
        self.places += sum(rates.places.values())

    def row(self, prefix: str) -> dict[str, float]:
        """Return means: loss, the three accuracies, firing rate."""
        n = max(1, self.samples)
        names = ("accuracy_av", "accuracy_a", "accuracy_v")
        row = {f"{prefix}_loss": self.loss / n}
        row |= {f"{prefix}_{name}": c / n for name, c in zip(names, self.correct, strict=True)}
        return row | {f"{prefix}_firing_rate": self.spikes / max(1, self.places)}

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        return asdict(self)


def count_correct(outputs: Outputs, labels: Any) -> list[Any]:
    """Return how many samples each head classifies rightly, as arrays of shape () where the scores live."""
    return [(scores.data.argmax(axis=1) == labels).sum() for scores in outputs]


def train_step(
    model: MISNet, optimizer: Optimizer, lr: float, batch: tuple[Any, Any, Any], totals: Totals, step: int
) -> float:
    """Forward, backward and update on one batch (audio, video, labels); returns the loss, added to `totals`.

    On a GPU nothing is read before everything is told to run, and then all numbers at once; whether the weights may
    change is decided there. Raises Diverged, with every weight as it was, if the loss, a gradient or a weight is not
    finite.
    """
    x_a, x_v, labels = batch
    model.train()
    rates = FiringRates(model)
    optimizer.zero_grad()
    with np.errstate(all="ignore"):  # what is not finite is looked for below
        with rates.recording():
            outputs = model(Tensor(x_a), Tensor(x_v))
            value = loss(outputs, labels, model.config)
        if optimizer.flat is not None:
            return _update_then_read(model, optimizer, lr, batch, outputs, value, totals, rates, step)
        result = float(value.item())
        if math.isfinite(result):
            value.backward()
        _refuse_nonfinite(model, x_a, x_v, result, step)
    optimizer.lr = lr
    optimizer.step()
    totals.add(outputs, labels, result, rates)
    return result


def _refuse_nonfinite(model: MISNet, x_a: Any, x_v: Any, result: float, step: int) -> None:
    if not math.isfinite(result):
        first = first_nonfinite(model, x_a, x_v) or "the loss"
        raise Diverged(f"step {step}: the loss is {result}; first not finite: {first}")
    # A membrane that is NaN never fires and one that is infinite always does: spikes hide them from the loss.
    for name, p in model.named_parameters():
        if is_finite(p.data) and (p.grad is None or is_finite(p.grad)):
            continue
        first = first_nonfinite(model, x_a, x_v) or f"the gradient of {name}"
        raise Diverged(f"step {step}: the loss is {result:g} but not all else is; first not finite: {first}")


def _update_then_read(
    model: MISNet,
    optimizer: Optimizer,
    lr: float,
    batch: tuple[Any, Any, Any],
    outputs: Outputs,
    value: Tensor,
    totals: Totals,
    rates: FiringRates,
    step: int,
) -> float:
    """The rest of a step on a GPU: the update is told to happen if all is finite, then everything is read at once."""
    x_a, x_v, labels = batch
    value.backward()
    finite = optimizer.all_finite(value.data)
    optimizer.lr = lr
    optimizer.step(finite)
    tally = rates.tally_on(array_module(value.data))
    slots = [tally.keep(x) for x in (value.data, finite, *count_correct(outputs, labels))]
    reading = rates.read()  # the one place that waits
    assert reading is not None
    result, all_finite, *correct = (reading.number(slot) for slot in slots)
    if not all_finite:
        optimizer.take_back()
        _refuse_nonfinite(model, x_a, x_v, result, step)
        raise Diverged(f"step {step}: the GPU found something not finite, but it cannot be found again")
    totals.add(outputs, labels, result, rates, [int(n) for n in correct])
    return result


def predict(model: MISNet, x_a: Any, x_v: Any) -> Outputs:
    """Return the class scores of a batch in evaluation mode; nothing is recorded."""
    model.eval()
    with no_grad():
        return model(Tensor(x_a), Tensor(x_v))


def evaluate(
    model: MISNet,
    batches: Iterable[tuple[Any, Any, Any]],
    device: str = "cpu",
    seen: Callable[[Outputs, Any], None] | None = None,
    rates: FiringRates | None = None,
) -> Totals:
    """Return the totals over `batches` (audio, video, labels) in evaluation mode.

    seen: called with the outputs and labels of each batch. rates: firing rates to add to, layer by layer.
    """
    totals = Totals()
    for batch in batches:
        x_a, x_v, labels = (to_device(x, device) for x in batch)
        of_batch = FiringRates(model)
        with of_batch.recording():
            outputs = predict(model, x_a, x_v)
        totals.add(outputs, labels, float(loss(outputs, labels, model.config).item()), of_batch)
        if rates is not None:
            for path, places in of_batch.places.items():
                rates.spikes[path] += of_batch.spikes[path]
                rates.places[path] += places
        if seen is not None:
            seen(outputs, labels)
    return totals
