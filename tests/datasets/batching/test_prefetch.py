"""Prefetched batches: the same bits in the same order, errors where they happened, and a thread that ends."""

import threading
import time

import pytest

from misnet.datasets import Augmentation, BatchIterator, Prefetch, load_dataset


def threads():
    return [t for t in threading.enumerate() if t.name == "prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert threads() == []
    yield
    assert threads() == []


class Numbers:
    """Batches that are numbers; `fail_at` raises, `made` counts."""

    def __init__(self, n, fail_at=None):
        self.n, self.fail_at, self.made = n, fail_at, 0

    def __len__(self):
        return self.n

    def epoch(self, number, start_batch=0):
        if start_batch > self.n:
            raise ValueError("start_batch")
        return self.generate(number, start_batch)

    def generate(self, number, start_batch):
        for k in range(start_batch, self.n):
            if k == self.fail_at:
                raise OSError(f"batch {k}")
            self.made += 1
            yield (number, k)


def test_batches_are_those_without_a_thread_bit_for_bit():
    data = load_dataset("dialpad", "test", timesteps=2, limit=50)
    batches = BatchIterator(data, 8, seed=3, augment=Augmentation(("flip", "crop", "timeshift", "specaugment"), 3))
    ahead = Prefetch(batches)
    assert len(ahead) == len(batches) == 7
    for number, start in ((0, 0), (1, 3)):
        for a, b in zip(batches.epoch(number, start), ahead.epoch(number, start), strict=True):
            for x, y in zip(a, b, strict=True):
                assert x.tobytes() == y.tobytes()


def test_no_more_than_asked_for_is_made_ahead():
    source = Numbers(50)
    batches = Prefetch(source, ahead=2).epoch(0)
    assert next(batches) == (0, 0)
    deadline = time.monotonic() + 60
    while source.made < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert source.made == 4  # the one taken, two that are ready, and one that waits for room
    batches.close()


def test_an_error_comes_after_the_batches_before_it():
    batches = Prefetch(Numbers(9, fail_at=3)).epoch(5)
    assert [next(batches) for _ in range(3)] == [(5, 0), (5, 1), (5, 2)]
    with pytest.raises(OSError, match="batch 3"):
        next(batches)


def test_a_wrong_start_is_an_error_at_once():
    with pytest.raises(ValueError, match="start_batch"):
        Prefetch(Numbers(3)).epoch(0, 4)
    with pytest.raises(ValueError, match="ahead: expected at least 1 batch, found 0"):
        Prefetch(Numbers(3), ahead=0)


def test_an_empty_rest_ends():
    assert list(Prefetch(Numbers(3)).epoch(0, 3)) == []


def test_leaving_early_ends_the_thread():
    for batch in Prefetch(Numbers(1000)).epoch(0):
        if batch == (0, 2):
            break
    source = Prefetch(Numbers(1000)).epoch(0)
    next(source)
    assert len(threads()) == 1
    with pytest.raises(KeyboardInterrupt):
        source.throw(KeyboardInterrupt())


def test_an_iterator_that_is_never_started_starts_no_thread():
    Prefetch(Numbers(3)).epoch(0)
    assert threads() == []
