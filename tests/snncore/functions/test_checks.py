"""Window sizes: a number or a pair."""

import numpy as np
import pytest

from snncore.functions import Conv1d
from snncore.functions.checks import pair


def test_a_number_stands_for_both_axes_and_a_pair_for_each():
    assert pair("kernel", 3) == (3, 3)
    assert pair("kernel", (2, 5)) == (2, 5)
    assert pair("kernel", [2, 5]) == (2, 5)
    assert pair("padding", 0, least=0) == (0, 0)


def test_an_integer_of_numpy_is_an_integer():
    made = pair("kernel", np.int64(3)), pair("kernel", (np.uint8(2), 5))
    assert made == ((3, 3), (2, 5))
    assert all(type(n) is int for both in made for n in both)
    assert Conv1d(np.int64(2), np.int32(1)).stride == (1, 2)


@pytest.mark.parametrize("value", [0, -1, (1, 0), (1, 2, 3), (), (1.5, 2), 1.5, "3", None, True, (1, True)])
def test_anything_else_is_refused_and_named(value):
    with pytest.raises(ValueError, match="kernel: expected an integer of at least 1, or two of them, found"):
        pair("kernel", value)
