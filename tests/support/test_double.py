"""The double refuses what CuPy refuses, counts what would wait, and is like NumPy otherwise."""

import sys

import numpy as np
import pytest

from tests.support import double
from tests.support.double import ledger, truth
from tests.support.shim.build import compiler
from tests.support.shim.kernel import LaunchError

needs_truth = pytest.mark.skipif(truth.real is None, reason=truth.MISSING)
f32 = np.float32


@pytest.fixture
def cp():
    with double.installed() as cupy:
        yield cupy


MIXTURES = {
    "np.asarray": lambda cp, a, n: np.asarray(a),
    "np.add": lambda cp, a, n: np.add(a, a),
    "host + device": lambda cp, a, n: n + a,
    "device + host": lambda cp, a, n: a + n,
    "np.sum": lambda cp, a, n: np.sum(a),
    "assignment": lambda cp, a, n: a.__setitem__(..., n),
    "cp.add": lambda cp, a, n: cp.add(a, n),
    "out on the device": lambda cp, a, n: np.matmul(n, n, out=a),
    "out on the host": lambda cp, a, n: cp.add(a, a, out=n),
    "memoryview": lambda cp, a, n: memoryview(a),
    "np.stack": lambda cp, a, n: np.stack([a, a]),
    "a list in a ufunc": lambda cp, a, n: cp.add(a, [1.0, 2.0]),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_host_and_device_do_not_mix(cp, name):
    with pytest.raises(TypeError):
        MIXTURES[name](cp, cp.ones(2, f32), np.ones(2, f32))


@needs_truth
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda cp, a: cp.vecdot(a, a), AttributeError),
        (lambda cp, a: cp.sum(a, where=True), TypeError),
        (lambda cp, a: a.sum(initial=0), TypeError),
        (lambda cp, a: a.any(where=True), TypeError),
        (lambda cp, a: cp.exp(a, where=True), TypeError),
    ],
)
def test_what_the_true_cupy_does_not_have_is_refused(cp, call, error):
    with pytest.raises(error):
        call(cp, cp.ones(4, f32))


@needs_truth
def test_signatures_of_methods_are_read_from_their_docstrings():
    assert list(truth.method_signature("sum").parameters) == ["self", "axis", "dtype", "out", "keepdims"]
    assert list(truth.method_signature("reshape").parameters) == ["self", "shape", "order", "copy"]


WAITS = {
    "float": ("sync", lambda cp, a: float(a.sum())),
    "bool": ("sync", lambda cp, a: bool((a > 0).all())),
    "item": ("sync", lambda cp, a: a[0].item()),
    "mask": ("sync", lambda cp, a: a[a > 0]),
    "nonzero": ("sync", lambda cp, a: cp.nonzero(a)),
    "get": ("d2h", lambda cp, a: a.get()),
    "asnumpy": ("d2h", lambda cp, a: cp.asnumpy(a)),
    "asarray": ("h2d", lambda cp, a: cp.asarray(np.ones(2))),
    "a number as an array": ("h2d", lambda cp, a: cp.asarray(0.5, f32)),
    "set": ("h2d", lambda cp, a: a.set(np.ones(4, f32))),
    "a table of addresses": ("h2d", lambda cp, a: cp.concatenate([a] * 9)),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_or_copies_is_counted_and_refused_while_capturing(cp, name):
    kind, call = WAITS[name]
    a = cp.ones(4, f32)
    ledger.clear()
    call(cp, a)
    assert ledger.events == {kind: 1}
    stream = cp.cuda.Stream(non_blocking=True)
    with stream, cp.cuda.using_allocator(cp.cuda.MemoryPool().malloc):
        stream.begin_capture()
        with pytest.raises(RuntimeError, match=f"{kind} while a stream is capturing"):
            call(cp, a)
        stream.end_capture()


def test_what_does_not_wait_is_not_counted(cp):
    a = cp.ones((4, 3), f32)
    ledger.clear()
    b = cp.full((), 0.5, f32) * a + cp.arange(3, dtype=f32)
    b[1:] += a[:3]
    assert b.sum().shape == ()  # an array still, where NumPy has a number
    assert cp.concatenate([a] * 8).shape == (32, 3)
    assert ledger.events == {}


def test_fresh_memory_is_poisoned(cp):
    assert np.isnan(cp.empty(3, f32).get()).all()
    assert cp.empty((), np.int32).get() == -1


def test_repeated_indices_in_an_assignment_are_refused(cp):
    with pytest.raises(IndexError, match="repeated indices"):
        cp.zeros(4)[cp.asarray(np.array([1, 1]))] = 2.0


def test_live_bytes_and_their_peak(cp):
    used = ledger.pool["used"]
    a = cp.zeros(1000, f32)
    b = a + 1
    assert ledger.pool["used"] - used == pytest.approx(8000, abs=200)
    del a, b
    assert ledger.pool["used"] == used
    assert ledger.pool["peak"] - used == pytest.approx(8000, abs=200)


def test_the_limit_of_memory(cp):
    cp.get_default_memory_pool().set_limit(size=ledger.pool["used"] + 1000)
    cp.zeros(100, f32)
    with pytest.raises(ledger.OutOfMemoryError, match=r"Out of memory allocating 4,128 bytes .*limit set to: "):
        cp.zeros(1000, f32)


def test_a_copy_on_a_stream_happens_when_somebody_waits_for_it(cp):
    host = np.ones(1)
    pinned = __import__("cupyx").empty_pinned(3, f32)
    pinned[:] = 1, 2, 3
    stream, a = cp.cuda.Stream(non_blocking=True), cp.zeros(3, f32)
    ledger.clear()
    a.set(pinned, stream=stream)
    event = stream.record()
    assert a.buffer.tolist() == [0, 0, 0]
    pinned[0] = 9  # too early: it shows
    cp.cuda.get_current_stream().wait_event(event)
    assert a.buffer.tolist() == [9, 2, 3]
    assert ledger.events == {"h2d_async": 1}
    cp.zeros(1).set(host, stream=stream)
    assert ledger.events["h2d"] == 1  # not from pinned memory: it waits


@pytest.mark.skipif(compiler() is None, reason="g++ is not installed")
def test_what_a_kernel_writes_beyond_its_array_is_found(cp, tmp_path):
    code = 'extern "C" __global__ void f(float* x, const int n) { if (threadIdx.x < n) x[threadIdx.x] = 1.0f; }'
    compiled, _ = cp.cuda.compiler.compile_using_nvrtc(code, ())
    (tmp_path / "f.cubin").write_bytes(compiled)
    kernel = cp.RawModule(path=str(tmp_path / "f.cubin")).get_function("f")
    kernel((1,), (64,), (cp.empty(32, f32), np.int32(32)))
    with pytest.raises(LaunchError, match="wrote outside an allocation"):
        kernel((1,), (64,), (cp.empty(32, f32), np.int32(33)))
    with pytest.raises(TypeError, match=r"a numpy\.ndarray as an argument"):
        kernel((1,), (64,), (np.empty(32, f32), np.int32(32)))
    with pytest.raises(TypeError, match="options must be a tuple"):
        cp.cuda.compiler.compile_using_nvrtc(code, ["-O1"])


def test_a_pool_of_its_own_counts_what_arrays_use_and_keeps_its_blocks(cp):
    asked, used = [], ledger.pool["used"]
    pool = cp.cuda.MemoryPool(lambda size: asked.append(size) or cp.cuda.Memory(size))
    with cp.cuda.using_allocator(pool.malloc):
        a = cp.zeros(100, f32)
        view = a[1:]
        b = a + 1
    assert pool.used_bytes() == pool.total_bytes() == sum(asked) == pytest.approx(800, abs=200)
    del a, b
    assert pool.used_bytes() == pytest.approx(400, abs=130)  # the view
    assert pool.total_bytes() == sum(asked)
    del view
    pool.free_all_blocks()
    assert pool.total_bytes() == 0
    assert ledger.pool["used"] == used


def test_arrays_that_die_in_a_recording_leave_their_memory_to_the_next(cp):
    pool, stream, a = cp.cuda.MemoryPool(), cp.cuda.Stream(non_blocking=True), cp.ones(100, f32)
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        b = a + 1
        for _ in range(5):
            b = cp.sqrt(b * b)
        graph = stream.end_capture()
    assert pool.total_bytes() <= 3 * 528
    graph.launch(stream)
    assert b.get().tolist() == [2.0] * 100


def test_a_graph_is_not_launched_over_what_was_put_into_its_memory_since(cp):
    pool, stream, a = cp.cuda.MemoryPool(), cp.cuda.Stream(non_blocking=True), cp.ones(3, f32)
    with stream, cp.cuda.using_allocator(pool.malloc):
        before = cp.zeros(3)
        stream.begin_capture()
        b = a + 1
        graph = stream.end_capture()
        graph.launch(stream)
        since = cp.zeros(3)
        with pytest.raises(RuntimeError, match="1 arrays lie in memory that this graph may write to"):
            graph.launch(stream)
        del since
        graph.launch(stream)
    assert (before.get() == 0).all()
    assert b.get().tolist() == [2, 2, 2]


def test_what_the_device_has_is_shared_by_the_pools(cp):
    pool = cp.cuda.MemoryPool()
    ledger.pool["device"] = ledger.pool["held"] + 2000
    with cp.cuda.using_allocator(pool.malloc):
        a = cp.zeros(300, f32)
        with pytest.raises(ledger.OutOfMemoryError):
            cp.zeros(300, f32)
    with pytest.raises(ledger.OutOfMemoryError, match=r"Out of memory allocating 1,328 bytes"):
        cp.zeros(300, f32)
    del a
    pool.free_all_blocks()
    cp.zeros(300, f32)


def test_what_is_imported_meanwhile_stays_and_the_double_goes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "first_seen_inside.py").write_text("")
    before = {name: sys.modules.get(name) for name in ("cupy", "cupy.cuda", "cupyx")}
    with double.installed() as cupy:
        import first_seen_inside

        assert sys.modules["cupy"] is cupy
    assert sys.modules.pop("first_seen_inside") is first_seen_inside
    assert {name: sys.modules.get(name) for name in before} == before
