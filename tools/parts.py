"""The parts of a data set that a run uses: training samples, those that choose its best epoch, and test samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from misnet.datasets import DataError, Dataset
from misnet.datasets.holdout import hold_out
from misnet.datasets.registry import data_splits
from misnet.tools.toolkit import UsageError, data_seed, load_split

__all__ = ["PARTS", "Parts", "check_not_moved"]

PARTS = ("train", "val", "test")


class Parts:
    """Loads the parts of the data set that `settings` name, each split once, all at one size.

        train  the training split, less what `val_part` holds out of it
        val    with `val_part` that part of the training split, else the set's own val split
        test   the test split

    `val_part` is drawn with the seed of the data, after `limit_train` has cut the split.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self._splits: dict[str, Dataset] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that a run with these settings uses."""
        validates = self.settings["val_part"] is not None or self.settings["val_split"]
        return PARTS if validates else ("train", "test")

    def load(self, part: str, size: int | None, timesteps: int) -> Dataset:
        """Return a part; raises UsageError for a val that there is not, and what `load_split` raises."""

        def split(name: str) -> Dataset:
            if name not in self._splits:
                self._splits[name] = load_split(name, self.settings, size, timesteps)
            return self._splits[name]

        share = self.settings["val_part"]
        if part != "test" and share is not None:
            rest, held = hold_out(split("train"), share, data_seed(self.settings), split("test"))
            return held if part == "val" else rest
        if part == "val" and "val" not in data_splits(self.settings["dataset"]):
            raise UsageError(
                f"val: {self.settings['dataset']} has no val split of its own, found "
                f"{', '.join(data_splits(self.settings['dataset']))}; --val-part 0.1 of train.py holds out a part of "
                "its training split"
            )
        return split(part)


def check_not_moved(settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise DataError if the folder of a run's data is gone; given: options, of which data_dir says where they are."""
    place = settings["data_dir"]
    if place is not None and given.get("data_dir") is None and not Path(place).is_dir():
        raise DataError(f"{place}: no such folder; the data of this run were in it: --data-dir says where they are now")
