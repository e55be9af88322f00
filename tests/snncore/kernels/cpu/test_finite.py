"""A single bad weight is found wherever it stands."""

import numpy as np
import pytest

from snncore.kernels.cpu.finite import are_finite


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, 2e30, -2e30])
@pytest.mark.parametrize("place", [0, 5, 16_383, 16_384, 32_774])
def test_one_bad_weight_is_found(rng, bad, place):
    w = rng.standard_normal(32_775).astype(np.float32)
    w[1], w[2] = -1e30, np.float32(1e-45)
    assert are_finite(w)
    w[place] = bad
    assert not are_finite(w)
    assert not are_finite(w.reshape(1, -1)[:, ::-1])


def test_no_weights_are_finite():
    assert are_finite(np.zeros((3, 3, 0, 4), np.float32))
