"""Concat fusion couples nothing: each modality is a LIF neuron with threshold v_threshold / alpha.

It resets by v_threshold, not by its own threshold, and its surrogate is alpha times as steep:
k (alpha h - v_threshold) = (k alpha) (h - v_threshold / alpha).
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snncore.functions import LIF, MLIF
from snncore.surrogate import Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import grads, scalars, values
from tests.snncore.calls import differentiate, like

ALPHAS = st.floats(0.2, 2.0)


@given(st.integers(1, 8), st.floats(0, 1), st.floats(0.3, 2), ALPHAS, ALPHAS, st.integers(0, 2**32 - 1))
def test_concat_mlif_is_two_lifs_in_spikes_and_gradients(timesteps, decay, v_threshold, alpha_a, alpha_v, seed):
    rng = np.random.default_rng(seed)
    o = {m: rng.normal(1.0, 1.0, (timesteps, 3)) for m in "av"}  # continuous: no membrane is on its threshold
    gs = dict(zip("av", like(rng, o["a"], o["v"]), strict=True))
    alphas = {"a": alpha_a, "v": alpha_v}
    mlif = MLIF(decay, v_threshold, surrogate=Sigmoid(4.0))
    inputs = [o["a"], o["v"], np.array(alpha_a), np.array(alpha_v)]
    spikes, gradients = differentiate(mlif, inputs, [gs["a"], gs["v"]])

    for i, m in enumerate("av"):
        twin, alpha = scalars(o[m]), alphas[m]
        slope = neurons.sigmoid_slope(4.0 * alpha)
        s, _ = neurons.lif(twin, slope, decay, v_threshold / alpha, reset_by=v_threshold)
        neurons.backpropagate([s], [gs[m]])
        np.testing.assert_array_equal(spikes[i], values(s))
        np.testing.assert_allclose(gradients[i], grads(twin), rtol=1e-9, atol=1e-11)


@given(st.integers(1, 8), st.floats(0.3, 2), ALPHAS, st.integers(0, 2**32 - 1))
def test_gradient_of_alpha_is_that_of_threshold_and_slope(timesteps, v_threshold, alpha, seed):
    # alpha enters a LIF through x[t] = alpha h[t] - v_threshold alone, so galpha = sum of g(x[t]) h[t]; and h[t] has
    # the gradient gc[t] = alpha g(x[t]) + ... With the reset detached and decay 0, nothing else reaches gc[t].
    rng = np.random.default_rng(seed)
    o = rng.normal(1.0, 1.0, (timesteps, 3))
    (gs,) = like(rng, o)
    mlif = MLIF(0.0, v_threshold, detach_reset=True)
    _, (go, _, galpha, _) = differentiate(mlif, [o, o, np.array(alpha), np.array(alpha)], [gs, None])
    np.testing.assert_allclose(galpha, (go * o).sum() / alpha, rtol=1e-9, atol=1e-11)


@given(st.integers(1, 8), st.floats(0, 1), st.floats(0.3, 2), st.integers(0, 2**32 - 1))
def test_alpha_one_is_two_lifs_bit_for_bit(timesteps, decay, v_threshold, seed):
    rng = np.random.default_rng(seed)
    o_a, o_v = rng.normal(1.0, 1.0, (2, timesteps, 3))
    gys = like(rng, o_a, o_v)
    one = np.array(1.0)
    spikes, gradients = differentiate(MLIF(decay, v_threshold), [o_a, o_v, one, one], gys)
    for i, o in enumerate((o_a, o_v)):
        (s,), (gc,) = differentiate(LIF(decay, v_threshold), [o], [gys[i]])
        np.testing.assert_array_equal(spikes[i], s)
        np.testing.assert_array_equal(gradients[i], gc)


def test_one_modality_never_changes_the_other(rng):
    o_a, o_v, other = rng.normal(1.0, 1.0, (3, 5, 4))
    alphas = [np.array(0.6), np.array(0.9)]
    gys = like(rng, o_a, o_v)
    spikes, gradients = differentiate(MLIF(), [o_a, o_v, *alphas], gys)
    changed, changed_gradients = differentiate(MLIF(), [o_a, other, *alphas], gys)
    np.testing.assert_array_equal(changed[0], spikes[0])
    np.testing.assert_array_equal(changed_gradients[0], gradients[0])
    assert (changed[1] != spikes[1]).any()
