"""The network beside networks that do not spike, in words, with the one line on where they break even."""

from collections.abc import Mapping
from typing import Any

from misnet.audit.baselines import CHEAPER, DEARER
from misnet.audit.text import table

__all__ = ["baseline_lines", "break_even_line", "break_even_words"]


def baseline_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines on what `misnet.audit.baselines.baselines` found."""
    heading = ("GMAC", "mJ", "mJ+", "spiking mJ", "spiking mJ+", "break-even", "break-even+")
    rows = [("a network that does not spike, one pass", *heading)]
    spiking = {one["prices"]: one for one in found["spiking"]}
    for one in found["others"]:
        mine = spiking[one["prices"]]
        figures = (one["mac"] / 1e9, one["arithmetic_mj"], one["energy_mj"], mine["arithmetic_mj"], mine["energy_mj"])
        evens = (break_even_words(one["break_even_arithmetic"]), break_even_words(one["break_even"]))
        rows.append((f"  {one['name']}", *(f"{x:.4g}" for x in figures), *evens))
    lines = table(rows)
    lines.append(
        "  (for one sample; spiking: this network at the same prices; +: with memory, each weight read at most once"
    )
    lines.append("  a timestep, activations once; break-even: the firing rate at which both cost the same)")
    lines += ["", *break_even_line(found)]
    if "high" in found:
        lines += ["", "at the upper ends of the rates:", *baseline_lines(found["high"])]
    return lines


def break_even_line(found: Mapping[str, Any]) -> list[str]:
    """Return the line on the quantised network that carries as much, and the figures of others to compare it with."""
    quantised = next((one for one in found["others"] if one["kind"] == "quantised"), None)
    if quantised is None or not found["rate"]:
        told = f"{found['rate_told']}, " if found.get("rate_told") else ""
        return [f"break-even: {told}no spike was counted, and so no rate can be compared"]
    even, plain = quantised["break_even"], quantised["break_even_arithmetic"]
    network = f"the quantised network of {quantised['bits']}-bit activations"
    fires = f"this network fires at {100 * found['rate']:.3g} % (of {found['rate_of']} and timesteps)"
    told = [f"{found['rate_told']}:"] if found.get("rate_told") else []
    if told:
        fires = fires.replace("fires", "would fire", 1)
    if even["rate"] is not None and plain["rate"] is not None:
        with_memory, alone = (f"at {100 * one['rate']:.3g} %" for one in (even, plain))
        lines = [*told, f"{fires}, break-even with", f"{network} is {with_memory}, with memory ({alone} without);"]
    else:
        with_memory, alone = (_in_words(one) for one in (even, plain))
        both = f"with memory {with_memory}, and without memory {alone}"
        if with_memory == alone:
            both = f"with memory and without, {alone}"
        lines = [*told, f"{fires}; beside", f"{network} it is, {both};"]
    lines.append(f"with memory, this network takes {quantised['ratio']:.3g} times the energy of that one")
    lines.append("public analyses, which price the routing of spikes too:")
    lines += [f"  {100 * one['rate']:.3g} % at T={one['timesteps']}: {one['source']}" for one in found["public"]]
    return lines


def break_even_words(even: Mapping[str, Any]) -> str:
    """A break-even rate in percent, or in words why there is none."""
    if even["rate"] is not None:
        return f"{100 * even['rate']:.3g} %"
    return {DEARER: "always dearer", CHEAPER: "always cheaper"}.get(even["why"], "-")


def _in_words(even: Mapping[str, Any]) -> str:
    return f"as dear at {100 * even['rate']:.3g} %" if even["rate"] is not None else even["why"]
