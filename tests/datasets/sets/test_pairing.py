"""Drawing splits a group at a time, and partners of the same class."""

import time
from pathlib import Path

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.media.sources import FrameFolder
from misnet.datasets.sets.pairing import Item, draw_partners, draw_splits, namesakes, split_like


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


def test_names_that_are_the_same_on_both_sides_are_pairs():
    heard, seen = items(0, ["a/1.wav", "a/2.wav"]), items(0, ["a/2.png", "a/1.jpg"])
    found = namesakes(heard, seen)
    assert keys(found) == ["a/1.wav a/1.jpg", "a/2.wav a/2.png"]
    assert found.odd == []
    assert found.note() is None
    assert namesakes(heard, items(1, ["a/2.png", "a/1.jpg"])).pairs == []


def keys(found):
    return [f"{sound.key} {image.key}" for sound, image in found.pairs]


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        (lambda heard, seen: seen.pop(3), ["3.wav"]),
        (lambda heard, seen: heard.pop(3), ["3.png"]),
        (lambda heard, seen: seen.extend(items(0, ["3 (1).png"])), ["3 (1).png"]),
        (lambda heard, seen: seen.extend(items(0, ["3.jpg"])), ["3.jpg"]),
        (lambda heard, seen: heard.extend(items(0, ["x.wav", "y.wav"])), ["x.wav", "y.wav"]),
    ],
)
def test_one_file_that_is_missing_or_too_many_leaves_the_other_pairs_alone(change, odd):
    heard, seen = items(0, [f"{k}.wav" for k in range(10)]), items(0, [f"{k}.png" for k in range(10)])
    change(heard, seen)
    found = namesakes(heard, seen)
    assert keys(found) == [f"{k}.wav {k}.png" for k in range(10) if f"{k}.wav" not in odd and f"{k}.png" not in odd]
    assert [item.key for item in found.odd] == odd
    assert found.are_pairs
    assert found.note().endswith(f"left out {len(odd)} without a partner of their name: {', '.join(odd)}")


def test_few_names_in_common_are_chance():
    heard = items(0, [f"{k}.wav" for k in range(20)])
    half, fewer = (namesakes(heard, items(0, [f"{k}.png" for k in range(20 - n, 40 - n)])) for n in (10, 9))
    assert (len(half.pairs), half.are_pairs) == (10, True)
    assert (len(fewer.pairs), fewer.are_pairs) == (9, False)
    assert "at random within their class: only 9 names are on both sides (11.wav is one)" in fewer.note()
    assert "no names are the same" in namesakes(heard, items(0, ["a.png"])).note()


def test_names_are_compared_in_one_unicode_form():
    heard, seen = items(0, ["caf\u00e9.wav", "tea.wav"]), items(0, ["cafe\u0301.png", "tea.png"])
    assert keys(namesakes(heard, seen)) == ["caf\u00e9.wav cafe\u0301.png", "tea.wav tea.png"]


def test_names_that_differ_in_case_alone_are_the_same_unless_others_fit_better():
    heard, seen = items(0, ["Clip1.WAV", "a.wav", "A.wav"]), items(0, ["clip1.PNG", "A.png", "a.png"])
    assert keys(namesakes(heard, seen)) == ["Clip1.WAV clip1.PNG", "a.wav a.png", "A.wav A.png"]


def test_a_sound_for_training_and_an_image_for_testing_are_no_pair():
    heard = items(0, ["1.wav"], test=False) + items(0, ["2.wav"])
    found = namesakes(heard, items(0, ["1.png", "2.png"], test=True))
    assert keys(found) == ["2.wav 2.png"]
    assert [item.key for item in found.odd] == ["1.wav", "1.png"]


def test_a_folder_of_frames_has_no_ending():
    frames = FrameFolder((Path("1.png"),))
    seen = [Item(frames, 0, "a/clip.1"), Item(frames, 0, "a/clip.2")]
    assert keys(namesakes(items(0, ["a/clip.2.wav", "a/clip.1.wav"]), seen)) == [
        "a/clip.2.wav a/clip.2",
        "a/clip.1.wav a/clip.1",
    ]


def test_splits_of_many_are_drawn_in_time_that_grows_with_their_number():
    started = time.process_time()
    drawn = draw_splits(items(0, map(str, range(50_000))), 0.2, 0, "x")
    assert time.process_time() - started < 5  # 25 s when each group was counted among all
    assert sum(item.test for item in drawn) == 10_000
