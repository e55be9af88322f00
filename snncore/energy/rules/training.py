"""A training step: forward, backward and the optimizer, priced."""

import warnings

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact import read_exact
from snncore.opcount import Ops, UnresolvedWarning
from snncore.opcount.columns import COLUMNS

__all__ = ["read_training"]

BACKWARD = {
    "back_mac": "mac",
    "back_ac": "add",
    "back_add": "add",
    "back_mul": "mul",
    "back_special": "special",
}
OPTIMIZER = {"opt_add": "add", "opt_mul": "mul", "opt_special": "special"}


def read_training(ops: Ops, prices: Prices) -> Reading:
    """`exact` for the forward pass, and the same prices for the backward pass and for the step of the optimizer.

    Counts: the forward pass as `exact` reads it, in training mode (statistics of the batch, nothing folded); of
    `count_ops(backward=True)` the multiply-accumulates, accumulations, additions and multiplications of
    backpropagation through time; of `snncore.optim` what `Optimizer.cost` states, which is of a step and not of a
    sample. Leaves out: memory (`extra` says how large it is), clipping of gradients, augmentation, the learning rate
    schedule, exponentials, roots and surrogate derivatives unless the table prices them.
    Wrong where: membranes of the forward pass are kept, as the leak, charge and reset by which backward computes them
    anew are counted; hardware that skips neurons whose surrogate derivative is 0 does less.
    `extra`: `forward_mj`, `backward_mj`, `optimizer_mj` of all samples; `membrane_bytes`, every membrane of every
    timestep, as backpropagation through time keeps them; `membrane_bytes_forward`, what inference keeps of them.
    """
    reading = read_exact(ops, prices)
    reading.rule = "training"
    reading.forget_choices()  # they are about inference: nothing folds while it is learned
    parts = {"forward": reading.energy_mj}
    unpriced = int(reading.extra.get("unpriced_special", 0))
    layers = ops.layers()
    for part, columns in (("backward", BACKWARD), ("optimizer", OPTIMIZER)):
        before = reading.energy_mj
        for layer, row in layers.items():
            for name, kind in columns.items():
                count, price = row.get(name, 0), getattr(prices, kind)
                if price is None:
                    unpriced += count
                else:
                    reading.charge(layer, part, count, price)
        parts[part] = reading.energy_mj - before
    reading.mac += sum(row.get("back_mac", 0) for row in layers.values())
    reading.ac += sum(row.get("back_ac", 0) for row in layers.values())
    reading.notes = []
    if unpriced:
        reading.notes.append(f"{unpriced:,} exponentials, roots and derivatives have no price in {prices.name}")
    seen = {name for row in layers.values() for name in row}
    for part, columns, advice in (
        ("backward pass", BACKWARD, "count_ops(backward=True) counts it"),
        ("optimizer", OPTIMIZER, "add_step(ops, optimizer) of snncore.optim counts it"),
    ):
        if seen.isdisjoint(columns):
            reading.notes.append(f"no {part} was counted: it is not in these figures; {advice}")
    reading.extra = {f"{part}_mj": mj for part, mj in parts.items()} | _membranes(ops)
    if unpriced:
        reading.extra["unpriced_special"] = unpriced
    return reading


def _membranes(ops: Ops) -> dict[str, int]:
    """Bytes of membranes, of all timesteps and of one, for all samples; what belongs to no timestep is in both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)
        steps = ops.by_timestep("state_write_bytes")
    held = max(steps, default=0) + ops.unresolved("state_write_bytes")
    return {"membrane_bytes": ops.totals()["state_write_bytes"], "membrane_bytes_forward": held}


assert {*BACKWARD, *OPTIMIZER} == {name for name, c in COLUMNS.items() if c.group in ("backward", "optimizer")}
