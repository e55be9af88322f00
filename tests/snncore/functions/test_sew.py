"""Spike-element-wise connection."""

import numpy as np
import pytest

from snncore import check_gradients, count_ops
from snncore.functions import SEW
from tests.snncore.calls import differentiate

A, S = np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 0, 1], np.uint8)
TABLE = {  # o, ga and gs for go = 1, 2, 3, 4
    "add": ([0, 1, 1, 2], [1, 2, 3, 4], [1, 2, 3, 4]),
    "and": ([0, 0, 0, 1], [0, 2, 0, 4], [0, 0, 3, 4]),
    "iand": ([0, 1, 0, 0], [0, -2, 0, -4], [1, 2, 0, 0]),
}


@pytest.mark.parametrize("connect", TABLE)
def test_connection_is_its_truth_table_with_gradients_in_float32(connect):
    o, ga, gs = TABLE[connect]
    (found,), gradients = differentiate(SEW(connect), [A, S], [np.array([1, 2, 3, 4], np.float32)])
    assert found.dtype == np.uint8
    assert found.tolist() == o
    for g, expected in zip(gradients, (ga, gs), strict=True):
        assert g.dtype == np.float32
        assert g.tolist() == expected


@pytest.mark.parametrize("connect", TABLE)
def test_connection_gradient_is_the_derivative(rng, connect):
    a, s = rng.uniform(0, 1, (2, 3, 4))
    check_gradients(SEW(connect), [a, s], names=["a", "s"], rtol=1e-8, atol=1e-9)


def test_another_connection_or_another_shape_is_refused_and_named():
    with pytest.raises(ValueError, match="connect: expected one of add, and, iand, found 'or'"):
        SEW("or")
    with pytest.raises(ValueError, match=r"SEW: .* found \(2,\) and \(1, 2\)"):
        SEW()(np.ones(2, np.uint8), np.ones((1, 2), np.uint8))


def test_floats_count_an_event_where_they_are_not_zero_whatever_their_size():
    """A sum of what is not 0 or 1 has no bound that could be checked: it is not needed."""
    a, s = np.array([0, 0.5, 3, 1e30], np.float32), np.array([1, 0.25, 0, np.inf], np.float32)
    with count_ops() as ops:
        SEW("add")(a, s)
    assert ops.totals()["residual_add"] == 2
    ((_, facts),) = ops.facts()
    assert (facts.events, facts.unit) == (6, False)
