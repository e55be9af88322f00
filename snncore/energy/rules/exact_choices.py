"""What other readings change of the rule `exact`, layer by layer."""

from collections.abc import Mapping

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading

__all__ = ["hang_choices"]


def hang_choices(reading: Reading, layer: str, row: Mapping[str, int], prices: Prices, training: bool) -> None:
    """Hang on a reading by `exact` what each of `snncore.energy.CHOICES` changes of one layer, whose counts are `row`.

    Four of them (zeros, averaged, static, zero-weights) spare operations of the layers with weights, and some spare the
    same: what is left under all four is counted by itself (`*_spared`, `mac_averaged_left`).
    """

    def n(column: str) -> int:
        return row.get(column, 0)

    mac, add, mul = prices.mac, prices.add, prices.mul
    scalings = n("pool_mul_averaged") * mul
    events = n("mac_averaged") * mac - n("mac_averaged_nonzero") * add
    repeated = n("mac_repeated") * mac + (n("ac_repeated") + n("add_repeated")) * add
    reading.hang("zeros", layer, -n("mac_zero") * mac, alone=False)
    reading.hang("averaged", layer, -events - scalings, alone=False)
    reading.hang("static", layer, -repeated, alone=False)
    reading.hang("zero-weights", layer, -(n("mac_zero_weight") * mac + n("ac_zero_weight") * add), alone=False)
    reading.spare(n("mac_spared") * mac + n("mac_averaged_left") * max(0.0, mac - add))
    reading.spare((n("ac_spared") + n("add_repeated")) * add + scalings)
    reading.hang("alpha", layer, -(n("alpha_mul") - n("alpha_folded_mul")) * mul)
    reading.hang("shift", layer, -n("leak_shift") * mul)
    reading.hang("by-value", layer, max(0, n("ac_graded_by_value") - n("ac_graded")) * add)
    if not training:
        unfolded = n("bn_mul") * mul + (n("bn_add") - n("bn_folded_add")) * add
        reading.hang("unfolded", layer, unfolded)
