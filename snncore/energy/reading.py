"""What a counting rule says about a run: multiply-accumulates, accumulations, energy by layer and by part."""

from collections import defaultdict
from typing import Any

__all__ = ["Reading"]


class Reading:
    """One rule on one run. mac, ac: as the rule counts them, of all samples; not always whole numbers.

    pj: energy in picojoules by layer and part. notes: what the reader must know. extra: figures of the rule's own.
    """

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.mac: float = 0
        self.ac: float = 0
        self.pj: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.notes: list[str] = []
        self.extra: dict[str, Any] = {}

    def charge(self, layer: str, part: str, count: float, price: float) -> None:
        """Add `count` operations of a price to a layer and a part."""
        if count:
            self.pj[layer][part] += count * price

    @property
    def energy_mj(self) -> float:
        """Energy of all samples in millijoules."""
        return sum(sum(parts.values()) for parts in self.pj.values()) * 1e-9

    def by_layer(self) -> dict[str, float]:
        """Energy of each layer in millijoules."""
        return {layer: sum(parts.values()) * 1e-9 for layer, parts in self.pj.items()}

    def by_part(self) -> dict[str, float]:
        """Energy of each part (such as mac, ac, memory) in millijoules."""
        sums: dict[str, float] = defaultdict(float)
        for parts in self.pj.values():
            for part, value in parts.items():
                sums[part] += value * 1e-9
        return dict(sums)
