"""Sums and products of spike trains grow into a wider type and never wrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import Tensor, count_ops
from snncore.functions import SEW, Add, Conv2d, Div, Linear, MatMul, Mul
from tests.snncore.calls import differentiate

TYPES = [np.uint8, np.uint16, np.int8, np.int16, np.int64, bool]


def integers(rng, dtype, shape):
    if dtype is bool:
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(max(info.min, -(2**20)), min(info.max, 2**20), shape, endpoint=True).astype(dtype)


def test_counting_spikes_over_three_hundred_timesteps_gives_three_hundred():
    s = Tensor(np.ones((300, 2), np.uint8))
    total = s[0]
    for t in range(1, 300):
        total = total + s[t]
        assert total.dtype == (np.uint8 if t < 255 else np.uint16)
    assert total.data.tolist() == [300, 300]


def test_doubling_spikes_eight_times_gives_256():
    x = Tensor(np.ones((1, 1, 1, 1, 1), np.uint8))
    for _ in range(8):
        x = SEW("add")(x, x)
    assert x.item() == 256


@pytest.mark.parametrize(
    ("function", "a", "b", "y", "dtype"),
    [
        (Add(), 255, 1, 256, np.uint16),
        (Add(), 254, 1, 255, np.uint8),
        (Mul(), 16, 16, 256, np.uint16),
        (Mul(), 17, 15, 255, np.uint8),
        (SEW("add"), 200, 100, 300, np.uint16),
        (SEW("and"), 16, 16, 256, np.uint16),
        (SEW("iand"), 2, 3, 0, np.uint8),
        (SEW("iand"), 0, 3, 3, np.uint8),
    ],
)
def test_a_byte_stays_a_byte_as_long_as_it_holds_the_result(function, a, b, y, dtype):
    found = function(np.array([a, 0], np.uint8), np.array([b, 0], np.uint8)).data
    assert (found.tolist(), found.dtype) == ([y, 0], dtype)


@pytest.mark.parametrize("b_type", TYPES)
@pytest.mark.parametrize("a_type", TYPES)
@given(st.integers(0, 2**32 - 1))
def test_all_integer_types_give_what_python_gives(a_type, b_type, seed):
    rng = np.random.default_rng(seed)
    a, b = integers(rng, a_type, (3, 4)), integers(rng, b_type, (3, 4))
    exact = [x.astype(object) + 0 for x in (a, b)]
    for function, expected in (
        (Add(), exact[0] + exact[1]),
        (Mul(), exact[0] * exact[1]),
        (SEW("add"), exact[0] + exact[1]),
        (SEW("and"), exact[0] * exact[1]),
        (SEW("iand"), exact[1] * (exact[0] == 0)),
    ):
        y = function(a, b).data
        assert y.dtype.kind in "iu" or (b_type is bool and function.name == "SEW")
        assert (y.astype(object) + 0).tolist() == expected.tolist()


def test_what_no_integer_type_holds_is_refused_and_named():
    big = np.array([2**63], np.uint64)
    assert Add()(big, big - np.uint64(1)).data.tolist() == [2**64 - 1]
    with pytest.raises(
        OverflowError, match=r"Add: expected a \+ b to fit 64 bits, found entries up to 92233720368547758"
    ):
        Add()(big, big)
    with pytest.raises(OverflowError, match=r"Mul: expected a \* b to fit 64 bits"):
        Mul()(big, np.array([2], np.uint64))
    with pytest.raises(OverflowError, match="SEW: expected"):
        SEW()(big, big)


def test_empty_arrays_and_arrays_that_broadcast_are_combined():
    assert Add()(np.zeros((0, 3), np.uint8), np.ones(3, np.uint8)).shape == (0, 3)
    y = Mul()(np.full((2, 1), 100, np.uint8), np.array([1, 3], np.uint8)).data
    assert y.tolist() == [[100, 300], [100, 300]]


def test_gradients_of_wide_sums_and_of_graded_iand():
    a, s, go = np.array([2, 0, 1], np.uint8), np.array([3, 3, 200], np.uint8), np.array([1.0, 2.0, 3.0], np.float32)
    _, (ga, gs) = differentiate(SEW("iand"), [a, s], [go])
    assert (ga.tolist(), gs.tolist()) == ([-3, -6, -600], [0, 2, 0])
    _, (ga, gs) = differentiate(SEW("add"), [s, s], [go])
    assert (ga.tolist(), gs.tolist()) == ([1, 2, 3], [1, 2, 3])
    (y,), (ga, gs) = differentiate(Mul(), [s, s], [go])
    assert y.tolist() == [9, 9, 40000]
    assert (ga.tolist(), gs.tolist()) == ([3, 6, 600], [3, 6, 600])


@pytest.mark.parametrize("spike", [1, 15, 16, 17, 255])
def test_the_gradient_of_a_division_by_spikes_is_that_by_floats(spike):
    x, s, gy = np.array([3.0], np.float32), np.array([spike], np.uint8), np.array([1.0], np.float32)
    _, (gx, gs) = differentiate(Div(), [x, s], [gy])
    assert gx.item() == pytest.approx(1 / spike, rel=1e-6)
    assert gs.item() == pytest.approx(-3 / spike**2, rel=1e-6)
    assert gx.dtype == gs.dtype == np.float32


def test_wide_counts_go_through_layers_and_are_counted(rng):
    wide = Add()(np.full((2, 1, 4, 4, 3), 200, np.uint8), np.full((2, 1, 4, 4, 3), 100, np.uint8))
    assert wide.dtype == np.uint16
    with count_ops() as ops:
        y = Conv2d()(wide, np.ones((3, 3, 3, 2), np.float32))
        z = Linear()(wide, np.ones((3, 2), np.float32))
        m = MatMul()(wide, np.ones((3, 2), np.float32))
    assert set(y.data.ravel()) == {9 * 3 * 300}
    assert set(z.data.ravel()) == set(m.data.ravel()) == {3 * 300}
    assert ops.totals()["ac_graded_by_value"] == 300 * (2 * 2 * 2 * 9 * 3 * 2 + 2 * (2 * 16 * 3 * 2))
