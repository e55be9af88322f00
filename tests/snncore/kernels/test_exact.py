"""The definition of exact sums against whole numbers of Python, which have neither a width nor a rounding."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import reference
from snncore.kernels.reference import exact

ONE, NONE = (1, 1), (0, 0)


@st.composite
def matrices(draw):
    """Weights [Ci, Co] of any size from the smallest float32 to 1e30: ordinary, equal, of one sign, mostly zero."""
    ci, co = draw(st.integers(1, 130)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = draw(st.sampled_from(["normal", "equal", "powers", "positive", "sparse", "spread"]))
    w = rng.standard_normal((ci, co))
    if kind == "equal":
        w = np.ones((ci, co))
    elif kind == "powers":
        w = np.sign(w)
    elif kind == "positive":
        w = abs(w)
    elif kind == "sparse":
        w *= rng.random((ci, co)) < 0.05
    elif kind == "spread":
        w *= 2.0 ** rng.integers(-30, 1, (ci, co))
    return np.ldexp(w, draw(st.integers(-148, 96))).astype(np.float32)


def integers(column, p):
    """rint(w * 2^p), ties to even, of each weight."""
    return [round(Fraction(float(v)) * Fraction(2) ** p) for v in column]


def fits(column, p):
    parts = [integers(column[c : c + 64], p) for c in range(0, len(column), 64)]
    return all(sum(v for v in part if v > 0) < 2**30 and -sum(v for v in part if v < 0) < 2**30 for part in parts)


@given(matrices())
def test_weights_are_integers_times_the_largest_power_of_two_that_fits(w):
    fixed = exact.fixed_point(w)
    assert fixed.q.dtype == np.int32
    for o, scale in enumerate(fixed.scale):
        p = -int(np.log2(scale))
        assert Fraction(float(scale)) == Fraction(2) ** -p
        assert fits(w[:, o], p)
        assert p == 126 or not fits(w[:, o], p + 1)
        assert fixed.q[:, o].tolist() == integers(w[:, o], p)


@pytest.mark.parametrize(("value", "count", "power"), [(1.0, 64, 23), (1.0, 63, 24), (1.0, 130, 23), (0.75, 1, 30)])
def test_powers_worked_out_by_hand(value, count, power):
    """64 ones at 2^24 are 2^30, one too much; 63 are not. 130 are three blocks, of which none has more than 64."""
    fixed = exact.fixed_point(np.full((count, 1), value, np.float32))
    assert fixed.scale.tolist() == [2.0**-power]
    assert set(fixed.q.ravel().tolist()) == {int(value * 2**power)}


def nearest(total, scale):
    """float32(total) * scale of a whole number: the nearest float32, ties to even, by fractions."""
    guess = np.float32(total)
    near = [np.nextafter(guess, np.float32(side)) for side in (-np.inf, np.inf)] + [guess]
    best = min(abs(Fraction(float(v)) - total) for v in near)
    found = [v for v in near if abs(Fraction(float(v)) - total) == best]
    even = [v for v in found if v.view(np.int32) % 2 == 0]
    return (even or found)[0] * scale


@given(matrices(), st.sampled_from([1, 2, 255, 65535]), st.integers(0, 2**16))
def test_a_sum_of_spikes_is_rounded_once(w, largest, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, largest + 1, (3, len(w))).astype(np.uint8 if largest < 256 else np.uint16)
    y = exact.exact_linear_forward(x, w)
    assert y.dtype == np.float32
    fixed = exact.fixed_point(w)
    for row, values in zip(x.tolist(), y, strict=True):
        for o, value in enumerate(values):
            total = sum(n * int(q) for n, q in zip(row, fixed.q[:, o], strict=True))
            assert value == nearest(total, fixed.scale[o])


@given(matrices(), st.integers(0, 2**16))
def test_the_error_is_within_its_bound(w, seed):
    """Half a unit of the last place of every active weight, and half a unit of the result."""
    x = (np.random.default_rng(seed).random((4, len(w))) < 0.4).astype(np.uint8)
    y = exact.exact_linear_forward(x, w)
    scale = exact.fixed_point(w).scale
    for row, values in zip(x.tolist(), y, strict=True):
        for o, value in enumerate(values):
            right = sum(n * Fraction(float(v)) for n, v in zip(row, w[:, o], strict=True))
            bound = sum(row) * Fraction(float(scale[o])) / 2 + abs(Fraction(float(value))) / 2**24
            assert abs(Fraction(float(value)) - right) <= bound


def test_a_convolution_is_a_linear_layer_at_every_pixel(rng):
    x = rng.integers(0, 4, (2, 5, 4, 66)).astype(np.uint8)
    w = rng.standard_normal((3, 2, 66, 5)).astype(np.float32)
    y = exact.exact_conv_forward(x, w, (2, 1), (1, 0))
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    fixed = exact.fixed_point(w)
    for m, i, j in np.ndindex(*y.shape[:3]):
        window = padded[m, 2 * i : 2 * i + 3, j : j + 2].astype(np.int64)
        total = np.einsum("yxc,yxco->o", window, fixed.q.astype(np.int64))
        assert y[m, i, j].tolist() == [nearest(int(t), s) for t, s in zip(total, fixed.scale, strict=True)]


def test_groups_and_dilation_are_those_of_the_plain_convolution(rng):
    x = rng.integers(0, 3, (2, 6, 6, 8)).astype(np.uint8)
    w = rng.standard_normal((2, 2, 4, 6)).astype(np.float32)
    y = exact.exact_grouped_conv_forward(x, w, ONE, ONE, (2, 1))
    spread = np.zeros((3, 2, 4, 6), np.float32)
    spread[::2] = w
    for k in range(2):
        part, channels = slice(4 * k, 4 * k + 4), slice(3 * k, 3 * k + 3)
        np.testing.assert_array_equal(
            y[..., channels], exact.exact_conv_forward(x[..., part], spread[..., channels], ONE, ONE)
        )


def test_analog_input_is_summed_in_the_order_of_the_window(rng):
    x = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    w = rng.standard_normal((3, 3, 3, 4)).astype(np.float32)
    y = exact.exact_conv_forward(x, w, ONE, NONE)
    for m, i, j, o in np.ndindex(*y.shape):
        total = 0.0
        for ky, kx, c in np.ndindex(3, 3, 3):
            total += float(x[m, i + ky, j + kx, c]) * float(w[ky, kx, c, o])
        assert y[m, i, j, o] == np.float32(total)
    rows = exact.exact_linear_forward(x, w[0, 0])
    np.testing.assert_array_equal(rows, exact.exact_conv_forward(x, w[:1, :1], ONE, NONE))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e30])
def test_weights_that_are_not_ordinary_are_summed_in_float32(rng, bad):
    x, w = rng.integers(0, 2, (1, 4, 4, 3)).astype(np.uint8), rng.standard_normal((3, 3, 3, 2)).astype(np.float32)
    w[0, 0, 0, 0] = bad
    for y, right in (
        (exact.exact_conv_forward(x, w, ONE, ONE), reference.conv_forward(x, w, ONE, ONE)),
        (exact.exact_linear_forward(x, w[0, 0]), reference.linear_forward(x, w[0, 0])),
        (
            exact.exact_grouped_conv_forward(x, w, ONE, ONE, ONE),
            reference.grouped_conv_forward(x, w, ONE, ONE, ONE),
        ),
    ):
        np.testing.assert_array_equal(y, right)


def test_types_whose_sums_stay_below_2_to_53_are_taken():
    narrow, wide = np.zeros((64 * 64, 1), np.float32), np.zeros((64 * 129, 1), np.float32)
    for kind, few, many in (
        ("b", 1, 1),
        ("u1", 1, 1),
        ("i1", 1, 1),
        ("u2", 1, 0),
        ("u4", 0, 0),
        ("f4", 1, 1),
        ("f8", 0, 0),
    ):
        assert [exact.takes(np.dtype(kind), w) for w in (narrow, wide)] == [few, many], kind
