"""Learning-rate schedules: values worked out by hand, ends met exactly, never rising after the warm-up."""

import dataclasses
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.schedules import Constant, Cosine, Step

HALF_SQRT2 = math.sqrt(2) / 2


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(0.5), {0: 0.5, 1: 0.5, 10**9: 0.5}),
        (Constant(0.8, warmup_steps=4), {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 0.8, 100: 0.8}),
        (Constant(0.8, warmup_steps=1), {0: 0.8, 1: 0.8}),
        # cos at 0, 45, 90, 135 and 180 degrees
        (Cosine(2.0, 4), {0: 2.0, 1: 1 + HALF_SQRT2, 2: 1.0, 3: 1 - HALF_SQRT2, 4: 0.0, 5: 0.0, 999: 0.0}),
        (Cosine(2.0, 3, final_lr=0.4), {0: 2.0, 1: 1.6, 2: 0.8, 3: 0.4, 4: 0.4}),  # 60 and 120 degrees: 3/4, 1/4
        # two steps up, then the half cosine over the four that remain
        (Cosine(2.0, 6, warmup_steps=2), {0: 1.0, 1: 2.0, 2: 2.0, 3: 1 + HALF_SQRT2, 4: 1.0, 6: 0.0, 7: 0.0}),
        (Step(1.0, 3, 0.5), {0: 1.0, 2: 1.0, 3: 0.5, 5: 0.5, 6: 0.25, 9: 0.125, 10**9: 0.0}),
        (Step(1.0, 2, 0.1, warmup_steps=2), {0: 0.5, 1: 1.0, 2: 1.0, 3: 1.0, 4: 0.1, 5: 0.1, 6: 0.01}),
    ],
)
def test_values_by_hand(schedule, expected):
    for step, lr in expected.items():
        assert schedule(step) == pytest.approx(lr, rel=1e-15, abs=1e-15), f"step {step}"


RATES = st.floats(1e-6, 10.0)


@given(lr=RATES, low=st.floats(0.0, 1.0), warmup=st.integers(0, 20), rest=st.integers(1, 60), every=st.integers(1, 9))
def test_rises_in_the_warmup_falls_after_it_and_meets_both_ends(lr, low, warmup, rest, every):
    total = warmup + rest
    for schedule in (
        Constant(lr, warmup_steps=warmup),
        Cosine(lr, total, low * lr, warmup_steps=warmup),
        Step(lr, every, 0.7, warmup_steps=warmup),
    ):
        rates = [schedule(k) for k in range(total + 3)]
        slack = 1e-15 * lr
        assert all(a < b for a, b in pairwise(rates[:warmup]))
        assert all(a >= b - slack for a, b in pairwise(rates[warmup:]))
        assert rates[warmup] == lr
        assert warmup == 0 or rates[warmup - 1] == lr
        assert min(rates) >= 0
        if isinstance(schedule, Cosine):
            assert rates[total:] == [low * lr] * 3


def test_schedules_are_values():
    assert Cosine(0.1, 10) == Cosine(0.1, total_steps=10, final_lr=0.0, warmup_steps=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Constant(0.1).lr = 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-0.1), "lr: expected a finite number >= 0, found -0.1"),
        (lambda: Constant(math.nan), "lr: .*nan"),
        (lambda: Constant(math.inf), "lr: .*inf"),
        (lambda: Constant(0.1, warmup_steps=-1), "warmup_steps: .*found -1"),
        (lambda: Cosine(0.1, 0), "total_steps: expected more than warmup_steps=0, found 0"),
        (lambda: Cosine(0.1, 5, warmup_steps=5), "total_steps: expected more than warmup_steps=5, found 5"),
        (lambda: Cosine(0.1, 5, final_lr=0.2), r"final_lr: expected a number in \[0, lr=0.1\], found 0.2"),
        (lambda: Cosine(0.1, 5, final_lr=-0.1), "final_lr"),
        (lambda: Step(0.1, 0, 0.5), "every: expected a number of steps >= 1, found 0"),
        (lambda: Step(0.1, 1, 0.0), r"factor: expected a number in \(0, 1\], found 0.0"),
        (lambda: Step(0.1, 1, 1.5), "factor"),
        (lambda: Constant(0.1)(-1), "step: .*found -1"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
