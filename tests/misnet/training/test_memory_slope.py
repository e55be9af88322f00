"""Memory stays flat over training, and a small leak would be seen; memory_slope.py is a script for 2,000 steps."""

import numpy as np

from tests.misnet.training.memory_slope import LARGEST, slopes, training


def test_a_step_leaves_nothing_behind(tmp_path):
    held, _ = slopes(training(tmp_path), 200)
    assert abs(held) < LARGEST * 2 * 2000 / 200  # over fewer than 2,000, a block here and there weighs more


def test_a_few_arrays_kept_at_every_step_are_seen(tmp_path):
    step, kept = training(tmp_path), []

    def leaking(k):
        step(k)
        kept.append([np.zeros(1) for _ in range(8)])

    held, _ = slopes(leaking, 60)
    assert held > 6  # 9 blocks a step, give or take what a step leaves; the limit is 2 at 200, and 0.1 at 2,000
