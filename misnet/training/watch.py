"""What goes wrong in a run without an error, looked for after every epoch: one line each, with a name."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from misnet.models.contract import Model
from misnet.training.totals import Totals

__all__ = ["PATIENCE", "SATURATED", "watch"]

SATURATED = 0.99
"""Spikes per neuron and timestep above which a layer tells its input nothing."""

PATIENCE = 5
"""Epochs after which a head that is no better than chance is named."""

EXPLODED = 100
"""A training loss this many times the best so far (and above that of the first epoch) has exploded."""


def watch(model: Model, trained: Totals, rows: Sequence[Mapping[str, Any]], warned: Collection[str]) -> dict[str, str]:
    """Return the warnings of an epoch that were not given yet, by a key that tells them apart.

    trained: sums of the training samples of the epoch. rows: of all epochs so far. warned: keys of warnings given.
    """
    found = _layers(trained) | _alphas(model) | _losses(rows) | _heads(model, rows)
    return {key: line for key, line in found.items() if key not in warned}


def _layers(trained: Totals) -> dict[str, str]:
    found = {}
    for path, (spikes, places) in trained.layers.items():
        if places and not spikes:
            found[f"dead {path}"] = f"layer {path} is dead: none of its neurons fired in the epoch"
        elif places and spikes / places > SATURATED:
            rate = spikes / places
            found[f"saturated {path}"] = f"layer {path} is saturated: {rate:.3f} spikes per neuron and timestep"
    return found


def _alphas(model: Model) -> dict[str, str]:
    """A multimodal neuron whose alpha is below 0 takes currents the wrong way round, and nothing turns it back."""
    found = {}
    for path, x in [*model.named_parameters(), *model.named_buffers()]:
        if path.rpartition(".")[2] in ("alpha_a", "alpha_v") and float(x.data) < 0:
            found[f"alpha {path}"] = f"{path} has gone negative ({float(x.data):.3g}): its cell is silenced for good"
    return found


def _losses(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    losses = [row["train_loss"] for row in rows]
    best = min(losses)
    if len(losses) > 1 and losses[-1] > max(losses[0], EXPLODED * best):
        return {"loss": f"the training loss has exploded: {losses[-1]:.3g}, after {best:.3g} in its best epoch"}
    return {}


def _heads(model: Model, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A head whose best training accuracy of all epochs is at most one and a half times chance."""
    if len(rows) < PATIENCE:
        return {}
    found = {}
    chance = 1 / model.config.classes
    for head, words in model.heads.items():
        best = max(row[f"train_accuracy_{head}"] for row in rows)
        if best <= 1.5 * chance and not math.isclose(chance, 1):
            found[f"head {head}"] = (
                f"head {head} ({words}) does not learn: at best {100 * best:.1f} % of the training samples in "
                f"{len(rows)} epochs, chance is {100 * chance:.1f} %"
            )
    return found
