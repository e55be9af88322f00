"""Batches folded together answer what the calls of all batches would; and memory does not grow with them."""

import numpy as np
import pytest

from snncore import CostError, Ops, Tensor, at_timestep, count_ops, no_grad
from snncore import functions as F
from snncore.energy import RULES, apply_rule
from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import Facts
from snncore.opcount.fold import ADDED
from tests.snncore.opcount.networks import ZOO, made

SIZES = (2, 2, 3, 2, 2, 1)  # samples of each batch


def batches(name):
    network, x, axis, timesteps = made(name, np.random.default_rng(0), n=sum(SIZES))
    for end, n in zip(np.cumsum(SIZES), SIZES, strict=True):
        with no_grad(), count_ops(samples=n, timesteps=timesteps) as ops:
            network(Tensor(x.take(range(end - n, end), axis)))
        yield ops


def joined(name, **options):
    ops = Ops(**options)
    ops.batches = 0
    for batch in batches(name):
        ops.timesteps = batch.timesteps
        ops.extend(batch)
    return ops


@pytest.fixture(params=ZOO)
def both(request, monkeypatch):
    """The same batches folded, and call by call."""
    folded = joined(request.param)
    monkeypatch.setattr(Ops, "_folded", lambda self, calls, samples: None)
    plain = joined(request.param)
    assert max(call.times for call in folded.calls) >= 4
    assert max(call.times for call in plain.calls) == 1
    return folded, plain


@pytest.mark.filterwarnings("ignore:by_")
def test_folded_batches_answer_as_their_calls_do(both):
    folded, plain = both
    assert (folded.samples, folded.batches) == (plain.samples, plain.batches) == (12, 6)
    assert folded.totals() == plain.totals()
    assert folded.layers() == plain.layers()
    assert list(folded.layers()) == list(plain.layers())
    for layer in (None, *plain.layers()):
        for column in COLUMNS:
            if not plain.totals(layer)[column]:
                continue
            assert folded.by_sample(column, layer) == plain.by_sample(column, layer), (column, layer)
            assert folded.by_timestep(column, layer) == plain.by_timestep(column, layer), (column, layer)
            assert folded.table(column, layer).tolist() == plain.table(column, layer).tolist(), (column, layer)
            for by in ("timestep", "sample"):
                assert folded.unresolved(column, layer, by) == plain.unresolved(column, layer, by), (column, layer)
    for name in ADDED & vars(plain.calls[0].cost.facts[0] if plain.calls[0].cost.facts else Facts("", "", 0, 0)).keys():
        sums = [sum(getattr(facts, name) for _, facts in ops.facts()) for ops in both]
        assert sums[0] == pytest.approx(sums[1], rel=1e-12), name


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_reads_folded_batches_as_it_reads_their_calls(both, rule):
    """A new field of Facts that adds up over calls must be named in ADDED, or a rule that reads it fails here."""
    folded, plain = (apply_rule(rule, ops) for ops in both)
    assert (folded.mac, folded.ac) == pytest.approx((plain.mac, plain.ac), rel=1e-12)
    assert folded.notes == plain.notes
    assert folded.pj.keys() == plain.pj.keys()
    for layer, parts in plain.pj.items():
        assert dict(folded.pj[layer]) == pytest.approx(dict(parts), rel=1e-12), layer
    assert folded.extra == pytest.approx(plain.extra, rel=1e-12) if folded.extra else not plain.extra
