"""Memory stays flat over training, and a small leak would be seen."""

import numpy as np
import pytest

from tests.misnet.training.memory_slope import LARGEST, slopes, training


@pytest.mark.parametrize("steps", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_step_leaves_nothing_behind(tmp_path, steps):
    held, _ = slopes(training(tmp_path), steps)
    assert abs(held) < LARGEST * 2000 / steps  # over fewer, a block here and there weighs more


def test_a_number_kept_at_every_step_is_seen(tmp_path):
    step, kept = training(tmp_path), []

    def leaking(k):
        step(k)
        kept.append(np.zeros(1))

    held, _ = slopes(leaking, 200)
    assert held > 1.5  # the array and its memory: 2 blocks a step, of which the limit is 1 at so few
