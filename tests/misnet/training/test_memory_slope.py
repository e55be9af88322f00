"""Memory stays flat over training, and a small leak would be seen; memory_slope.py is a script for 2,000 steps."""

import numpy as np
import pytest

from tests.misnet.training.memory_slope import LARGEST, slopes, training


@pytest.mark.parametrize("steps", [200, pytest.param(600, marks=pytest.mark.slow)])
def test_a_step_leaves_nothing_behind(tmp_path, steps):
    held, _ = slopes(training(tmp_path), steps)
    assert abs(held) < LARGEST * 2 * 2000 / steps  # over fewer, a block here and there weighs more


def test_a_few_arrays_kept_at_every_step_are_seen(tmp_path):
    step, kept = training(tmp_path), []

    def leaking(k):
        step(k)
        kept.append([np.zeros(1) for _ in range(4)])

    held, _ = slopes(leaking, 200)
    assert held > 3  # 5 blocks a step, give or take what a step leaves; the limit is 2 at so few, and 0.1 at 2,000
