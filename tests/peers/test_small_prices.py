"""The prices of fp16 and int8 are those that SpikingJelly restates from the same source."""

import pytest

from snncore.energy import load_prices

energy = pytest.importorskip(
    "spikingjelly.activation_based.op_counter.simple_energy", reason="the extra peers is not installed"
)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_prices_of_horowitz(precision):
    prices, theirs = load_prices(f"horowitz-45nm-{precision}"), getattr(energy.SimpleEnergyCostConfig, precision)()
    assert (prices.mac, prices.add) == (pytest.approx(theirs.e_mac_pj), pytest.approx(theirs.e_ac_pj))
