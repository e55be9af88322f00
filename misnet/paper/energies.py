"""Table 5 of the paper beside operations counted here: what its energies imply."""

from typing import Any

from misnet.audit.report import dense_operations
from misnet.models.misnet.config import VARIANTS, MISNetConfig, preset
from misnet.models.misnet.model import MISNet
from misnet.paper.published import CLASSES, SIZES, find
from snncore.energy import Prices

__all__ = ["DATA", "printed_energies"]

DATA = ("Ub8k-AV", "CREMA-D")
"""The data sets of Table 5; Section 4.1 gives them 96 and 128 pixels."""


def printed_energies(prices: Prices, name: str = "paper", timesteps: int = 4) -> list[dict[str, Any]]:
    """A line for each variant and data set of Table 5: dense operations by shape, and the rate its energy implies.

    name: of the preset that the networks are built by. Implied rates for `timesteps` and for one; under the rule of
    the paper (first convolutions as multiply-accumulates; None if they alone cost more), and with every operation an
    accumulation.
    """
    lines = []
    for data in DATA:
        for variant in VARIANTS:
            row = find("5", method=f"MISNet-{variant}")
            config = preset(name, variant, size=SIZES[data], classes=CLASSES[data], timesteps=1)
            lines.append(_line(data, config, row, prices, timesteps))
    return lines


def _line(data: str, config: MISNetConfig, row: Any, prices: Prices, timesteps: int) -> dict[str, Any]:
    model = MISNet(config)
    counts = dense_operations(model)
    pj = row[f"{data} energy"] * 1e9
    rest = counts["dense_mac_padded"] - counts["first_padded"]

    def rates(steps: int) -> dict[str, float | None]:
        left = pj - counts["first_padded"] * steps * prices.mac
        return {
            "paper_rule": left / (rest * steps * prices.add) if left >= 0 else None,
            "all_ac": pj / (counts["dense_mac_padded"] * steps * prices.add),
        }

    return {
        "data": data,
        "variant": config.variant,
        "size": config.size,
        "where": row.where,
        "printed_energy_mj": row[f"{data} energy"],
        "printed_accuracy": row[data],
        "printed_parameters_m": find("4", method=f"MISNet-{config.variant}")["param"],
        "parameters": model.count_parameters(),
        "dense_mac_per_timestep": counts["dense_mac"],
        "dense_mac_padded_per_timestep": counts["dense_mac_padded"],
        "implied_rate": rates(timesteps),
        "implied_rate_one_timestep": rates(1),
    }
