"""Batches arrive on the device in order and whole, copied ahead, and nothing waits for them on the host."""

import numpy as np
import pytest

from snncore.upload import upload_ahead
from tests.support import double
from tests.support.double import ledger


def batches(n, log=None):
    for k in range(n):
        if log is not None:
            log.append(k)
        yield np.full((2, 3), k, np.float32), np.full(2 if k == 3 else 4, k)  # the shapes may change


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_every_batch_arrives_in_order(gpu, n):
    arrived = [tuple(x.buffer.copy() for x in batch) for batch in upload_ahead(batches(n), "cuda")]
    assert len(arrived) == n
    for got, expected in zip(arrived, batches(n), strict=True):
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_array_equal(g, e)


def test_the_next_copy_is_begun_before_a_batch_is_given_out_and_nothing_waits(gpu):
    taken = []
    for k, _ in enumerate(upload_ahead(batches(4, taken), "cuda")):
        assert taken == list(range(min(k + 2, 4)))
    assert set(ledger.events) == {"h2d_async"}
    assert ledger.events["h2d_async"] == 8


def test_an_array_that_is_kept_is_not_overwritten_by_later_batches(gpu):
    kept = [batch[0] for batch in upload_ahead(batches(5), "cuda")]
    assert [float(x.buffer[0, 0]) for x in kept] == [0, 1, 2, 3, 4]


def test_a_pinned_buffer_is_not_filled_again_before_it_was_copied(gpu):
    from snncore.upload import _Uploader

    uploader = _Uploader()
    begun = [uploader.begin(batch) for batch in batches(3)]  # nobody waited for the first
    assert ledger.events["sync"] == 1
    assert [float(arrays[0].buffer[0, 0]) for arrays, _ in begun[:1]] == [0]


def test_on_the_cpu_batches_are_not_taken_ahead():
    taken = []
    for k, (x, _) in enumerate(upload_ahead(batches(3, taken), "cpu")):
        assert taken == list(range(k + 1))
        assert isinstance(x, np.ndarray)
