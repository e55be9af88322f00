"""What is held out for validation: about a part of every class, and whole groups where the test has others."""

from collections import Counter

import numpy as np
import pytest

from misnet.datasets import DataError, Dataset, load_dataset
from misnet.datasets.holdout import hold_out


class Labels(Dataset):
    """Samples of which there is nothing but label and group."""

    name, split, timesteps, class_names = "labels", "train", 1, ("x", "y")

    def __init__(self, labels, groups):
        self._labels, self.groups = np.array(labels), groups

    @property
    def labels(self):
        return self._labels

    @property
    def streams(self):
        return {}

    def group(self, index):
        return self.groups[index]

    def __getitem__(self, index):
        return (int(self._labels[index]),)

    def fingerprint(self):
        return "0" * 64


def of_groups(*names):
    """Ten samples of each group, half of either class."""
    return Labels([0, 1] * 5 * len(names), [name for name in names for _ in range(10)])


OTHERS = of_groups("t1", "t2")


def test_about_a_part_of_each_class_is_held_out_and_nothing_twice():
    train, test = (load_dataset("dialpad", split, timesteps=1) for split in ("train", "test"))
    rest, held = hold_out(train, 0.1, 0, test)
    assert sorted([*rest.indices, *held.indices]) == list(range(1437))
    counts, whole = Counter(held.labels.tolist()), Counter(train.labels.tolist())
    assert counts == {label: round(n / 10) for label, n in whole.items()}
    assert (rest.split, held.split) == ("train", "val")
    assert len({train.fingerprint(), rest.fingerprint(), held.fingerprint()}) == 3


def test_the_seed_decides_which():
    train = Labels([0, 1] * 50, [None] * 100)
    a, b, c = (hold_out(train, 0.2, seed, OTHERS)[1].indices.tolist() for seed in (0, 0, 1))
    assert a == b != c


def test_groups_stay_whole_where_the_test_has_others():
    train = of_groups(*"abcdefgh")
    rest, held = hold_out(train, 0.25, 0, OTHERS)
    sides = [{train.group(int(i)) for i in side.indices} for side in (rest, held)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2


@pytest.mark.parametrize("shared", ["a", None])
def test_samples_are_drawn_one_by_one_where_the_test_shares_groups_or_they_are_not_known(shared):
    train = of_groups(*"abcdefgh")
    if shared is None:
        train.groups[3] = None
    rest, held = hold_out(train, 0.25, 0, of_groups("t", shared) if shared else OTHERS)
    sides = [{train.group(int(i)) for i in side.indices} for side in (rest, held)]
    assert sides[0] >= set("abcdefgh")
    assert Counter(held.labels.tolist()) == {0: 10, 1: 10}


@pytest.mark.parametrize("part", [0, 1, -0.1, 1.5, float("nan")])
def test_a_part_that_leaves_nothing_on_one_side_is_refused(part):
    with pytest.raises(ValueError, match="part: expected a number above 0 and below 1"):
        hold_out(OTHERS, part, 0, OTHERS)


def test_single_samples_and_groups_cannot_be_held_out():
    with pytest.raises(DataError, match=r"labels train: nothing can be held out .* found 2 samples"):
        hold_out(Labels([0, 1], [None, None]), 0.5, 0, OTHERS)
