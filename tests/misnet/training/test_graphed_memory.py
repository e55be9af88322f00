"""Memory of recorded steps, on the double: as much as launched ones take, within the limit; and what if it is short."""

import gc

import numpy as np
import pytest

from misnet.training.graphed import DISTURBED, OTHER_BITS, SHORT, WARM_UP
from misnet.training.graphed_passes import GraphedPasses
from misnet.training.step import Totals, evaluate, train_step
from snncore.capture import Recorder
from snncore.kernels.cuda import gemm
from snncore.recorded_memory import Blocks, free_shared, peak_bytes, pool_bytes
from tests.misnet.tiny import make_batch
from tests.misnet.training.gpu_step import on_device
from tests.misnet.training.test_graphed import Both, gpu, small
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
__all__ = ["gpu"]
ON = "CUDA graph: on: a recorded step leaves the same bits as one that is launched kernel by kernel"


@pytest.fixture(autouse=True)
def small_workspace(monkeypatch):
    monkeypatch.setattr(gemm, "WORKSPACE", 1024)  # of cuBLAS; its 32 MiB would hide all else


def steps(both, samples, start=0):
    for k, n in enumerate(samples, start):
        both.step(k, n)


def off(why):
    return [f"CUDA graph: off: {why}"]


def training_bytes(graph, gpu):
    """Most bytes of all pools in an epoch of training and evaluation, beside those before; those left; and the room."""
    both = Both(small(size=8))
    model, optimizer = both.models[1], both.optimizers[1]
    batches = [on_device(make_batch(both.config, n, seed=n), "cuda") for n in (6, 6, 6, 6, 3)]
    gc.collect()
    free_shared()
    peak_bytes(anew=True)
    before, totals = ledger.pool["used"], Totals()
    assert (ledger.pool["held"], pool_bytes()) == (before, 0)
    for k, batch in enumerate(batches):
        if graph:
            both.graphed.step(1e-2, batch, totals, k)
        else:
            train_step(model, optimizer, 1e-2, batch, totals, k)
    passes = GraphedPasses(model, both.lines.append, both.graphed.recorder) if graph else None
    evaluate(model, batches, "cuda", passes=passes)
    assert [" on: " in line for line in both.lines] == [True] * (2 * graph)
    room = both.graphed.recorder.room if graph else 0
    return peak_bytes() - before, gpu.get_default_memory_pool().total_bytes() + pool_bytes() - before, room


def test_recorded_steps_take_as_much_as_launched_ones(gpu):
    launched, left, _ = training_bytes(False, gpu)
    assert launched == left > 80_000
    recorded, left, room = training_bytes(True, gpu)
    assert recorded <= 1.15 * launched + room  # which is taken for a moment, to see that it is there
    assert left <= 1.15 * launched


def test_both_pools_together_stay_within_the_limit(gpu):
    shared, both = gpu.get_default_memory_pool(), Both(small())
    limit = ledger.pool["used"] + 400_000
    shared.set_limit(size=limit)
    steps(both, (3, 3, 3, 3))
    assert both.lines == [ON]
    assert pool_bytes() > 10_000
    assert shared.get_limit() == limit - pool_bytes()
    assert shared.total_bytes() + pool_bytes() <= peak_bytes() <= limit
    del both.graphed
    gc.collect()
    assert shared.get_limit() == limit


def test_a_limit_that_launched_steps_do_not_fit_in_ends_as_without_a_graph(gpu):
    both = Both(small())
    gpu.get_default_memory_pool().set_limit(size=ledger.pool["used"] + 8_000)
    with pytest.raises(ledger.OutOfMemoryError, match="limit set to"):
        both.graphed.step(1e-2, on_device(make_batch(both.config), "cuda"), both.totals[1], 0)
    assert both.lines == off(SHORT)


@pytest.mark.parametrize("at", [0, WARM_UP])
def test_a_launched_step_that_finds_no_memory_is_done_anew_without_recordings(gpu, monkeypatch, at):
    both, take = Both(small()), Blocks._take
    steps(both, [3] * at)
    taken = []

    def once(self, size):  # enough for a forward pass, which changes statistics, and not for all
        taken.append(size)
        return take(self, size) if sum(taken) < 15_000 else None

    if at:
        both.graphed.recorder.pool.free_all_blocks()
    monkeypatch.setattr(Blocks, "_take", once)
    steps(both, [3] * 3, at)
    assert sum(taken) > 15_000
    assert both.lines == off(SHORT)
    assert ledger.events["graph"] == pool_bytes() == 0


def record_on_a_device_of(size, monkeypatch):
    """While a step is recorded, let the device have as many bytes as `size` says for the recorder."""
    record = Recorder.record

    def short(self, work):
        ledger.pool["device"] = size(self)
        try:
            return record(self, work)
        finally:
            ledger.pool["device"] = 0

    monkeypatch.setattr(Recorder, "record", short)


def test_a_recording_that_finds_no_memory_is_given_up_with_the_step_done_once(gpu, monkeypatch):
    both = Both(small())

    def size(recorder):
        recorder.pool.free_all_blocks()
        return gpu.get_default_memory_pool().total_bytes() + recorder.pool.total_bytes() + 15_000

    record_on_a_device_of(size, monkeypatch)
    steps(both, [3] * (WARM_UP + 2))
    assert both.lines == off(SHORT)
    assert ledger.events["graph"] == 0


def test_a_recording_leaves_room_for_checkpoints(gpu, monkeypatch):
    both = Both(small())

    def size(recorder):
        assert recorder.room > 2 * both.optimizers[1].flat.w.nbytes
        return ledger.pool["used"] + recorder.pool.total_bytes() + recorder.room // 2

    record_on_a_device_of(size, monkeypatch)
    steps(both, [3] * (WARM_UP + 2))
    assert both.lines == off(SHORT)


def test_a_larger_batch_that_finds_no_memory_beside_a_recording_takes_its_place(gpu):
    both = Both(small())
    steps(both, [3] * (WARM_UP + 1))
    batch = on_device(make_batch(both.config, 12, seed=1), "cuda")
    ledger.clear()
    used = ledger.pool["used"]
    expected = train_step(both.models[0], both.optimizers[0], 1e-2, batch, both.totals[0], 9, seed=4)
    gpu.get_default_memory_pool().free_all_blocks()
    needed = ledger.pool["peak"] - used
    ledger.pool["device"] = ledger.pool["used"] + needed + both.graphed.recorder.held // 2
    assert both.graphed.step(1e-2, batch, both.totals[1], 9, seed=4) == expected
    ledger.pool["device"] = 0
    both.compare()
    assert both.lines == [ON, *off(SHORT)]


def test_an_evaluation_that_finds_no_memory_has_all_recordings_forgotten(gpu, monkeypatch):
    both = Both(small())
    steps(both, [3] * (WARM_UP + 1))
    passes = GraphedPasses(both.models[1], both.lines.append, both.graphed.recorder)
    batches = [on_device(make_batch(both.config, n), "cuda") for n in (12, 12)]
    expected = evaluate(both.models[0], batches, "cuda")
    monkeypatch.setattr(Blocks, "_take", lambda self, size: None)
    assert evaluate(both.models[1], batches, "cuda", passes=passes) == expected
    assert pool_bytes() == 0
    steps(both, [3, 3], 5)
    assert both.lines == [ON, f"CUDA graph of the evaluation: off: {SHORT}", *off(SHORT)]


def test_steps_that_cannot_be_recorded_find_no_less_memory_for_recorded_evaluation(gpu):
    both = Both(small())
    both.graphed._give_up("for the test")
    passes = GraphedPasses(both.models[1], both.lines.append)
    batch = on_device(make_batch(both.config), "cuda")
    evaluate(both.models[1], [batch] * 3, "cuda", passes=passes)
    assert ledger.events["graph"] == 2
    assert (ledger.pool["held"], pool_bytes()) > (ledger.pool["used"], 0)
    ledger.clear()
    used = ledger.pool["used"]
    expected = train_step(both.models[0], both.optimizers[0], 1e-2, batch, both.totals[0], 0)
    gpu.get_default_memory_pool().free_all_blocks()
    needed = ledger.pool["peak"] - used
    ledger.pool["device"] = ledger.pool["used"] + needed + pool_bytes() // 2
    assert both.graphed.step(1e-2, batch, both.totals[1], 0) == expected
    ledger.pool["device"] = 0
    both.compare()
    evaluate(both.models[1], [batch], "cuda", passes=passes)
    assert both.lines[2:] == [f"CUDA graph of the evaluation: off: {SHORT}"]


def test_an_array_that_a_launched_step_leaves_is_not_written_over(gpu, monkeypatch):
    both, left = Both(small()), []
    steps(both, [3] * (WARM_UP + 1))
    model = both.models[1]
    loss = model.loss
    monkeypatch.setattr(
        model, "loss", lambda s, labels: (left.append(s["av"].data + 1), loss(s, labels))[1], raising=False
    )
    both.step(3, n=2)
    kept = left[0].get()
    both.step(4)
    assert both.lines == [ON, *off(DISTURBED)]
    np.testing.assert_array_equal(left[0].get(), kept)


def test_a_recorded_step_that_alone_is_not_finite_leaves_what_the_launched_one_did(gpu, monkeypatch):
    both = Both(small())
    again = both.graphed._again

    def broken(recording, lr, batch, *rest):
        return again(recording, lr, [x * np.float32(np.nan) if x.dtype.kind == "f" else x for x in batch], *rest)

    monkeypatch.setattr(both.graphed, "_again", broken)
    steps(both, [3] * (WARM_UP + 2))
    assert both.lines == off(OTHER_BITS)


def test_steps_of_a_second_run_have_a_recorder_of_their_own(gpu):
    first, second = Both(small()), Both(small())
    steps(first, [3] * (WARM_UP + 1))
    steps(second, [3] * (WARM_UP + 1))
    steps(first, [3], WARM_UP + 1)
    assert first.lines == second.lines == [ON]
