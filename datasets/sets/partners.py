"""Which recording goes with which image, where the two were recorded apart and share nothing but their class."""

import numpy as np

__all__ = ["pair_by_label"]


def pair_by_label(labels: np.ndarray, choices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each of `labels` the index of one of `choices` with the same label, drawn evenly with `rng`.

    labels: int [n], of the images. choices: int [m], of the recordings of the same split. Returns int64 [n].
    Raises LookupError, with the label, if it is among `labels` and not among `choices`.
    """
    pairing = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        same = np.flatnonzero(choices == label)
        if not len(same):
            raise LookupError(int(label))
        mine = np.flatnonzero(labels == label)
        pairing[mine] = same[rng.integers(len(same), size=len(mine))]
    return pairing
