"""Kernels in CUDA C on the double of CuPy, in three orders of threads, and under the race detector."""

import pytest

from tests.support import double
from tests.support.shim.build import compiler

ORDERS = {"rising": 0, "falling": 1, "shuffled": 5}


def pytest_collection_modifyitems(items):
    for item in items:
        if "races" in item.nodeid:
            item.add_marker(pytest.mark.slow)  # a second set of libraries is compiled for it


@pytest.fixture(params=[*ORDERS, "races"])
def gpu(request):
    """The double of cupy, with kernels run in one order, or with every access watched."""
    if compiler() is None:
        pytest.skip("the kernels run on the CPU through g++, which is not installed")
    with double.installed(race=request.param == "races", order=ORDERS.get(request.param, 0)) as cupy:
        yield cupy
