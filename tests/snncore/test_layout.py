"""Channels first and channels last."""

import numpy as np
import pytest

from snncore import Tensor, channels_first, channels_last


@pytest.mark.parametrize("lead", [(), (2,), (5, 2)])
def test_channels_last_moves_the_channels_and_channels_first_moves_them_back(lead):
    shape = (*lead, 3, 4, 6)  # C, H, W
    x = np.arange(np.prod(shape)).reshape(shape)
    y = channels_last(x)
    assert y.shape == (*lead, 4, 6, 3)
    assert y.flags.c_contiguous
    for c in range(3):
        np.testing.assert_array_equal(y[..., c], x[..., c, :, :])
    back = channels_first(y)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, x)


def test_the_type_stays():
    assert channels_last(np.zeros((1, 2, 2), np.uint8)).dtype == np.uint8


def test_too_few_axes_are_refused():
    for move in (channels_last, channels_first):
        with pytest.raises(
            ValueError, match=r"expected an array \[\.\.\., (C, H, W|H, W, C)\], found one of shape \(2, 2\)"
        ):
            move(np.zeros((2, 2)))
        with pytest.raises(TypeError, match=r"expected an array .*, found a Tensor; transpose\(\) moves axes of one"):
            move(Tensor(np.zeros((2, 2, 2))))
        assert move([[[1, 2]]]).size == 2
