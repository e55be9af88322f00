"""Kernels in CUDA C: on a card where there is one, else on the double of CuPy.

On the double they run in three orders of threads, and under the race detector. On a card they run once, in memory
that is poisoned first, so that an entry nobody wrote is NaN. `SNNCORE_GPU_TESTS=double` takes the double there too.

Of a test with many cases a few, spread over them, run in falling order and under the race detector, which takes ten
times as long; all of them with SNNCORE_EXAMPLES=nightly.
"""

import ctypes
import os
from collections import defaultdict

import pytest

from snncore.backend import cupy_module, use_device
from snncore.kernels.cuda import module
from tests.support import double
from tests.support.double.ledger import events
from tests.support.shim.build import compiler

ORDERS = {"rising": 0, "falling": 1, "shuffled": 5}
SEVERAL, MOST = ("falling", "races"), 5  # ways in which no more than so many cases of a test run
POISON = 0xFF  # of floats, a NaN


def count_cards():
    """How many GPUs the driver finds; 0 without a driver. CuPy is not asked: importing it takes a second."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if found else 0


ON_CARD = os.environ.get("SNNCORE_GPU_TESTS") != "double" and count_cards() > 0


def pytest_report_header(config):
    return f"kernels in CUDA C: on {'a card' if ON_CARD else 'the double of CuPy'}"


def spread(cases, most):
    """At most so many of the cases, from the first to the last."""
    if len(cases) <= most:
        return cases
    return [cases[k * (len(cases) - 1) // (most - 1)] for k in range(most)]


def pytest_collection_modifyitems(config, items):
    thinned = defaultdict(list)
    for item in items:
        way = item.callspec.params.get("gpu") if hasattr(item, "callspec") else None
        if way in SEVERAL:
            thinned[way, item.nodeid.split("[")[0]].append(item)
        if way == "races":
            item.add_marker(pytest.mark.slow)  # a second set of libraries is compiled for it
    if os.environ.get("SNNCORE_EXAMPLES") == "nightly":
        return
    left = {item for cases in thinned.values() for item in set(cases) - set(spread(cases, MOST))}
    config.hook.pytest_deselected(items=sorted(left, key=items.index))
    items[:] = [item for item in items if item not in left]


class Counted:
    """A kernel that counts its launches as the double does, and is itself in all else."""

    def __init__(self, kernel):
        self.__dict__["kernel"] = kernel

    def __call__(self, *args, **keywords):
        events["launch"] += 1
        return self.kernel(*args, **keywords)

    def __getattr__(self, name):
        return getattr(self.kernel, name)

    def __setattr__(self, name, value):
        setattr(self.kernel, name, value)


def on_card(monkeypatch):
    """CuPy itself; every allocation is poisoned, every launch counted, and an error of the device ends its own test."""
    use_device("cuda")
    cupy = cupy_module()
    find = module._kernel
    monkeypatch.setattr(module, "_kernel", lambda *key: Counted(find(*key)))

    def poisoned(size):
        memory = cupy.get_default_memory_pool().malloc(size)
        if size:
            memory.memset_async(POISON, size)
        return memory

    with cupy.cuda.using_allocator(poisoned):
        yield cupy
        cupy.cuda.Device().synchronize()


@pytest.fixture(params=["card"] if ON_CARD else [*ORDERS, "races"])
def gpu(request, monkeypatch):
    """CuPy on a card, or its double with kernels run in one order, or with every access watched."""
    if request.param == "card":
        yield from on_card(monkeypatch)
        return
    if compiler() is None:
        pytest.skip("the kernels run on the CPU through g++, which is not installed")
    with double.installed(race=request.param == "races", order=ORDERS.get(request.param, 0)) as cupy:
        yield cupy
