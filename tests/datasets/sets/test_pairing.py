"""Drawing splits a group at a time, and partners of the same class."""

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.sets.pairing import Item, draw_partners, draw_splits, same_name, split_like


def items(label, keys, group=None, test=None):
    return [Item(None, label, key, group, test) for key in keys]


def sounds():
    """Two classes of ten groups of three."""
    return [i for k in range(20) for i in items(k % 2, [f"{k}/{j}" for j in range(3)], group=f"g{k}")]


def test_groups_stay_together_and_each_class_is_in_both_splits():
    drawn = draw_splits(sounds(), 0.3, 0, "x")
    assert [item.key for item in drawn] == [item.key for item in sounds()]
    for label in (0, 1):
        tests = [item for item in drawn if item.label == label and item.test]
        assert len(tests) == 9
        assert {item.test for item in drawn if item.label == label} == {True, False}
    by_group = {}
    for item in drawn:
        by_group.setdefault(item.group, set()).add(item.test)
    assert all(len(found) == 1 for found in by_group.values())
    assert draw_splits(sounds(), 0.3, 0, "x") == drawn
    assert draw_splits(sounds(), 0.3, 1, "x") != drawn


def test_a_group_with_two_classes_stays_in_one_split():
    for seed in range(20):
        shared = items(0, ["a"], group="g") + items(1, ["b"], group="g")
        others = items(0, "cdef") + items(1, "ghij")
        drawn = draw_splits(shared + others, 0.5, seed, "x")
        assert drawn[0].test == drawn[1].test


def test_what_is_known_stays_and_small_classes_are_trained_on():
    known = items(0, "ab", test=True) + items(0, "c", test=False)
    assert draw_splits(known, 0.5, 0, "x") == known
    assert [item.test for item in draw_splits(items(0, "a"), 0.9, 0, "x")] == [False]
    assert sorted(item.test for item in draw_splits(items(0, "ab"), 0.01, 0, "x")) == [False, True]
    assert sorted(item.test for item in draw_splits(items(0, "ab"), 0.99, 0, "x")) == [False, True]


def test_images_are_split_in_the_proportion_of_the_sounds():
    heard = items(0, map(str, range(8)), test=False) + items(0, ["8", "9"], test=True)
    seen = split_like(items(0, map(str, range(50))), heard, 0, "x")
    assert sum(item.test for item in seen) == 10
    with pytest.raises(DataError, match="x: class 0 has images in one split only"):
        split_like(items(0, "a"), heard, 0, "x")


def test_partners_are_of_the_class_and_used_about_as_often():
    first = items(0, map(str, range(10))) + items(1, map(str, range(7)))
    second = items(1, "ab") + items(0, "cdef")
    chosen = draw_partners(first, second, np.random.default_rng(0), "x")
    assert [item.label for item in chosen] == [0] * 10 + [1] * 7
    counts = {key: [item.key for item in chosen].count(key) for key in "abcdef"}
    assert {counts[key] for key in "cdef"} == {2, 3}
    assert {counts[key] for key in "ab"} == {3, 4}
    with pytest.raises(DataError, match="x: found nothing to pair 0 with"):
        draw_partners(first, items(1, "a"), np.random.default_rng(0), "x")


def test_names_must_be_the_same_on_both_sides():
    heard, seen = items(0, ["a/1.wav", "a/2.wav"]), items(0, ["a/2.png", "a/1.jpg"])
    assert [item.key for item in same_name(heard, seen)] == ["a/1.jpg", "a/2.png"]
    assert same_name(heard, seen[:1]) is None
    assert same_name(heard[:1], seen) is None
    assert same_name(heard, items(1, ["a/2.png", "a/1.jpg"])) is None
    assert same_name(heard, [*seen, *items(0, ["a/1.png"])]) is None
