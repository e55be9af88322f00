"""From events to frames and maps, on events that can be counted by hand, and as properties."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from misnet.datasets.media.events import Events, around, cochlea_maps, event_frames, first_events, time_bins


def events_of(t, x, y, p, height=4, width=5):
    x, y, p = (np.array(a, np.uint8) for a in (x, y, p))
    return Events(np.array(t, np.int64), x, y, p, height, width)


FOUR = events_of([10, 20, 30, 109], x=[0, 4, 4, 2], y=[0, 3, 3, 1], p=[1, 0, 0, 1])


def test_slices_of_equal_time_and_of_equal_count():
    t = np.array([10, 20, 30, 109])
    assert time_bins(t, 2).tolist() == [0, 0, 0, 1]
    assert time_bins(t, 2, "count").tolist() == [0, 0, 1, 1]
    assert time_bins(t, 10).tolist() == [0, 1, 2, 9]
    assert time_bins(np.array([7]), 3).tolist() == [0]
    assert time_bins(np.array([7, 7, 7]), 3, "count").tolist() == [0, 1, 2]
    for slicing in ("time", "count"):
        assert time_bins(np.zeros(0, np.int64), 3, slicing).shape == (0,)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50), st.integers(1, 20), st.sampled_from(["time", "count"])
)
def test_slices_go_up_and_stay_inside(times, bins, slicing):
    found = time_bins(np.sort(np.array(times, np.int64)), bins, slicing)
    assert found[0] == 0
    assert found[-1] < bins
    assert (np.diff(found) >= 0).all()
    if slicing == "count":
        assert np.ptp(np.bincount(found, minlength=bins)) <= 1


def test_frames_count_events_by_time_place_and_polarity():
    frames = event_frames(FOUR, 2)
    assert (frames.shape, frames.dtype) == ((2, 4, 5, 2), np.uint8)
    assert frames[0, 0, 0].tolist() == [0, 1]
    assert frames[0, 3, 4].tolist() == [2, 0]
    assert frames[1, 1, 2].tolist() == [0, 1]
    assert frames.sum() == 4
    merged = event_frames(FOUR, 2, polarity=False)
    np.testing.assert_array_equal(merged, frames.sum(axis=-1, keepdims=True))
    by_count = event_frames(FOUR, 2, "count")
    assert by_count.sum(axis=(1, 2, 3)).tolist() == [2, 2]


def test_frames_of_no_events_are_zero():
    none = events_of([], [], [], [])
    assert not event_frames(none, 3).any()
    assert len(first_events(none, 5)) == len(around(none, 2)) == 0


def test_maps_run_on_from_one_timestep_to_the_next():
    t, channel = np.array([0, 1, 2, 3, 4, 5, 6, 7]), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    maps = cochlea_maps(t, channel, channels=3, timesteps=2, columns=4)
    assert (maps.shape, maps.dtype) == ((2, 3, 4), np.uint8)
    assert maps[0].tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert maps[1].tolist() == [[0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]]


def test_the_first_part_of_a_recording():
    assert first_events(FOUR, 0.05).t.tolist() == [10, 20, 30]
    assert first_events(FOUR, 0.01).t.tolist() == [10]
    assert len(first_events(FOUR, 1000)) == 4


def test_a_square_around_the_median_stays_on_the_sensor():
    cut = around(events_of([0, 1, 2, 3], x=[4, 4, 4, 0], y=[3, 3, 3, 0], p=[0, 1, 0, 1]), 2)
    assert (cut.height, cut.width) == (2, 2)
    assert (cut.x.tolist(), cut.y.tolist(), cut.t.tolist()) == ([1, 1, 1], [1, 1, 1], [0, 1, 2])
    assert around(FOUR, 5) is FOUR  # as wide as the sensor, and higher
    square = events_of([0], [1], [1], [0], height=4, width=4)
    assert around(square, 4) is square


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: time_bins(np.zeros(1, int), 0), "bins: expected at least 1, found 0"),
        (lambda: event_frames(FOUR, 2, "rate"), "slicing: expected one of time, count, found 'rate'"),
        (lambda: first_events(FOUR, 0), "duration_ms: expected a positive number of milliseconds, found 0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16), (65_536, np.uint32)])
def test_counts_are_the_smallest_integers_that_hold_them(n, dtype):
    same = np.zeros(n, np.uint8)
    frames = event_frames(Events(np.arange(n), same, same, same, 2, 2), 1)
    maps = cochlea_maps(np.zeros(n, np.int64), same, 2, 1, 1)
    for counts in (frames, maps):
        assert counts.dtype == dtype
        assert counts.ravel()[0] == counts.sum(dtype=np.int64) == n


def test_a_square_of_a_large_sensor():
    events = Events(np.arange(3), np.array([300, 310, 320], np.uint16), np.array([5, 6, 7], np.uint16), None, 260, 346)
    cut = around(replace(events, p=np.ones(3, np.uint8)), 32)
    assert (cut.x.tolist(), cut.y.tolist(), cut.width) == ([6, 16, 26], [5, 6, 7], 32)
