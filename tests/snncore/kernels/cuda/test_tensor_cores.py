"""Which cards are to use their tensor cores in float32 arithmetic."""

import pytest

from snncore.backend import BackendError
from snncore.kernels.choice import use_kernels
from snncore.kernels.cuda import tensor_cores
from tests.support import double


@pytest.mark.parametrize(
    ("choice", "card", "pays", "expected"),
    [
        ("auto", "90", True, True),
        ("auto", "90", False, False),
        ("auto", "80", True, False),  # not seen
        ("auto", "100", True, False),
        ("on", "86", True, True),
        ("on", "86", False, True),
        ("on", "75", True, False),  # cannot
        ("off", "90", True, False),
    ],
)
def test_what_is_asked_for_and_what_the_card_is(monkeypatch, choice, card, pays, expected):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", choice)
    with double.installed() as cupy:
        monkeypatch.setattr(cupy.cuda.Device, "compute_capability", card)
        assert tensor_cores.wanted(cupy, 80, pays) is expected
        with use_kernels("event"):
            assert not tensor_cores.wanted(cupy, 80, pays)


def test_a_choice_that_is_not_known(monkeypatch):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "tf32")
    with pytest.raises(BackendError, match="SNNCORE_TENSOR_CORES: expected one of auto, on, off, found 'tf32'"):
        tensor_cores.wanted(None, 80)
