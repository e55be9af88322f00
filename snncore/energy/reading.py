"""What a counting rule says about a run: multiply-accumulates, accumulations, energy by layer and by part."""

from collections import defaultdict
from typing import Any

from snncore.energy.choices import CHOICES
from snncore.nearest import one_of

__all__ = ["Reading"]


class Reading:
    """One rule on one run. mac, ac: as the rule counts them, of all samples; not always whole numbers.

    pj: energy in picojoules by layer and part. notes: what the reader must know. extra: figures of the rule's own.
    hanging: by a name of `snncore.energy.CHOICES` and layer, the picojoules that this one reading adds, or spares if
    they are below 0. Together the readings bring the energy down to `low_mj` or up to `high_mj`: not by the sum of all,
    where two of them spare the same operation.
    """

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.mac: float = 0
        self.ac: float = 0
        self.pj: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.notes: list[str] = []
        self.extra: dict[str, Any] = {}
        self.hanging: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.spared = self.added = 0.0  # picojoules, by all readings together

    def charge(self, layer: str, part: str, count: float, price: float) -> None:
        """Add `count` operations of a price to a layer and a part."""
        if count:
            self.pj[layer][part] += count * price

    def hang(self, choice: str, layer: str, pj: float, alone: bool = True) -> None:
        """Say that the energy of a layer changes by `pj` under a reading.

        alone: no other reading spares the same operations; if one does, `spare` says what all of them spare together.
        Raises KeyError for a name that is none of CHOICES.
        """
        if choice not in CHOICES:
            raise KeyError(f"choice: {one_of(choice, CHOICES)}")
        if not pj:
            return
        self.hanging[choice][layer] += pj
        self.added += max(0.0, pj)
        if alone:
            self.spared += max(0.0, -pj)

    def spare(self, pj: float) -> None:
        """Say that readings which change the same operations spare `pj` together."""
        self.spared += max(0.0, pj)

    def forget_choices(self) -> None:
        """Drop what was hung on it: the figure is then the only one."""
        self.hanging.clear()
        self.spared = self.added = 0.0

    @property
    def low_mj(self) -> float:
        """Energy of all samples in millijoules under the readings that count the least."""
        return max(0.0, self.energy_mj - self.spared * 1e-9)

    @property
    def high_mj(self) -> float:
        """Energy of all samples in millijoules under the readings that count the most."""
        return self.energy_mj + self.added * 1e-9

    def shares(self) -> dict[str, float]:
        """By name of a reading, what it changes as a share of the energy; -0.1 spares a tenth."""
        whole = self.energy_mj * 1e9
        return {name: sum(self.hanging[name].values()) / whole for name in CHOICES if name in self.hanging and whole}

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
