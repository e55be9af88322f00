"""One-dimensional convolution."""

import numpy as np
import pytest

from snncore import GradientError, Tensor, check_gradients, count_ops
from snncore import functions as F


def naive(x, w, b, stride, padding):
    """The sum that the docstring writes, entry by entry, in float64."""
    x = x.astype(np.float64)
    k, _, co = w.shape
    lo = (x.shape[-2] + 2 * padding - k) // stride + 1
    y = np.zeros((*x.shape[:-2], lo, co)) + b
    for i in range(lo):
        for tap in range(k):
            place = i * stride + tap - padding
            if 0 <= place < x.shape[-2]:
                y[..., i, :] += x[..., place, :] @ w[tap]
    return y


@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 2, 6, 3)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("spikes", [True, False])
def test_agrees_with_the_sum_entry_by_entry(rng, shape, stride, padding, spikes):
    x = rng.integers(0, 3, shape).astype(np.uint8) if spikes else rng.standard_normal(shape)
    w, b = rng.standard_normal((4, 3, 5)), rng.standard_normal(5)
    y = F.Conv1d(stride, padding)(x, w, b)
    np.testing.assert_allclose(y.data, naive(x, w, b, stride, padding), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
def test_gradients(rng, stride, padding):
    inputs = [rng.standard_normal((2, 5, 2)), rng.standard_normal((3, 2, 3)), rng.standard_normal(3)]
    check_gradients(F.Conv1d(stride, padding), inputs)
    check_gradients(F.Conv1d(stride, padding), inputs[:2])


def test_a_turned_weight_gradient_is_caught(rng):
    class Wrong(F.Conv1d):
        def backward(self, gy):
            gx, gw, gb = super().backward(gy)
            return gx, None if gw is None else gw[::-1], gb

    with pytest.raises(GradientError, match="input 1"):
        check_gradients(Wrong(), [rng.standard_normal((2, 5, 2)), rng.standard_normal((3, 2, 3))])


def test_what_does_not_fit_is_refused_in_words_of_one_dimension():
    x, w = np.ones((2, 5, 3)), np.ones((4, 3, 2))
    with pytest.raises(ValueError, match=r"Conv1d: expected x \[\.\.\., L, Ci\].*found x \(5, 3\) and w \(4, 3, 2\)"):
        F.Conv1d()(x[0], w)
    with pytest.raises(ValueError, match=r"Conv1d: expected x .* with the same Ci, found x \(2, 5, 2\)"):
        F.Conv1d()(x[..., :2], w)
    with pytest.raises(ValueError, match=r"Conv1d: a window of 4 does not fit x \(2, 1, 3\) padded by 1"):
        F.Conv1d(padding=1)(x[:, :1], w)
    for settings, name in (({"stride": 0}, "stride"), ({"padding": -1}, "padding"), ({"stride": (1, 1)}, "stride")):
        with pytest.raises(ValueError, match=f"Conv1d: expected {name} of at least"):
            F.Conv1d(**settings)


def test_counts_are_those_of_the_taps_that_land_inside():
    """Window 3, padding 1, 4 places: the ends reach 2 outputs, the others 3; two channels out."""
    spikes = np.zeros((2, 1, 4, 1), np.uint8)
    spikes[0, 0, 0] = spikes[1, 0, 1] = spikes[1, 0, 3] = 1
    x, w = Tensor(spikes, requires_grad=True), Tensor(np.ones((3, 1, 2)), requires_grad=True)
    with count_ops(backward=True) as ops:
        F.Conv1d(padding=1)(x, w)
    assert ops.by_timestep("ac_binary") == [2 * 2, (3 + 2) * 2]
    assert ops.by_timestep("dense_mac") == [10 * 2, 10 * 2]
    totals = ops.totals()
    assert (totals["back_ac"], totals["back_mac"]) == (14, 40)


def test_it_goes_by_its_own_name():
    x, w = np.ones((2, 1, 5, 3), np.float32), np.ones((3, 3, 2), np.float32)
    with count_ops() as ops:
        F.Conv1d()(x, w)
    ((_, facts),) = ops.facts()
    assert (facts.kind, facts.layer, facts.kernel, facts.weights) == ("conv", "Conv1d", (1, 3), 18)
    with pytest.raises(TypeError, match=r"^Conv1d: expected w"):
        F.Conv1d()(x, w.astype(int))
    with pytest.raises(ValueError, match=r"^Conv1d: expected b"):
        F.Conv1d()(x, w, np.ones(3, np.float32))
