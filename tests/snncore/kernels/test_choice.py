"""Which kernels run."""

import threading

import numpy as np
import pytest

from snncore import BackendError
from snncore.functions import LIF
from snncore.kernels import choice as choice_module
from snncore.kernels import cpu, kernels_for, reference
from snncore.kernels.choice import (
    arithmetic,
    arithmetic_choice,
    kernel_choice,
    tensor_cores,
    tensor_cores_choice,
    use_kernels,
)


@pytest.mark.parametrize(
    ("choice", "module"), [("auto", cpu), ("event", cpu), ("dense", cpu), ("reference", reference)]
)
def test_a_set_of_kernels_may_be_forced(monkeypatch, choice, module):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    assert kernels_for(np.ones(2)) is module
    monkeypatch.delenv("SNNCORE_KERNELS")
    assert kernels_for(np.ones(2)) is cpu
    with use_kernels(choice):
        assert kernels_for(np.ones(2)) is module
        assert kernel_choice() == choice
    assert kernels_for(np.ones(2)) is cpu


def test_what_a_thread_chooses_comes_before_the_variable_and_holds_for_that_thread(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "dense")
    elsewhere = []
    with use_kernels("reference"):
        thread = threading.Thread(target=lambda: elsewhere.append(kernel_choice()))
        thread.start()
        thread.join()
        assert kernel_choice() == "reference"
        with use_kernels(None):
            assert kernel_choice() == "dense"
    assert elsewhere == ["dense"]


def test_kernels_of_a_block_that_are_none_are_refused():
    with pytest.raises(BackendError, match=r"use_kernels: expected one of auto, .*, found 'fast'"):
        use_kernels("fast")


@pytest.mark.parametrize(("value", "module"), [("1", reference), ("0", cpu), ("", cpu)])
def test_without_numbas_compiler_the_reference_runs(monkeypatch, capsys, value, module):
    monkeypatch.setattr(choice_module, "_said", False)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
    assert [kernels_for(np.ones(2)) for _ in range(2)] == [module] * 2
    assert capsys.readouterr().err.count("NUMBA_DISABLE_JIT is set") == (module is reference)


@pytest.mark.parametrize("choice", ["fast", "", "Reference"])
def test_kernels_that_are_none_are_refused_with_what_is_expected(monkeypatch, choice):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    with pytest.raises(BackendError, match=f"SNNCORE_KERNELS: expected one of auto, .*reference.*, found {choice!r}"):
        LIF()(np.ones((2, 1)))


def test_the_arithmetic_is_that_of_the_thread_or_else_of_the_variable(monkeypatch):
    monkeypatch.delenv("SNNCORE_ARITHMETIC", raising=False)
    assert arithmetic_choice() == "float32"
    monkeypatch.setenv("SNNCORE_ARITHMETIC", "exact")
    assert arithmetic_choice() == "exact"
    elsewhere = []
    with arithmetic("float32"):
        thread = threading.Thread(target=lambda: elsewhere.append(arithmetic_choice()))
        thread.start()
        thread.join()
        assert arithmetic_choice() == "float32"
        with arithmetic(None):
            assert arithmetic_choice() == "exact"
    assert elsewhere == ["exact"]


def test_an_arithmetic_that_is_none_is_refused(monkeypatch):
    with pytest.raises(BackendError, match=r"arithmetic: expected one of float32, exact, found 'int8'"):
        arithmetic("int8")
    monkeypatch.setenv("SNNCORE_ARITHMETIC", "Exact")
    with pytest.raises(BackendError, match=r"SNNCORE_ARITHMETIC: expected one of float32, exact, found 'Exact'"):
        arithmetic_choice()


def test_tensor_cores_are_chosen_in_a_block_else_by_the_environment(monkeypatch):
    monkeypatch.delenv("SNNCORE_TENSOR_CORES", raising=False)
    assert tensor_cores_choice() == "auto"
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "off")
    with tensor_cores("on"):
        assert tensor_cores_choice() == "on"
        with tensor_cores(None):
            assert tensor_cores_choice() == "off"
    assert tensor_cores_choice() == "off"
    with pytest.raises(BackendError, match="tensor_cores: expected one of auto, on, off, found 'exact'"):
        tensor_cores("exact")
