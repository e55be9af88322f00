"""Events of a neuromorphic sensor, and from events to one frame or map for each timestep."""

from dataclasses import dataclass

import numpy as np

from misnet.datasets.media.spectrogram import standardise
from snncore.nearest import one_of

__all__ = [
    "SLICINGS",
    "VALUES",
    "Events",
    "around",
    "cochlea_maps",
    "event_frames",
    "event_values",
    "first_events",
    "time_bins",
    "whole_counts",
]

SLICINGS = ("time", "count")
VALUES = ("log", "count", "binary")


@dataclass(frozen=True)
class Events:
    """What a vision sensor of `height` x `width` pixels sent, in the order of time.

    t: int32 or int64 [n], microseconds. x, y: uint8 [n], or uint16 for a sensor of more than 256 pixels a side, column
    and row from the upper left. p: uint8 [n], 1 for a pixel that got brighter (ON), 0 for one that got darker (OFF).
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.t)


def first_events(events: Events, duration_ms: float) -> Events:
    """Return the events of the first `duration_ms` milliseconds after the first one; raises ValueError below 0."""
    if not duration_ms > 0:
        raise ValueError(f"duration_ms: expected a positive number of milliseconds, found {duration_ms}")
    if not len(events):
        return events
    n = int(np.searchsorted(events.t, events.t[0] + duration_ms * 1000, side="left"))
    return Events(events.t[:n], events.x[:n], events.y[:n], events.p[:n], events.height, events.width)


def time_bins(t: np.ndarray, bins: int, slicing: str = "time") -> np.ndarray:
    """Return which of `bins` consecutive slices each event falls into.

        "time"   b[i] = floor(bins * (t[i] - t[0]) / (t[n-1] - t[0] + 1))     slices of equal duration
        "count"  b[i] = floor(bins * i / n)                                   slices of equally many events

    The first event opens the first slice and the last one closes the last.
    t: int [n], in the order of time. Returns int64 [n] from 0 to bins - 1.
    Raises ValueError for another slicing and for `bins` below 1.
    """
    if slicing not in SLICINGS:
        raise ValueError(f"slicing: {one_of(slicing, SLICINGS)}")
    if bins < 1:
        raise ValueError(f"bins: expected at least 1, found {bins}")
    if slicing == "count":
        return np.arange(len(t), dtype=np.int64) * bins // max(1, len(t))
    if not len(t):
        return np.zeros(0, np.int64)
    since_first = t.astype(np.int64) - int(t[0])
    return since_first * bins // (int(since_first[-1]) + 1)


def event_frames(events: Events, timesteps: int, slicing: str = "time", polarity: bool = True) -> np.ndarray:
    """Return how many events each pixel sent in each of T slices of the recording.

        F[b, y, x, p] = number of events i with time_bins(t)[i] = b, y_i = y, x_i = x, p_i = p

    `polarity=False` adds OFF and ON up, to one channel.
    Returns the smallest of uint8, uint16 and uint32 that holds the counts, [T, height, width, 2 or 1], T = `timesteps`.
    Raises ValueError as `time_bins` does.
    """
    channels = 2 if polarity else 1
    shape = (timesteps, events.height, events.width, channels)
    place = time_bins(events.t, timesteps, slicing)
    place *= events.height
    place += events.y
    place *= events.width
    place += events.x
    place *= channels
    if polarity:
        place += events.p
    return whole_counts(np.bincount(place, minlength=int(np.prod(shape)))).reshape(shape)


def event_values(counts: np.ndarray, values: str) -> np.ndarray:
    """Return counts as what a network sees, C-contiguous, of the same shape.

        "log"     log(1 + count), standardised to mean 0 and variance 1 over the whole: float32
        "count"   as they are: counts that are integers stay so, averages of counts are float32
        "binary"  1 where there was any, else 0: uint8

    Integers are events, which a network accumulates and an audit counts as such; floats are multiplied.
    Raises ValueError for another `values`.
    """
    if values not in VALUES:
        raise ValueError(f"values: {one_of(values, VALUES)}")
    if values == "binary":
        return np.ascontiguousarray(counts > 0).view(np.uint8)
    if values == "log":
        counts = standardise(np.log1p(counts, dtype=np.float32), axis=tuple(range(counts.ndim)))
    return np.ascontiguousarray(counts, dtype=np.float32 if counts.dtype.kind == "f" else None)


def whole_counts(x: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0, of any type, as the smallest of uint8, uint16 and uint32 that holds them."""
    return x.astype(np.min_scalar_type(int(x.max(initial=0))))


def cochlea_maps(
    t: np.ndarray, channel: np.ndarray, channels: int, timesteps: int, columns: int, slicing: str = "time"
) -> np.ndarray:
    """Return how many spikes each channel of a silicon cochlea sent, over time, for each timestep.

    The recording is cut into T * `columns` slices (`time_bins`), of which each timestep gets `columns` in a row: time
    goes on from the last column of a timestep to the first of the next.

    t: int [n], microseconds, in the order of time. channel: int [n], 0 to `channels` - 1.
    Returns the smallest of uint8, uint16 and uint32 that holds the counts, [T, channels, columns], T = `timesteps`.
    Raises ValueError as `time_bins` does.
    """
    column = time_bins(t, timesteps * columns, slicing)
    counts = np.bincount(column * channels + channel, minlength=timesteps * columns * channels)
    # [T, columns, channels] -> [T, channels, columns]
    return np.ascontiguousarray(whole_counts(counts).reshape(timesteps, columns, channels).swapaxes(1, 2))


def around(events: Events, side: int) -> Events:
    """Return the events inside the square of `side` pixels around their median, moved to its upper left corner.

    The square is shifted to lie within the sensor; a `side` as large as the sensor changes nothing.
    """
    height, width = min(side, events.height), min(side, events.width)
    if not len(events) or (height, width) == (events.height, events.width):
        return events
    top = min(max(int(np.median(events.y)) - height // 2, 0), events.height - height)
    left = min(max(int(np.median(events.x)) - width // 2, 0), events.width - width)
    inside = (events.y >= top) & (events.y < top + height) & (events.x >= left) & (events.x < left + width)
    t, x, y, p = (a[inside] for a in (events.t, events.x, events.y, events.p))
    return Events(t, x - x.dtype.type(left), y - y.dtype.type(top), p, height, width)
