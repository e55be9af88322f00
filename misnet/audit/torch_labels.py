"""How well a PyTorch network classifies the very samples that are counted: labels of a file beside its scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["HEAD", "LabelError", "Scores", "accuracy_of", "load_labels"]

HEAD = "top-1"
"""What the accuracy is called."""


class LabelError(ValueError):
    """Labels or scores that do not fit; the message says what was found and expected."""


class Scores:
    """Keeps what a network returns in each call: `run` is that of `audit_torch`."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def run(self, network: Any, *inputs: Any) -> Any:
        """Call the network, and keep the first tensor of what it returns."""
        y = network(*inputs)
        first = _first(y)
        if first is None:
            raise LabelError(f"expected scores [N, classes] for --labels, found {type(y).__name__}")
        self.calls.append(first.detach().clone())
        return y

    def of_batches(self, sizes: Sequence[int], timesteps: int, outer_loop: bool, layout: str) -> np.ndarray:
        """Scores of all samples, float64 [N, classes], each the mean over its timesteps. sizes: samples of each batch.

        Taken are [N, classes]; of a network with time also [T, N, classes], or [N, T, classes] where those are the
        sizes; with outer_loop [N, classes] of each of the T calls. Raises LabelError for another shape.
        """
        each = timesteps if outer_loop else 1
        found = []
        for k, n in enumerate(sizes):
            calls = [y.cpu().double().numpy() for y in self.calls[k * each : (k + 1) * each]]
            found.append(_of_batch(calls, n, timesteps, layout))
        classes = {scores.shape[1] for scores in found}
        if len(classes) != 1:
            raise LabelError(f"expected one number of classes for --labels, found {sorted(classes)}")
        whole = np.concatenate(found)
        if not np.isfinite(whole).all():
            raise LabelError(f"expected finite scores for --labels, found {whole[~np.isfinite(whole)][0]}")
        return whole


def _of_batch(calls: list[np.ndarray], n: int, timesteps: int, layout: str) -> np.ndarray:
    shapes = {y.shape for y in calls}
    y: np.ndarray = np.mean(calls, axis=0) if len(shapes) == 1 else calls[0]
    if len(calls) == 1 and y.ndim == 3 and timesteps:
        orders = {"TN": (timesteps, n), "NT": (n, timesteps)}
        fits = [name for name, sizes in orders.items() if y.shape[:2] == sizes]
        if fits:
            y = y.mean(axis=fits[0 if len(fits) == 1 or layout != "NT" else 1].index("T"))
    if len(shapes) != 1 or y.ndim != 2 or len(y) != n or y.shape[1] < 2:
        expected = f"[{n}, classes] or [{timesteps}, {n}, classes]" if timesteps else f"[{n}, classes]"
        raise LabelError(f"expected scores {expected} for --labels, found {' and '.join(map(str, sorted(shapes)))}")
    return y


def _first(y: Any) -> Any:
    """The first tensor of what a network returned, None if there is none."""
    if hasattr(y, "detach"):
        return y
    parts = y.values() if isinstance(y, dict) else y if isinstance(y, list | tuple) else ()
    return next((found for part in parts if (found := _first(part)) is not None), None)


def load_labels(file: Path, arrays: Sequence[Any], samples: int) -> np.ndarray:
    """Labels int64 [N] of the arrays that a file holds; raises LabelError for none, several, or another shape."""
    if len(arrays) != 1:
        raise LabelError(f"{file}: expected one array of labels, found {len(arrays)}")
    found = np.asarray(arrays[0])
    if found.dtype.kind not in "ui" or found.shape not in ((samples,), (samples, 1)) or int(found.min()) < 0:
        raise LabelError(
            f"{file}: expected {samples} integers of at least 0, one for each sample of --inputs, found {found.dtype} "
            f"of shape {found.shape}"
        )
    return found.reshape(-1).astype(np.int64)


def accuracy_of(scores: np.ndarray, labels: np.ndarray, file: Path) -> float:
    """Share of samples whose label has the largest score, the first of equal ones; LabelError for one that is none."""
    if int(labels.max()) >= scores.shape[1]:
        raise LabelError(f"{file}: expected labels below {scores.shape[1]}, found {labels.max()}")
    return float((scores.argmax(axis=1) == labels).mean())
