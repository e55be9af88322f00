"""What is said when a part of the GPU's software is missing, and how a device is chosen when nothing is."""

import builtins
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from snncore import BackendError, backend, to_device
from snncore.backend import cupy_module, memory_message, parse_device, use_device
from tests.support import double
from tests.support.double import device, functions, ledger, truth
from tests.support.double.array import ndarray

INSTALL = 'install it with: pip install -e ".[cuda]"'


@pytest.fixture(autouse=True)
def _no_cuda_here(monkeypatch):
    """Whatever this machine has: no driver, no installed CuPy."""
    monkeypatch.setattr(backend, "driver_version", lambda: 0)
    monkeypatch.setattr(backend, "_is_installed", lambda distribution: False)


@pytest.fixture(autouse=True)
def _probe_again():
    cupy_module.cache_clear()
    before = os.environ.get("CUPY_TF32")
    yield
    cupy_module.cache_clear()
    os.environ.pop("CUPY_TF32", None)
    if before is not None:
        os.environ["CUPY_TF32"] = before


@pytest.fixture
def modules(monkeypatch):
    """The double's modules, to be broken."""
    made = double.make_modules()
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def fails(error):
    def call(*_, **__):
        raise error

    return call


def said():
    """The one sentence."""
    with pytest.raises(BackendError) as caught:
        parse_device("cuda")
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # no traceback of CuPy's above it
    assert parse_device("auto") == ("cpu", 0)
    return text


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert said() == f'device "cuda": CuPy is not installed; {INSTALL}'


@pytest.mark.parametrize(
    ("driver", "extra"), [(0, "cuda"), (11080, "cuda"), (12090, "cuda12"), (13000, "cuda13"), (14010, "cuda13")]
)
def test_the_driver_says_which_cupy_to_install(monkeypatch, driver, extra):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "driver_version", lambda: driver)
    monkeypatch.setattr(backend, "_is_installed", lambda distribution: True)  # of another environment: not asked
    assert said() == f'device "cuda": CuPy is not installed; install it with: pip install -e ".[{extra}]"'


def test_a_broken_cupy_is_mended_and_no_second_one_put_beside_it(monkeypatch, modules):
    monkeypatch.setattr(backend, "driver_version", lambda: 13000)
    monkeypatch.setattr(backend, "_is_installed", lambda distribution: distribution == "cupy-cuda12x")
    modules["cupy"].ones = fails(RuntimeError("Failure finding libnvrtc.so"))
    assert said().endswith('install it with: pip install -e ".[cuda12]"')


def test_the_extras_that_the_hints_name_are_there():
    text = (Path(backend.__file__).parents[1] / "pyproject.toml").read_text()
    for version, extra in backend.EXTRAS.items():
        assert f'{extra} = [\n    "cupy-cuda{version}x[ctk]>=14"' in text
    assert 'cuda = ["snncore[cuda12]"]' in text


def test_only_the_device_that_is_asked_for_is_tried(modules, monkeypatch):
    tried, real = [], modules["cupy"].cuda.Device
    monkeypatch.setattr(modules["cupy"].cuda, "Device", lambda index: tried.append(index) or real(index))
    for _ in range(2):
        assert parse_device("cuda:1") == ("cuda", 1)
    assert tried == [1]
    assert parse_device("auto") == ("cuda", 0)
    assert tried == [1, 0]


def test_a_cupy_that_cannot_be_imported(monkeypatch):
    real = builtins.__import__

    def broken(name, *rest):
        if name == "cupy":
            raise ImportError("libcudart.so.12: cannot open shared object file\nmore", name="cupy_backends")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    expected = "CuPy cannot be imported (libcudart.so.12: cannot open shared object file)"
    assert said() == f'device "cuda": {expected}; {INSTALL}'


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (35, "there is no NVIDIA driver, or one too old for it; install NVIDIA's current driver"),
        (100, "the driver finds no NVIDIA GPU"),
        (999, "the CUDA driver does not answer: cudaErrorUnknown: unknown error"),
    ],
)
def test_no_driver_or_device(modules, status, text):
    error = device.CUDARuntimeError(status, "cudaErrorUnknown: unknown error\nsee the log")
    modules["cupy"].cuda.runtime.getDeviceCount = fails(error)
    assert text in said()


def test_no_devices_at_all(modules):
    modules["cupy"].cuda.runtime.getDeviceCount = lambda: 0
    assert said() == 'device "cuda": CuPy is installed but no CUDA device was found'


def test_a_missing_library(modules):
    modules["cupy"].ones = fails(RuntimeError("Failure finding libnvrtc.so: tried\n  a\n  b"))
    assert said() == (
        'device "cuda": there is a device, but a library of CUDA is missing or fails '
        f"(Failure finding libnvrtc.so: tried); {INSTALL}"
    )


def test_a_device_that_computes_wrongly(modules):
    modules["cupy"].ones = lambda shape, dtype: functions.full(shape, 2, dtype)
    assert said() == 'device "cuda": there is a device, but it computes wrongly: 12 came out as 36.0'


@pytest.mark.skipif(truth.real is None, reason="CuPy is not installed")
def test_the_installed_cupy_on_a_machine_without_a_gpu():
    if truth.real.cuda.is_available():
        pytest.skip("there is a GPU")
    assert said().startswith('device "cuda": CuPy is installed but ')


def test_devices_by_name(modules):
    assert parse_device("auto") == parse_device("cuda") == ("cuda", 0)
    assert parse_device("cuda:1") == ("cuda", 1)
    with pytest.raises(BackendError, match=r"device 'cuda:2': found 2 CUDA device\(s\)"):
        parse_device("cuda:2")
    assert isinstance(to_device(np.ones(2), "cuda"), ndarray)


def test_a_device_is_made_the_current_one_with_its_limit(modules):
    assert use_device("cuda:1", memory_limit=0.5) == "cuda:1"
    assert device.Device.current == 1
    assert ledger.pool["limit"] == 2**29
    assert os.environ["CUPY_TF32"] == "0"
    use_device("cuda:0", tf32=True)
    assert (device.Device.current, os.environ["CUPY_TF32"]) == (0, "1")
    ledger.clear()


def test_the_cpu_takes_the_options_and_does_not_need_them():
    assert use_device("cpu", memory_limit=1, tf32=True) == "cpu"


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="memory-limit: expected a positive number of GiB, found"):
        use_device("cpu", memory_limit=limit)


def test_running_out_of_gpu_memory_says_what_was_asked_and_what_to_lower(modules):
    use_device("cuda", memory_limit=1 / 1024)
    with pytest.raises(MemoryError) as caught:
        functions.zeros((1024, 1024), np.float32)
    ledger.clear()
    assert memory_message(caught.value) == (
        "out of GPU memory: 4 MiB were asked for with 0 MiB of a limit of 1 MiB in use; "
        "lower --batch-size, --size or --timesteps, or raise --memory-limit"
    )


def test_running_out_of_memory_on_the_cpu():
    text = memory_message(MemoryError("Unable to allocate 8.00 TiB for an array"))
    assert text == "out of memory: Unable to allocate 8.00 TiB for an array; lower --batch-size, --size or --timesteps"


def test_the_words_of_the_true_cupy_are_understood():
    kind = types.new_class("OutOfMemoryError", (MemoryError,))
    kind.__module__ = "cupy.cuda.memory"
    error = kind("Out of memory allocating 3,221,225,472 bytes (allocated so far: 1,048,576 bytes).")
    assert memory_message(error).startswith("out of GPU memory: 3,072 MiB were asked for with 1 MiB in use; lower")
