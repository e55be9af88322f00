"""Where the printed tables contradict each other, Table 1, or the operations of the networks they describe."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from misnet.models.misnet.config import VARIANTS, preset
from misnet.models.misnet.model import MISNet
from misnet.paper.published import find, rows

__all__ = ["between_tables", "energy_scaling", "parameter_counts"]


def between_tables() -> list[str]:
    """One sentence for each contradiction between printed numbers, with its tables and rows."""
    xs4, xs5 = find("4", method="MISNet-XS"), find("5", method="MISNet-XS")
    found = [f"CREMA-D accuracy of MISNet-XS: {xs4['CREMA-D']} % ({xs4.where}), {xs5['CREMA-D']} % ({xs5.where})"]
    for row in rows("11")[1:4]:
        own = [r for r in rows("2b") if r["method"] == row["method"]][-1]  # of the largest T
        found += [
            f"{data} accuracy of {row['method']}: {own[data]} % at T={own['timesteps']} ({own.where}), "
            f"{row[data]} % ({row.where}, which gives no T)"
            for data in ("CIFAR10-AV", "Ub8k-AV")
            if own[data] != row[data]
        ]
    steps = {}
    for row in rows("5")[3:]:
        same = next(r for r in rows("2b") if r["method"] == row["method"] and r["Ub8k-AV"] == row["Ub8k-AV"])
        steps[row["method"].removeprefix("MISNet-")] = same["timesteps"]
    of_t = {t: ", ".join(name for name, own in steps.items() if own == t) for t in sorted(set(steps.values()))}
    found.append(
        "Table 5 compares energies on Ub8k-AV beside accuracies of different T: by Table 2b, "
        + "; ".join(f"{names} has that of T={t}" for t, names in of_t.items())
        + ". It does not say of which T the energies are"
    )
    l7, l9, l6 = rows("7")[3], find("9", method="MISNet-L", timesteps=5), find("9", method="MISNet-L", timesteps=6)
    found.append(
        f"CREMA-D accuracy of MISNet-L at T=6: {l7['CREMA-D']} % ({l7.where}), {l6['CREMA-D']} % ({l6.where}); "
        f"{l9.where} has the first at T=5"
    )
    ab3, s2 = find("fig6", method="Ab3.1"), find("2b", method="MISNet-S", timesteps=4)
    found.append(
        f"Ub8k-AV accuracy of MISNet-S with concat: {ab3['Ub8k-AV MISNet-S']} % ({ab3.where}), "
        f"{s2['Ub8k-AV']} % ({s2.where})"
    )
    without, whole, l4 = rows("7")[1], rows("7")[3], find("4", method="MISNet-L")
    found.append(
        f"parameters of MISNet-L: {whole['param']} M with the MLIF ({whole.where}), {without['param']} M without it "
        f"({without.where}), {l4['param']} M in {l4.where}"
    )
    return found


def parameter_counts() -> list[dict[str, float | int | str]]:
    """Printed parameters of each variant, and those of Table 1 by the equations, in millions; ten classes, 32 px."""
    table = []
    for variant in VARIANTS:
        printed = find("4", method=f"MISNet-{variant}")
        counted = MISNet(preset("paper", variant)).count_parameters()
        public = MISNet(preset("public-code", variant)).count_parameters()
        table.append({"variant": variant, "printed": printed["param"], "table 1": counted, "public code": public})
    return table


def energy_scaling(parameters: Mapping[str, float], macs: Mapping[str, float], column: str) -> list[dict[str, Any]]:
    """How printed energy grows from one variant to the next, beside parameters and dense operations.

    parameters, macs: by variant. column: of Table 5. Returns the three ratios for each pair of neighbours.
    """
    energy = {v: find("5", method=f"MISNet-{v}")[column] for v in VARIANTS}
    by = {"energy": energy, "parameters": parameters, "macs": macs}
    return [{"step": f"{a} to {b}"} | {k: v[b] / v[a] for k, v in by.items()} for a, b in pairwise(VARIANTS)]
