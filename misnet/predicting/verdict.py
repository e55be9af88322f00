"""The scores of one sample: of every head, after each timestep, and with one modality silenced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from misnet.models.contract import Model, Scores
from misnet.training.step import predict
from snncore.backend import Array, array_module, asnumpy

__all__ = ["Verdict", "deciding", "verdict_of"]

ByHead = dict[str, np.ndarray]


@dataclass(frozen=True)
class Verdict:
    """Scores of one sample, float [classes] by the name of the head, the verdict first.

    scores: of the whole sample. running: those after each timestep, [T, classes]: row t is what the network says of the
    first t + 1 timesteps; None for a network that takes a sample whole. silenced: by stream, the scores where all
    entries of that stream are 0; none for a network of one stream.
    """

    scores: ByHead
    running: ByHead | None
    silenced: dict[str, ByHead]

    @property
    def head(self) -> str:
        """The head that has the last word."""
        return next(iter(self.scores))

    @property
    def label(self) -> int:
        """The class that it names."""
        return int(self.scores[self.head].argmax())

    def label_without(self, stream: str) -> int:
        """The class that the same head names where a stream is silenced."""
        return int(self.silenced[stream][self.head].argmax())


def verdict_of(model: Model, streams: Sequence[Array]) -> Verdict:
    """Run a network on one sample, whole, up to each timestep, and with each of its streams silenced.

    A spiking network of today knows nothing of later timesteps. Where its heads are means over T of what they give in
    each timestep, as MISNet's are (Eq. 13), the scores after t timesteps are the running means

        P(t) = 1 / t * sum over s <= t of Linear(Pool(x[s]))        P(T) = P

    and in general those that the same clip would have got if it had ended there.
    A stream of zeros is a silent recording in a standardised spectrogram, the mean colour in a standardised image, and
    no event among counts of events.
    streams: [T, 1, ...] each, as the network takes them. The network is left in evaluation mode.
    """
    whole = _rows(predict(model, *streams))
    silenced = {}
    if len(streams) > 1:
        for k, name in enumerate(model.streams):
            zeros = array_module(streams[k]).zeros_like(streams[k])
            silenced[name] = _rows(predict(model, *streams[:k], zeros, *streams[k + 1 :]))
    return Verdict(whole, _running(model, streams, whole), silenced)


def _running(model: Model, streams: Sequence[Array], whole: ByHead) -> ByHead | None:
    """Scores after each timestep, the last of them those of the whole sample."""
    steps = []
    for t in range(1, len(streams[0])):
        try:
            steps.append(_rows(predict(model, *(x[:t] for x in streams))))
        except ValueError:  # something in it is made for T timesteps
            return None
    return {head: np.stack([*(of[head] for of in steps), scores]) for head, scores in whole.items()}


def _rows(scores: Scores) -> ByHead:
    return {head: asnumpy(x.data)[0] for head, x in scores.items()}


def deciding(verdict: Verdict, class_names: Sequence[str]) -> str:
    """Return in words which modality decides: what becomes of the verdict where one of them is silenced."""
    label = verdict.label
    others = {name: verdict.label_without(name) for name in verdict.silenced}
    needed = [name for name, found in others.items() if found != label]
    if not others:
        return "there is one modality alone"
    if not needed:
        return f"none alone: {class_names[label]} stays the verdict whichever of {_and(others)} is silenced"
    changed = _and(f"without {name} it is {class_names[others[name]]}" for name in needed)
    kept = _and(f"without {name} it stays" for name in others if name not in needed)
    if not kept:
        return f"{'both' if len(others) == 2 else 'all'} together: {class_names[label]} needs {_and(others)}; {changed}"
    return f"{_and(needed)}: {changed}; {kept} {class_names[label]}"


def _and(words: Sequence[str] | object) -> str:
    *most, last = list(words) or [""]  # type: ignore[call-overload]
    return f"{', '.join(most)} and {last}" if most else last
