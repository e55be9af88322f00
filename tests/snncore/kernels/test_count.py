"""Counting events: the compiled loop against plain array code, and against hand-worked numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snncore.kernels import reference
from snncore.kernels.count import analog_values, flat_events, pair_events, weighted_events
from snncore.kernels.cpu import count


def test_by_hand():
    x = np.array([[[1, 0], [2, 1]], [[0, 0], [3, 3]]], np.uint8)  # [M=2, P=2, C=2]
    weighted, plain = weighted_events(x, np.array([1, 10]))
    assert weighted.tolist() == [[11, 0], [10, 20], [20, 60], [2, 3]]
    assert plain.tolist() == [[2, 0], [1, 2], [2, 6], [2, 3]]


@settings(max_examples=5 * settings().max_examples)
@given(
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(1, 70) | st.sampled_from([8, 64, 760, 768, 776, 1600]),
    st.sampled_from([1, 1, 2, 3, 255]),
    st.integers(0, 2**32 - 1),
)
def test_compiled_equals_plain(images, pixels, channels, largest, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, largest + 1, (images, pixels, channels)).astype(np.uint8)
    if seed % 3 == 0:
        x[...] = largest
    weight = rng.integers(0, 9, pixels)
    np.testing.assert_array_equal(weighted_events(x, weight), reference.weighted_events(x, weight))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool])
def test_other_integers_and_views(dtype, rng):
    x = rng.integers(0, 2, (2, 3, 4)).astype(dtype)
    weight = np.array([1, 2, 3])
    expected = reference.weighted_events(x.astype(np.uint8), weight)
    np.testing.assert_array_equal(weighted_events(x, weight), expected)
    turned = np.asfortranarray(x.astype(np.uint8))
    np.testing.assert_array_equal(weighted_events(turned, weight), expected)


def test_negative_events_count_by_their_size():
    _, plain = weighted_events(np.array([[[-1, -2, 0, 1]]], np.int8), np.ones(1, np.int64))
    assert plain.ravel().tolist() == [2, 1, 2, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_analog_values_by_hand(dtype, turned):
    x = np.array([[0, 1, -1, 0.5, -0.0], [np.nan, 1, 1, -2, np.inf], [0, 0, 0, 0, 0]], dtype)
    x = np.asfortranarray(x) if turned else x
    assert analog_values(x).T.tolist() == [[3, 1, 1, 1], [5, 2, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(analog_values(x), reference.analog_values(x))
    assert analog_values(x[:0]).shape == (4, 0)


def test_many_channels_are_counted_in_parts(monkeypatch, rng):
    x = rng.integers(0, 4, (2, 1, 100)).astype(np.uint8)
    expected = weighted_events(x, np.ones(1, np.int64))
    monkeypatch.setattr(count, "CHUNK", 32)
    np.testing.assert_array_equal(weighted_events(x, np.ones(1, np.int64)), expected)


def test_a_count_that_might_not_fit_is_refused():
    with pytest.raises(OverflowError, match="smaller batches"):
        weighted_events(np.zeros((1, 1, 4), np.uint8), np.array([2**60]))


@settings(max_examples=2 * settings().max_examples)
@given(
    st.integers(1, 3), st.integers(0, 1700), st.sampled_from([1, 2, 3, 255]), st.integers(0, 2**32 - 1), st.booleans()
)
def test_words_at_a_time_equal_entries_one_by_one(cells, n, most, seed, whole):
    """Lengths that are no multiple of a word, that end inside a block, and lanes filled to the top."""
    rng = np.random.default_rng(seed)
    n = n // 8 * 8 if whole else n
    a, b = (rng.integers(0, most + 1, (cells, n)).astype(np.uint8) for _ in range(2))
    if seed % 3 == 0:
        a[...] = most
    expected = [[(row == 1).sum(), (row > 1).sum(), row[row > 1].sum(dtype=int), row.max(initial=0)] for row in a]
    assert flat_events(a).T.tolist() == expected
    pairs = [
        [((x > 0) & (y > 0)).sum(), (x > 0).sum() + (y > 0).sum(), (x > 1).sum() + (y > 1).sum()]
        for x, y in zip(a, b, strict=True)
    ]
    assert pair_events(a, b).T.tolist() == pairs
    assert pair_events(a.astype(np.int32), b).T.tolist() == pairs
