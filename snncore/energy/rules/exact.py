"""Everything that was executed, priced."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact_choices import hang_choices
from snncore.energy.rules.unread import counted
from snncore.opcount import Ops
from snncore.opcount.columns import COLUMNS

__all__ = ["priced_columns", "read_exact"]

ACCUMULATIONS = ("ac_binary", "ac_graded")
FOLDED = ("bn_folded_add",)
UNFOLDED = ("bn_mul", "bn_add")


def priced_columns(training: bool) -> dict[str, str]:
    """Return the columns that are priced, each with the name of its price.

    Batch normalisation is priced as it runs in training, and folded into the weights in evaluation.
    """
    skipped = FOLDED if training else UNFOLDED
    return {name: column.price for name, column in COLUMNS.items() if column.price and name not in skipped}


def read_exact(ops: Ops, prices: Prices) -> Reading:
    """Price every operation that was executed, each column by the price that it names in `snncore.opcount.columns`.

    Counts: accumulations at the price of an addition (a graded event once, whatever its value), multiply-accumulates
    of analog input, biases, batch normalisation (folded into the weights in evaluation: one addition an entry), leak,
    charge, comparison and reset of neurons, alpha and W, pooling, residual additions, elementwise arithmetic.
    A division is priced as a multiplication. Leaves out: memory, the backward pass, picking, assigning and gating
    (no arithmetic), and exponentials unless the table prices them (`extra` then says how many there were).
    Wrong where: hardware does not add a graded event in one operation (see `ac_graded_by_value`), or cannot fold.
    The figure is one reading: every zero of analog input is multiplied, at every timestep of a static input too, and
    what average pooling makes of spikes is analog. `low_mj` and `high_mj` hold the others (`snncore.energy.CHOICES`).
    """
    reading = Reading("exact")
    layers = ops.layers()
    training = any(row.get("bn_stat_add") for row in layers.values())
    priced = priced_columns(training)
    unpriced = 0
    for layer, row in layers.items():
        reading.mac += row.get("mac", 0)
        reading.ac += sum(row.get(name, 0) for name in ACCUMULATIONS)
        reading.charge(layer, "mac", row.get("mac", 0), prices.mac)
        reading.charge(layer, "ac", sum(row.get(name, 0) for name in ACCUMULATIONS), prices.add)
        for kind in ("add", "mul", "compare", "special"):
            price = getattr(prices, kind)
            for name, priced_as in priced.items():
                if priced_as != kind or name in ACCUMULATIONS:
                    continue
                if price is None:
                    unpriced += row.get(name, 0)
                else:
                    reading.charge(layer, _part(name), row.get(name, 0), price)
        hang_choices(reading, layer, row, prices, training)
    if unpriced:
        reading.extra["unpriced_special"] = unpriced
        reading.notes.append(f"no price in {prices.name} for exponentials and sigmoids: {counted(unpriced, ops)}")
    return reading


def _part(column: str) -> str:
    if COLUMNS[column].price == "special":
        return "special"
    group = COLUMNS[column].group
    return "neurons" if group in ("neuron", "mlif") else group
