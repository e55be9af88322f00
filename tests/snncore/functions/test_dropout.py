"""Dropout of floats and of spikes."""

import numpy as np
import pytest

from snncore import GradientError, Tensor, check_gradients, count_ops
from snncore import functions as F


def test_kept_entries_are_scaled_and_the_gradient_passes_where_they_passed():
    x = Tensor(np.full((200, 50), 3.0, np.float32), requires_grad=True)
    y = F.Dropout(0.2, (0,))(x)
    y.backward(np.full((200, 50), 2.0))
    kept = y.data != 0
    np.testing.assert_array_equal(y.data, np.where(kept, np.float32(3.75), 0))
    np.testing.assert_array_equal(x.grad, np.where(kept, np.float32(2.5), 0))
    assert kept.mean() == pytest.approx(0.8, abs=0.016)  # four standard deviations of 10,000 draws


def test_the_same_key_gives_the_same_mask_and_another_key_another():
    x = np.ones((30, 40))
    first, again, other = (F.Dropout(0.5, key)(x).data for key in ((1, "a"), (1, "a"), (1, "b")))
    np.testing.assert_array_equal(first, again)
    assert 0.4 < (first != other).mean() < 0.6


def test_a_shared_mask_is_the_same_at_every_timestep_and_differs_between_samples():
    y = F.Dropout(0.5, (0,), shared=True)(np.ones((4, 3, 50))).data
    np.testing.assert_array_equal(y, np.broadcast_to(y[0], y.shape))
    assert (y[0, 0] != y[0, 1]).any()
    apart = F.Dropout(0.5, (0,))(np.ones((4, 3, 50))).data
    assert (apart[0] != apart[1]).any()


def test_spikes_become_floats_if_scaled_and_stay_bytes_if_not():
    spikes = np.tile(np.array([0, 1, 2], np.uint8), (20, 1))
    y = F.Dropout(0.5, (0,))(spikes)
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {0.0, 2.0, 4.0}
    x = Tensor(spikes, requires_grad=True)
    y = F.Dropout(0.5, (0,), scale=False)(x)
    assert y.dtype == np.uint8
    assert set(np.unique(y.data)) == {0, 1, 2}
    y.backward(np.full((20, 3), 7.0, np.float32))
    assert set(np.unique(x.grad)) == {0.0, 7.0}
    np.testing.assert_array_equal(y.data[x.grad == 0], 0)


@pytest.mark.parametrize("settings", [{}, {"shared": True}, {"scale": False}, {"rate": 0.0}])
def test_gradients(settings, rng):
    check_gradients(F.Dropout(**{"rate": 0.4, "key": (3,), **settings}), [rng.standard_normal((3, 2, 4))])


def test_a_backward_that_forgets_the_mask_is_caught(rng):
    class Wrong(F.Dropout):
        def backward(self, gy):
            return gy

    with pytest.raises(GradientError):
        check_gradients(Wrong(0.5), [rng.standard_normal(6)])


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match=r"Dropout: expected a rate in \[0, 1\)"):
        F.Dropout(rate)


def test_only_the_mask_is_kept():
    y = F.Dropout(0.5)(Tensor(np.ones((3, 4)), requires_grad=True))
    assert [(x.dtype, x.shape) for x in y.node.function.saved] == [(np.dtype(bool), (3, 4))]


def test_counts_of_backward_by_hand():
    with count_ops(backward=True) as ops:
        F.Dropout(0.5)(Tensor(np.ones((3, 4)), requires_grad=True))
    assert ops.calls[0].cost.totals() == {"elem_mul": 12, "back_mul": 12}


@pytest.mark.parametrize("key", [5, "ab", None])
def test_a_key_that_is_no_tuple_is_refused(key):
    with pytest.raises(TypeError, match="Dropout: expected a key, a tuple that begins with a seed, found"):
        F.Dropout(0.5, key)
