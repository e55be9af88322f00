"""What a rehearsal notes, and what is compiled of it, in which order."""

import numpy as np
import pytest

from snncore.kernels.cpu import cache
from snncore.kernels.cpu.ahead import at_first_miss, compile_backwards, rehearse
from snncore.kernels.cpu.claims import Taken
from snncore.kernels.cpu.compiled import Kernel


@pytest.fixture(autouse=True)
def cache_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_said", set())
    return tmp_path


def first(x, by):
    x[0] += by


def second(x):
    x[0] = 1


@pytest.fixture
def kernels():
    return Kernel(first, False, {}), Kernel(second, False, {})


def test_a_rehearsal_notes_kernels_and_types_once_and_runs_none(kernels, cache_of_the_test):
    one, two = kernels
    run = Kernel.__call__
    x, kept = np.ones(3), np.ones(2)
    kept.flags.writeable = False

    def work():
        assert one(x, 2) == 0
        one(x, 3)
        two(x.astype(np.float32))
        two(kept)
        one(x, 2.0)
        raise ValueError("what follows from zeros")

    found = [(kernel.function, *map(str, types)) for kernel, types in rehearse(work)]
    assert found == [
        (first, "array(float64, 1d, C)", "int64"),
        (second, "array(float32, 1d, C)"),
        (second, "readonly array(float64, 1d, C)"),
        (first, "array(float64, 1d, C)", "float64"),
    ]
    assert (x.tolist(), kept.tolist()) == ([0, 0, 0], [1, 1])
    assert Kernel.__call__ is run
    assert list(cache_of_the_test.rglob("*.nb?")) == []


def test_the_last_is_compiled_first_and_what_another_compiles_is_left(kernels, monkeypatch):
    one, two = kernels
    x = np.zeros(1)
    calls = rehearse(lambda: (one(x, 1), two(x), one(x, 1.0)))
    order = []
    load = cache.KernelCache.load_overload

    def noted(self, sig, context):
        order.append((self._impl.filename_base.split("-")[0], str(sig[-1])))
        if "second" in order[-1][0]:
            raise Taken("second")
        return load(self, sig, context)

    monkeypatch.setattr(cache.KernelCache, "load_overload", noted)
    assert compile_backwards(calls) == 2
    assert [name for name, _ in order] == ["test_ahead.first", "test_ahead.second", "test_ahead.first"]
    assert [order[0][1], order[2][1]] == ["float64", "int64"]
    assert [len(kernel.dispatcher.signatures) for kernel in kernels] == [2, 0]


def test_the_first_kernel_that_is_not_kept_is_told_of_once(kernels):
    one, two = kernels
    told = []
    with at_first_miss(lambda: told.append("a")):
        two(np.zeros(1))
        one(np.zeros(1), 1)
    assert told == ["a"]
    with at_first_miss(lambda: told.append("b")):
        Kernel(second, False, {})(np.zeros(1))  # as another process would find it
    assert told == ["a"]
    assert cache.missed is None
    Kernel(second, False, {})(np.zeros(1, np.float32))
    assert told == ["a"]
