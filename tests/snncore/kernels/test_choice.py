"""Which kernels run."""

import numpy as np
import pytest

from snncore import BackendError
from snncore.firing import Firing
from snncore.functions import LIF
from snncore.kernels import kernels_for, reference


def test_reference_kernels_may_be_forced(monkeypatch):
    for choice in ("auto", "reference"):
        monkeypatch.setenv("SNNCORE_KERNELS", choice)
        module = kernels_for(np.ones(2))
        assert module.lif_forward(np.array([[1.0]]), None, Firing())[0].tolist() == [[1]]
    assert module is reference


@pytest.mark.parametrize("choice", ["fast", "", "Reference"])
def test_kernels_that_are_none_are_refused_with_what_is_expected(monkeypatch, choice):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    with pytest.raises(BackendError, match=f"SNNCORE_KERNELS: expected one of auto, .*reference.*, found {choice!r}"):
        LIF()(np.ones((2, 1)))
