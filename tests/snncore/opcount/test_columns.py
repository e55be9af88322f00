"""Columns: each has a price or says why not, and a wrong name is answered with the nearest."""

import pytest

from snncore import CostError, count_ops
from snncore.energy import Prices, apply_rule, load_prices
from snncore.opcount import OpCount
from snncore.opcount.columns import COLUMNS, SCALING, Column
from snncore.opcount.ops import Call, Counts


def undecided(columns):
    """Columns that rule `exact` would leave out without a reason."""
    return [name for name, c in columns.items() if not (c.price or c.reading or c.free) or (c.price and c.free)]


def test_every_column_has_a_price_or_says_why_not():
    assert undecided(COLUMNS) == []
    assert undecided({"new_add": Column("neuron", "additions of something new")}) == ["new_add"]
    assert {c.price for c in COLUMNS.values() if c.price} <= set(Prices.__dataclass_fields__)


@pytest.mark.parametrize("name", [name for name, c in COLUMNS.items() if c.price])
def test_rule_exact_charges_each_priced_column(name):
    """One operation of each kind alone costs its price; what folding leaves is charged only where it can fold."""
    prices = load_prices()
    with count_ops() as ops:
        pass
    ops.calls.append(Call("layer", "Op", OpCount(**{name: 1}), None, 0))
    expected = getattr(prices, COLUMNS[name].price) or 0
    if name in ("bn_mul", "bn_add"):
        expected = 0  # without statistics of a batch it is evaluation, where batch normalisation is folded
    assert apply_rule("exact", ops, prices).energy_mj == pytest.approx(expected * 1e-9, rel=1e-15)


def test_what_scales_is_no_layer_with_weights_nor_a_neuron():
    assert {COLUMNS[name].group for name in SCALING} == {
        "arithmetic",
        "batch norm",
        "bias",
        "memory",
        "mlif",
        "pooling",
    }
    assert "bias_add" not in SCALING


def test_a_wrong_name_is_answered_with_the_nearest():
    with count_ops() as ops:
        pass
    for ask in (ops.by_sample, ops.by_timestep, ops.table, ops.unresolved, lambda name: ops.totals()[name]):
        with pytest.raises(CostError, match=r"such as 'ac_graded', found 'ac_gradd'"):
            ask("ac_gradd")
    with pytest.raises(CostError, match=r"such as 'spikes', found 'spike'"):
        OpCount(spike=1)


def test_a_column_that_counted_nothing_reads_as_zero():
    row = Counts(mac=3)
    assert (row["mac"], row["ac_binary"], row.get("ac_binary"), dict(row)) == (3, 0, None, {"mac": 3})
