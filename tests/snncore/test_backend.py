"""Which array module, which kernels, which device."""

import sys

import numpy as np
import pytest

from snncore import BackendError, Tensor, to_device
from snncore.backend import array_module, asnumpy, cupy_module, parse_device


def test_numpy_arrays_numbers_and_nothing_belong_to_numpy():
    assert array_module() is np
    assert array_module(np.ones(2), np.float32(1), 3, None) is np


def test_asnumpy_of_a_numpy_array_is_the_array_itself():
    x = np.ones(2)
    assert asnumpy(x) is x
    assert to_device(x, "cpu") is x


def test_asnumpy_takes_the_result_of_any_operation():
    mean = asnumpy((Tensor(np.array([1.0, 3.0])).mean() * 2.0).data)  # NumPy makes scalars of results without axes
    assert isinstance(mean, np.ndarray)
    assert mean.tolist() == 4.0


@pytest.mark.parametrize(
    "device", ["gpu", "", "cpu:0", "cpu:", "cuda:", "cuda:x", "cuda:-1", "CPU", "auto:1", "cuda:0:1"]
)
def test_a_device_that_is_none_is_refused_with_what_is_expected(device):
    with pytest.raises(ValueError, match=f"device: expected auto, cpu, cuda or cuda:<index>, found {device!r}"):
        parse_device(device)


def test_the_cpu_is_always_there():
    assert parse_device("cpu") == ("cpu", 0)


@pytest.fixture
def without_cupy(monkeypatch):
    """As if CuPy were not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy_module.cache_clear()
    yield
    cupy_module.cache_clear()


@pytest.mark.usefixtures("without_cupy")
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert parse_device("auto") == ("cpu", 0)
    x = np.ones(2)
    assert to_device(x, "auto") is x


@pytest.mark.usefixtures("without_cupy")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_cuda_without_cupy_gives_one_sentence_with_the_install_command(device):
    with pytest.raises(BackendError) as caught:
        to_device(np.ones(2), device)
    message = 'device "cuda": CuPy is not installed; install it with: pip install -e ".[cuda]"'
    assert str(caught.value) == message
    assert caught.value.__suppress_context__  # no import traceback above it
