"""What the figures show: spike trains of a network by modality, and what its verdict is made of.

Modules are told apart by their paths, as models of two modalities have them: `.a` and `.v` in MISNet, `encoders.audio`
and `encoders.visual` in those of two encoders.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from misnet.models.contract import Model
from misnet.visual.layers import ALL, stream_of
from snncore import Tensor, monitor, no_grad, observe
from snncore.backend import Array, asnumpy
from snncore.context import current_path
from snncore.tape import Function

__all__ = ["MODALITIES", "features", "first_stage", "last_stage", "modality", "spike_trains"]

MODALITIES = ("audio", "visual")


def modality(path: str) -> str | None:
    """Return "audio" or "visual" for the path of a neuron layer, None for one of neither."""
    found = stream_of(path, MODALITIES)
    return None if found == ALL else found


def spike_trains(model: Model, streams: Sequence[Array]) -> dict[str, np.ndarray]:
    """Return the spikes of every neuron layer in evaluation, by path in the order of the layers.

    streams: [T, N, ...] each, as the network takes them. Values: integers [T, N, ...]. A layer of two outputs has a
    path for each, as `mlif.a` and `mlif.v`.
    """
    model.eval()
    with no_grad(), monitor(model, record="spikes") as seen:
        model(*map(Tensor, streams))
    return {path: record.spikes for path, record in seen.items()}


def features(model: Model, streams: Sequence[Array]) -> np.ndarray:
    """Return what the verdict of a network is a linear map of, modalities side by side, float64 [T, N, F].

    Raises ValueError if the network has no head of the path `head` that takes features [T, N, F].
    """
    parts: list[np.ndarray] = []

    def note(function: Function, inputs: tuple, outputs: tuple) -> None:
        if not parts and re.match(r"head(\.|$)", current_path()):
            lead = tuple(np.shape(streams[0])[:2])
            parts.extend(asnumpy(x.data) for x in inputs if x.ndim == 3 and tuple(x.shape[:2]) == lead)

    _run(model, streams, note)
    if not parts:
        raise ValueError(f"{model.config.title}: expected a head of features [T, N, F], found none")
    return np.concatenate(parts, axis=-1).astype(np.float64)


def _run(model: Model, streams: Sequence[Array], note: object) -> None:
    model.eval()
    with no_grad(), observe(note):  # type: ignore[arg-type]
        model(*(Tensor(x) for x in streams))


def last_stage(trains: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the last spikes of each modality; raises ValueError if one has none."""
    found = {modality(path): s for path, s in trains.items()}
    return _of_both(found, trains)


def first_stage(trains: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the last spikes of each modality at its first resolution, [T, N, H, W, C]; ValueError if none."""
    found: dict[str | None, np.ndarray] = {}
    for path, s in trains.items():
        name = modality(path)
        if s.ndim == 5 and (name not in found or found[name].shape[2:4] == s.shape[2:4]):
            found[name] = s
    return _of_both(found, trains)


def _of_both(found: Mapping[str | None, np.ndarray], trains: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if missing := [name for name in MODALITIES if name not in found]:
        raise ValueError(
            f"expected neurons of audio and of vision, found none of {missing[0]} among {', '.join(trains)}"
        )
    return {name: found[name] for name in MODALITIES}
