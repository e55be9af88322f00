"""LIF without batch normalisation before it: the reference's spikes to the bit, its gradients to rounding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snncore import surrogate as S
from snncore.firing import Firing
from snncore.kernels import cpu, reference
from snncore.kernels.cpu import lif
from snncore.surrogate import SURROGATES, relaxed
from tests.snncore.kernels.agreement import assert_agrees

BOUND = 2e-5


def problem(shape, seed=0):
    """Return currents and gs [T, ...], a membrane v0 and its gradient gv [...], all float32."""
    rng = np.random.default_rng(seed)
    c = rng.normal(0.5, 1.0, shape).astype(np.float32)
    gs, (v0, gv) = rng.standard_normal(shape, np.float32), rng.standard_normal((2, *shape[1:]), np.float32)
    return c, gs, v0, gv


@given(
    st.tuples(st.sampled_from([1, 2, 4, 5, 300]), st.integers(1, 3), st.sampled_from([1, 7, 64, 700])),
    st.sampled_from(sorted(SURROGATES)),
    st.sampled_from([None, 0.0, 0.1]),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_spikes_to_the_bit_and_gradients_to_rounding(shape, surrogate, v_reset, decay, detach_reset, carried, seed):
    c, gs, v0, gv = problem(shape, seed)
    if not carried:
        v0 = gv = None
    firing = Firing(decay, 0.9, v_reset, SURROGATES[surrogate](), detach_reset)
    s, v = cpu.lif_forward(c, v0, firing)
    right_s, right_v = reference.lif_forward(c, v0, firing)
    assert s.dtype == np.uint8
    np.testing.assert_array_equal(s, right_s)
    np.testing.assert_array_equal(v, right_v)
    gc, gv0, gdecay = cpu.lif_backward(gs, gv, c, s, v0, firing)
    right_gc, right_gv0, right_gdecay = reference.lif_backward(gs, gv, c, s, v0, firing)
    assert_agrees(gc, right_gc, BOUND)
    assert_agrees(gv0, right_gv0, BOUND, right_gc)
    assert abs(gdecay - right_gdecay) <= BOUND * c.size * abs(right_gc).max() * max(1, abs(right_v).max())


def test_blocks_are_whole_for_few_steps_and_short_for_many():
    assert [lif.block_length(steps) for steps in (1, 4, 16, 32, 10_000)] == [1024, 1024, 1024, 512, 64]


def test_arguments_stay_as_they_are():
    c, gs, v0, gv = problem((3, 5, 7))
    before = [a.copy() for a in (c, gs, v0, gv)]
    s, _ = cpu.lif_forward(c, v0, Firing())
    cpu.lif_backward(gs, gv, c, s, v0, Firing())
    for a, b in zip((c, gs, v0, gv), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_current_that_is_not_finite_is_treated_alike():
    c = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32).reshape(1, 4).repeat(3, axis=0)
    for firing in (Firing(), Firing(v_reset=0.0)):
        with np.errstate(invalid="ignore"):
            right = reference.lif_forward(c, None, firing)
        for found, expected in zip(cpu.lif_forward(c, None, firing), right, strict=True):
            np.testing.assert_array_equal(found, expected)


class Own(S.Sigmoid):
    """A surrogate that the compiled kernels do not know."""

    def derivative(self, x):
        return np.full_like(x, 0.25)


def test_what_is_not_compiled_is_the_reference():
    c, gs, v0, _ = problem((3, 4, 5))
    firing, own = Firing(), Firing(surrogate=Own())
    s, _ = reference.lif_forward(c, v0, own)
    right = reference.lif_backward(gs, None, c, s, v0, own)
    for found, expected in zip(cpu.lif_backward(gs, None, c, s, v0, own), right, strict=True):
        np.testing.assert_array_equal(found, expected)
    with relaxed():
        assert cpu.lif_forward(c, v0, firing)[0].dtype == np.float32
    wide = c.astype(np.float64)
    for found, expected in zip(
        cpu.lif_forward(wide, None, firing), reference.lif_forward(wide, None, firing), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    nothing = np.zeros((2, 0), np.float32)
    assert cpu.lif_forward(nothing, None, firing)[0].shape == (2, 0)
