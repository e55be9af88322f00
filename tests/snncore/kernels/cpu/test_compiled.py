"""The decorator of compiled kernels."""

import numpy as np
import pytest

from snncore import BackendError
from snncore.kernels.cpu import cache
from snncore.kernels.cpu.compiled import Kernel

OPTIONS = {"error_model": "numpy"}


def doubled(x):
    return 2 * x


inner = Kernel(doubled, False, OPTIONS)


def over_zero(x):
    return inner(x) / 0.0


@pytest.fixture(autouse=True)
def cache_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_said", set())


def test_a_kernel_may_call_another_and_divide_by_zero():
    assert Kernel(over_zero, False, OPTIONS)(3.0) == np.inf
    assert inner(4) == 8


def test_a_kernel_called_directly_without_the_compiler_is_refused(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(BackendError, match="NUMBA_DISABLE_JIT is set"):
        Kernel(doubled, False, OPTIONS)(1)
