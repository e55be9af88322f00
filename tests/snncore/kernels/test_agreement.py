"""The comparison of kernels fails where it should."""

import numpy as np
import pytest

from tests.snncore.kernels.agreement import assert_agrees


def test_what_is_close_passes_and_what_is_not_fails():
    right = np.array([[1.0, -100.0], [0.0, 3.0]])
    assert_agrees(right + 1e-5, right, 1e-6)
    for wrong in (right + 1e-3, right[:1], np.full_like(right, np.nan), -right):
        with pytest.raises(AssertionError, match=r"off by|shape"):
            assert_agrees(wrong, right, 1e-6)


def test_nothing_agrees_with_nothing():
    assert_agrees(np.zeros((0, 3)), np.zeros((0, 3)), 0.0)
