"""Counts that ranks share are those of one process: every column, by layer and by sample, and what every rule reads."""

import itertools

import numpy as np
import pytest

from misnet.audit.on_ranks import count_on_ranks
from misnet.audit.report import count_batches
from misnet.training.totals import count_correct
from snncore.energy import ON_REQUEST, OWN_TABLES, RULES, apply_rule, load_prices
from snncore.opcount.columns import COLUMNS
from tests.misnet.tiny import lively, tiny_config
from tests.misnet.tiny_run import Batches
from tests.support.ranks import on_ranks

CONFIG = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3)
SAMPLES = 7


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch):
    """The compiled ones may not run on two threads at once."""
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")


def batches(size):
    return Batches(CONFIG, SAMPLES, size, shuffle=False)


@pytest.mark.parametrize(("ranks", "size"), [(3, 2), (2, 7)])  # batches of 2, 2, 2 and 1, or one alone
def test_counts_of_ranks_are_those_of_one_process(ranks, size):
    right = {}

    def tally(scores, labels):
        for head, n in count_correct(scores, labels).items():
            right[head] = right.get(head, 0) + int(n)

    ops = count_batches(lively(CONFIG), batches(size).epoch(0), seen=tally)

    def work(comm):
        mine = itertools.islice(batches(size).epoch(0), comm.rank, None, comm.size)
        return count_on_ranks(lively(CONFIG), mine, len(batches(size)), comm)

    for found, correct in on_ranks(ranks, work):
        assert correct == right
        assert found.samples == SAMPLES
        assert found.totals() == ops.totals()
        assert found.layers() == ops.layers()
        assert [found.by_timestep(name) for name in ("spikes", "ac_binary")] == [
            ops.by_timestep(name) for name in ("spikes", "ac_binary")
        ]
        for name in COLUMNS:
            if not ops.unresolved(name, by="sample"):
                assert found.by_sample(name) == ops.by_sample(name), name
        assert found.facts() == ops.facts()
        for rule in RULES | ON_REQUEST:
            prices = load_prices(OWN_TABLES.get(rule, "horowitz-45nm-fp32"))
            ours, theirs = (apply_rule(rule, x, prices) for x in (found, ops))
            assert (ours.mac, ours.ac, ours.energy_mj) == (theirs.mac, theirs.ac, theirs.energy_mj), rule


def test_a_batch_that_is_lost_is_seen():
    """Negative: one that a rank left out is in no sum."""

    def work(comm):
        mine = list(itertools.islice(batches(3).epoch(0), comm.rank, None, comm.size))
        return count_on_ranks(lively(CONFIG), mine[:1], 2, comm)[0].samples

    assert on_ranks(2, work) == [6, 6]
    assert np.sum([6, 1]) == SAMPLES
