"""The sums that an epoch's line is made of: loss, right answers of each head, spikes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from misnet.models.contract import Scores
from misnet.training.recording import FiringRates
from snncore.backend import Array

__all__ = ["Totals", "count_correct"]


@dataclass
class Totals:
    """Sums over the samples seen so far; JSON can hold `to_dict()` of it."""

    samples: int = 0
    loss: float = 0.0  # sum of loss x samples
    correct: dict[str, int] = field(default_factory=dict)  # right answers, by head
    spikes: int = 0
    places: int = 0  # neurons x timesteps x samples
    seconds: float = 0.0
    layers: dict[str, list[int]] = field(default_factory=dict)  # spikes and places of each

    def add(
        self,
        scores: Scores,
        labels: Array,
        loss_value: float,
        rates: FiringRates,
        correct: Mapping[str, int] | None = None,
    ) -> None:
        """Add a batch; correct: of each head, if that is known already."""
        self.samples += len(labels)
        self.loss += loss_value * len(labels)
        for head, found in (count_correct(scores, labels) if correct is None else correct).items():
            self.correct[head] = self.correct.get(head, 0) + int(found)
        self.spikes += sum(rates.spikes.values())
        self.places += sum(rates.places.values())
        for path, places in rates.places.items():
            before = self.layers.get(path, [0, 0])
            self.layers[path] = [before[0] + int(rates.spikes[path]), before[1] + int(places)]

    def join(self, other: "Totals") -> None:
        """Add the sums of other samples."""
        self.samples += other.samples
        self.loss += other.loss
        for head, found in other.correct.items():
            self.correct[head] = self.correct.get(head, 0) + found
        self.spikes += other.spikes
        self.places += other.places
        self.seconds += other.seconds
        for path, (spikes, places) in other.layers.items():
            before = self.layers.get(path, [0, 0])
            self.layers[path] = [before[0] + spikes, before[1] + places]

    def row(self, prefix: str) -> dict[str, float]:
        """Return means: loss, the accuracy of each head, firing rate."""
        n = max(1, self.samples)
        row = {f"{prefix}_loss": self.loss / n}
        row |= {f"{prefix}_accuracy_{head}": correct / n for head, correct in self.correct.items()}
        return row | {f"{prefix}_firing_rate": self.spikes / max(1, self.places)}

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], heads: Iterable[str]) -> "Totals":
        """Return the sums from their plain values.

        heads: names in order, for checkpoints of earlier versions, which have a list of right answers without names.
        """
        correct = values["correct"]
        if isinstance(correct, list):
            correct = dict(zip(heads, correct, strict=True))
        return cls(**{**values, "correct": dict(correct)})


def count_correct(scores: Scores, labels: Array) -> dict[str, Any]:
    """Return how many samples each head classifies rightly, as arrays of shape () where the scores live."""
    return {head: (x.data.argmax(axis=1) == labels).sum() for head, x in scores.items()}
