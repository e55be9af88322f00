"""Batches folded together answer what the calls of all batches would; and memory does not grow with them."""

import dataclasses
import functools
import gc
import tracemalloc
import warnings

import numpy as np
import pytest

from snncore import CostError, OpCount, Ops, Tensor, at_timestep, count_ops, nn, no_grad
from snncore import functions as F
from snncore.context import context
from snncore.energy import RULES, apply_rule, energy_by_sample, load_prices
from snncore.energy.samples import BY_SAMPLE
from snncore.opcount import fold
from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import Facts
from snncore.opcount.fold import ADDED, Call
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


@functools.cache
def folded_and_plain(name):
    """The same batches folded, and call by call."""
    folded = joined(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ops, "_begun", lambda self, calls, samples: None)
        plain = joined(name)
    assert max(call.times for call in folded.calls) >= 4
    assert max(call.times for call in plain.calls) == 1
    return folded, plain


@pytest.fixture(params=ZOO)
def both(request):
    return folded_and_plain(request.param)


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
    for name in ADDED & {field.name for field in dataclasses.fields(Facts)}:
        sums = [sum(getattr(facts, name) or 0 for _, facts in ops.facts()) for ops in both]
        assert sums[0] == pytest.approx(sums[1], rel=1e-12), name


def test_every_rule_reads_folded_batches_as_it_reads_their_calls(both):
    """A new field of Facts that adds up over calls must be named in ADDED, or a rule that reads it fails here."""
    for rule in RULES:
        folded, plain = (apply_rule(rule, ops) for ops in both)
        assert (folded.mac, folded.ac) == pytest.approx((plain.mac, plain.ac), rel=1e-12)
        assert folded.notes == plain.notes
        assert folded.pj.keys() == plain.pj.keys()
        for layer, parts in plain.pj.items():
            assert dict(folded.pj[layer]) == pytest.approx(dict(parts), rel=1e-12), (rule, layer)
        assert folded.extra.keys() == plain.extra.keys()
        for name, value in plain.extra.items():
            assert folded.extra[name] == (value if isinstance(value, list) else pytest.approx(value, rel=1e-12))


def test_a_field_that_adds_up_and_is_not_added_is_caught(monkeypatch):
    _, plain = folded_and_plain("images")
    monkeypatch.setattr(fold, "_sum", lambda a, b: a)
    wrong = joined("images")
    assert apply_rule("lemaire", wrong).energy_mj < 0.9 * apply_rule("lemaire", plain).energy_mj


@pytest.mark.parametrize("name", ["images", "tokens"])
@pytest.mark.filterwarnings("ignore:by_")
def test_without_details_sums_stay_and_what_is_gone_is_refused(name):
    folded, plain = joined(name, details=False), folded_and_plain(name)[1]
    assert folded.totals() == plain.totals()
    for column in COLUMNS:
        assert folded.by_sample(column) == plain.by_sample(column), column
        for layer in plain.layers():
            assert folded.by_timestep(column, layer) == plain.by_timestep(column, layer), (column, layer)
    for rule in BY_SAMPLE:
        ours, exact = (energy_by_sample(rule, ops, load_prices()) for ops in (folded, plain))
        np.testing.assert_allclose(ours, exact, rtol=1e-12)
    layer = next(layer for layer, row in plain.layers().items() if row["spikes"])
    for ask in (folded.by_sample, folded.table):
        with pytest.raises(CostError, match=r"spikes by sample .* expected Ops\(details=True\), found details=False"):
            ask("spikes", layer)


@pytest.mark.parametrize("rule", BY_SAMPLE)
@pytest.mark.parametrize("name", ["images", "tokens", "analog", "loop"])
def test_the_energy_of_each_sample_is_that_of_a_run_of_it_alone(name, rule):
    network, x, axis, timesteps = made(name, np.random.default_rng(0), n=3)
    alone = []
    for i in range(3):
        with no_grad(), count_ops(samples=1, timesteps=timesteps) as one:
            network(Tensor(x.take([i], axis)))
        alone.append(apply_rule(rule, one).energy_mj)
    with no_grad(), count_ops(samples=3, timesteps=timesteps) as ops:
        network(Tensor(x))
    found = energy_by_sample(rule, ops, load_prices())
    assert found.sum() == pytest.approx(apply_rule(rule, ops).energy_mj, rel=1e-12)
    shared = 3 if name in ("images", "loop") else 0  # the decay of a PLIF: once a call, not once a sample
    np.testing.assert_allclose(found, alone, rtol=1e-12 if not shared else 1e-3)
    assert energy_by_sample("syops", ops, load_prices()) is None


def test_calls_that_someone_took_away_stay_away():
    ops = joined("images")
    ops.calls = [call for call in ops.calls if call.function == "Conv2d"]
    ops.extend(next(batches("images")))
    assert {call.function for call in ops.calls if call.times > 1} == {"Conv2d"}
    assert ops.samples == 14
    assert len(ops.by_sample("dense_mac")) == 14


def test_other_calls_and_untold_samples_are_not_folded():
    w = np.ones((4, 2))
    ops = Ops()
    ops.batches = 0
    for n, twice in ((2, False), (2, True), (None, False), (2, False), (2, False)):
        with count_ops(samples=n) as one:
            F.Linear()(np.ones((3, n or 2, 4), np.uint8), w)
            if twice:
                F.Linear()(np.ones((3, n, 4), np.uint8), w)
        ops.extend(one)
    assert [(call.batch, call.times) for call in ops.calls] == [(0, 1), (1, 1), (1, 1), (2, 1), (3, 2)]
    assert ops.by_sample("ac_binary") == [24] * 2 + [48] * 2 + [24] * 6
    assert ops.samples is None  # of one batch nobody said it


def test_counts_beyond_64_bits_are_not_folded():
    one = Ops(samples=1)
    one.calls = [Call("a", "Op", OpCount((1, 1), mac=np.array([[2**61]])), None, 0)]
    ops = Ops()
    ops.batches = 0
    for _ in range(3):
        ops.extend(one)
    assert ops.totals()["mac"] == 3 * 2**61
    assert ops.by_sample("mac") == [2**61] * 3


def test_batches_inside_one_block_fold_too():
    network, x, *_ = made("images", np.random.default_rng(0), n=2)
    with no_grad(), count_ops(samples=2) as ops:
        for _ in range(4):
            network(Tensor(x))
    assert (ops.samples, ops.batches, len(ops.by_sample("spikes"))) == (8, 4, 8)
    assert max(call.times for call in ops.calls) == 3  # the last batch may go on


def test_a_long_block_keeps_no_arrays_of_batches_that_are_over():
    network, x, *_ = made("images", np.random.default_rng(0), n=2)
    with no_grad(), count_ops(samples=2) as ops:
        recorder = context.observers[-1]
        for _ in range(6):
            network(Tensor(x))
            gc.collect()
        kept = len(recorder.arrays), len(recorder.seen)
    assert ops.batches == 6
    assert kept[0] <= 30  # of one batch, whose calls are 12
    assert kept[1] == 1


def test_two_forwards_of_told_and_untold_samples():
    """Told how many samples a forward sees, the next one begins a batch; untold, nothing by sample is claimed."""
    network, x, *_ = made("images", np.random.default_rng(0), n=2)
    with no_grad(), count_ops() as ops:
        for _ in range(2):
            network(Tensor(x))
    assert (ops.samples, energy_by_sample("exact", ops, load_prices())) == (None, None)
    with no_grad(), count_ops(samples=2) as told:
        for _ in range(2):
            network(Tensor(x))
    assert told.totals() == ops.totals()
    one, two = np.split(energy_by_sample("exact", told, load_prices()), 2)
    assert one.tolist() == two.tolist()


def test_what_is_once_a_call_resolves_or_is_in_unresolved():
    """Of every column: what the timesteps have and what is unresolved are the total, folded or not."""
    w = np.ones((4, 2), np.float32)
    for folds in (1, 3):
        ops = Ops()
        ops.batches = 0
        for _ in range(folds):
            with count_ops(samples=3) as one:
                for t in range(2):
                    with at_timestep(t):
                        F.Linear()(np.ones((3, 4), np.uint8), w)
                F.Linear()(np.ones((3, 4), np.uint8), w)
            ops.extend(one)
        for column, total in ops.totals().items():
            left = ops.unresolved(column)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert sum(ops.by_timestep(column)) + left == total, column
                assert sum(ops.by_sample(column)) + ops.unresolved(column, by="sample") == total, column
        assert ops.unresolved("weight_bytes_once") == 32 * folds


@pytest.mark.slow
@pytest.mark.parametrize(("details", "most"), [(False, 120), (True, 700)])
def test_memory_does_not_grow_with_batches(details, most):
    """Bytes a sample, over 400 batches; calls kept whole took 15 times as much."""
    one = next(batches("images"))
    ops = Ops(details=details)
    ops.batches = 0
    tracemalloc.start()
    try:
        for _ in range(100):
            ops.extend(one)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(400):
            ops.extend(one)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(ops.calls) == len(one.calls)
    assert grown / (400 * 2) < most


def in_one_block(name, **options):
    network, x, axis, timesteps = made(name, np.random.default_rng(0), n=sum(SIZES))
    pruned = [p for _, p in network.named_parameters() if p.data.ndim > 1]
    for parameter in pruned:
        parameter.data.reshape(-1)[::3] = 0  # zeros that must be found in each of them
    with no_grad(), count_ops(timesteps=timesteps, **options) as ops:
        for end, n in zip(np.cumsum(SIZES), SIZES, strict=True):
            ops.next_batch(samples=n)
            network(Tensor(x.take(range(end - n, end), axis)))
    ops.fold()
    return ops, network, (x, axis)


@pytest.mark.parametrize("name", ZOO)
def test_what_is_found_once_in_a_network_that_stays_as_it_is_is_what_is_found_at_every_call(name):
    (fixed, *_), (anew, *_) = in_one_block(name, fixed=True), in_one_block(name)
    assert fixed.layers() == anew.layers()
    assert list(fixed.layers()) == list(anew.layers())
    assert fixed.facts() == anew.facts()
    assert anew.totals()["ac_zero_weight"] + anew.totals()["mac_zero_weight"] > 0


def test_a_network_that_changes_in_spite_of_what_was_said_is_counted_as_it_was(rng):
    """The negative: it shows that `fixed` keeps what it found, and that without it nothing is kept."""
    found = {}
    for fixed in (False, True):
        layer = nn.Linear(4, 3, rng=rng)
        with no_grad(), count_ops(samples=2, fixed=fixed) as ops:
            for zeros in (0, 4):
                layer.weight.data[0, :zeros] = 0
                layer(Tensor(np.ones((1, 2, 4), np.uint8)))
                ops.next_batch()
        found[fixed] = ops.totals()["ac_zero_weight"]
    assert found == {False: 2 * 3, True: 0}
