"""A part of the training split held out for validation, for sets that bring no such split of their own."""

import numpy as np

from misnet.datasets.base import DataError, Dataset, Subset
from misnet.datasets.sets.pairing import Item, draw_splits

__all__ = ["hold_out"]


def hold_out(train: Dataset, part: float, seed: int, test: Dataset) -> tuple[Subset, Subset]:
    """Return (what is left of `train`, about `part` of it): drawn with the seed, class by class.

    The part is to `train` as `test` is: where no group (actor, video, recording) of `train` is in `test`, groups stay
    whole, too; where some are, or where groups are not known, samples are drawn one by one.
    part: above 0 and below 1. At least one sample, or group, of a class that has two is held out, and at least one
    stays. Raises ValueError for another part, DataError if nothing can be held out.
    """
    if not 0 < part < 1:
        raise ValueError(f"part: expected a number above 0 and below 1, found {part}")
    groups: list[str | None] = [train.group(i) for i in range(len(train))]
    tested = {test.group(i) for i in range(len(test))}
    if None in groups or tested & {*groups}:
        groups = [None] * len(groups)
    items = [
        Item(None, int(label), f"sample {i}", group)
        for i, (label, group) in enumerate(zip(train.labels, groups, strict=True))
    ]
    held = np.array([item.test for item in draw_splits(items, part, seed, f"{train.name} validation")], bool)
    if not held.any():
        raise DataError(
            f"{train.name} train: nothing can be held out for validation: expected a class with two samples or groups, "
            f"found {len(train)} samples"
        )
    rest, chosen = Subset(train, np.flatnonzero(~held)), Subset(train, np.flatnonzero(held))
    chosen.split = "val"
    return rest, chosen
