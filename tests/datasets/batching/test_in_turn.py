"""Whole batches dealt to ranks: together those of one process, in its order, with the same arrays."""

import itertools

import numpy as np
import pytest

from misnet.datasets import BatchIterator, load_dataset
from misnet.datasets.batching.in_turn import InTurn


@pytest.fixture(scope="module")
def data():
    return load_dataset("dialpad", "test", timesteps=2, size=8, limit=11)


@pytest.mark.parametrize(("ranks", "size", "shuffle"), [(1, 4, False), (2, 4, True), (3, 2, False), (4, 6, False)])
def test_dealt_batches_are_those_of_one_process(data, ranks, size, shuffle):
    options = {"shuffle": shuffle, "seed": 3}
    whole = list(BatchIterator(data, size, **options).epoch(1))
    dealt = [InTurn(data, size, rank=rank, ranks=ranks, **options) for rank in range(ranks)]
    assert [each.batches for each in dealt] == [len(whole)] * ranks
    rounds = itertools.zip_longest(*(each.epoch(1) for each in dealt))
    found = [batch for of_round in rounds for batch in of_round if batch is not None]
    assert [len(each) for each in dealt] == [len(range(rank, len(whole), ranks)) for rank in range(ranks)]
    assert len(found) == len(whole)
    for batch, right in zip(found, whole, strict=True):
        for x, y in zip(batch, right, strict=True):
            np.testing.assert_array_equal(x, y)
    assert [each.samples_in(k) for each in dealt for k in range(len(each))] == [
        len(batch.labels) for rank in range(ranks) for batch in whole[rank::ranks]
    ]


def test_going_on_within_an_epoch(data):
    (last,) = InTurn(data, 2, shuffle=False, rank=1, ranks=2).epoch(0, start_batch=2)
    np.testing.assert_array_equal(last.labels, data.labels[10:11])
