"""A batch in parts, as many machines hold it: statistics and gradients are those of the whole."""

import functools
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from snncore.functions import BatchNorm, BatchNormLIF
from snncore.kernels.reference import batch_norm_statistics, merge_moments
from snncore.kernels.reference.batch_norm import Moments
from snncore.surrogate import Sigmoid
from tests.reference import batch_norm as naive
from tests.snncore.calls import differentiate

CUTS = [(0, 2, 7), (0, 1, 2, 7), (0, 0, 6, 7), (0, 7, 7)]  # where parts of 7 samples begin and end; some are empty
SHAPE = (3, 7, 2, 2, 3)
cuts = pytest.mark.parametrize("cut", CUTS)


def parts(x, cut, axis=1):
    return [x.take(range(a, b), axis) for a, b in itertools.pairwise(cut)]


@cuts
def test_moments_of_parts_put_together_are_those_of_the_whole(rng, cut):
    x = rng.normal([0, 1e3, -5], [1, 2, 0.1], (7, 5, 3))
    count, mean, var = functools.reduce(merge_moments, map(batch_norm_statistics, parts(x, cut, 0)))
    right_mean, right_var = naive.statistics(x.reshape(-1, 3))
    assert count == 35
    np.testing.assert_allclose(mean, right_mean, rtol=1e-12)
    np.testing.assert_allclose(var, right_var, rtol=1e-12)


def test_two_entries_and_one_by_hand():
    # 1, 3: mean 2, var 1; with 8: mean 4, M2 = 9 + 1 + 16 = 26
    merged = merge_moments(Moments(2, np.array([2.0]), np.array([1.0])), Moments(1, np.array([8.0]), np.array([0.0])))
    assert merged.entries == 3
    np.testing.assert_allclose([merged.mean[0], merged.var[0]], [4, 26 / 3], rtol=1e-15)


def test_nothing_and_nothing_is_nothing():
    nothing = batch_norm_statistics(np.zeros((0, 4, 2)))
    for found in (nothing, merge_moments(nothing, nothing)):
        assert found.entries == 0
        assert found.mean.tolist() == found.var.tolist() == [0, 0]


class Machines:
    """As many threads as parts, which hand each other what they have; each waits for all."""

    def __init__(self, number):
        self.held, self.barrier = [None] * number, threading.Barrier(number, timeout=10)

    def gather(self, rank, value):
        self.held[rank] = value
        self.barrier.wait()
        values = list(self.held)
        self.barrier.wait()
        return values


class Spread:
    """In front of BatchNorm: sums of all machines in place of those here."""

    machines: Machines
    rank: int

    def all_moments(self, here):
        return functools.reduce(merge_moments, self.machines.gather(self.rank, here))

    def all_sums(self, here):
        return sum(self.machines.gather(self.rank, here))


class SpreadNorm(Spread, BatchNorm): ...


class SpreadNormLIF(Spread, BatchNormLIF): ...


class ForgetsBackward(SpreadNorm):
    def all_sums(self, here):
        return here


KINDS = {
    "BatchNorm": (BatchNorm, SpreadNorm, {}),
    "BatchNormLIF": (BatchNormLIF, SpreadNormLIF, {"decay": 0.6, "v_threshold": 0.7, "surrogate": Sigmoid(2.0)}),
}


def problem(rng):
    """(x, gamma, beta) and the gradient of the output."""
    x = rng.normal(2.0, 3.0, SHAPE)
    return (x, rng.uniform(0.5, 1.5, SHAPE[-1]), rng.normal(0.5, 0.3, SHAPE[-1])), rng.standard_normal(SHAPE)


def statistics():
    return np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5])


def spread(kind, settings, inputs, gy, cut):
    """By part: (outputs, gradients) and the running statistics after it, each in a thread of its own."""
    (x, *parameters), machines = inputs, Machines(len(cut) - 1)

    def run(rank, x, gy):
        running = statistics()
        function = kind(*running, **settings)
        function.machines, function.rank = machines, rank
        return *differentiate(function, [x, *parameters], [gy]), running

    with ThreadPoolExecutor(len(cut) - 1) as pool:
        return list(pool.map(run, range(len(cut) - 1), parts(x, cut), parts(gy, cut)))


@cuts
@pytest.mark.parametrize("name", KINDS)
def test_a_step_on_parts_is_the_step_on_the_whole(rng, name, cut):
    whole, kind, settings = KINDS[name]
    inputs, gy = problem(rng)
    running = statistics()
    (y,), (gx, ggamma, gbeta) = differentiate(whole(*running, **settings), inputs, [gy])
    outputs, gradients, kept = zip(*spread(kind, settings, inputs, gy, cut), strict=True)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-10)
    close(np.concatenate([o for (o,) in outputs], axis=1), y)
    close(np.concatenate([g[0] for g in gradients], axis=1), gx)
    close(sum(g[1] for g in gradients), ggamma)
    close(sum(g[2] for g in gradients), gbeta)
    for mean, var in kept:
        close(mean, running[0])
        close(var, running[1])


def test_local_sums_would_give_another_gradient(rng):
    inputs, gy = problem(rng)
    _, (gx, _, _) = differentiate(BatchNorm(*statistics()), inputs, [gy])
    found = spread(ForgetsBackward, {}, inputs, gy, CUTS[0])
    off = np.abs(np.concatenate([g[0] for _, g, _ in found], axis=1) - gx).max()
    assert off > 1e-3 * np.abs(gx).max()


def test_one_entry_on_each_of_two_machines_is_enough_and_one_in_all_is_not():
    x, one, zero = np.array([-1.0, 3.0]).reshape(1, 2, 1).repeat(3, axis=2), np.ones(3), np.zeros(3)
    found = spread(SpreadNorm, {}, (x, one, zero), x, (0, 1, 2))
    np.testing.assert_allclose([abs(y[0]) for y, _, _ in found], 1, rtol=1e-5)  # -1 and 1
    with pytest.raises(ValueError, match="training needs more than one entry a channel"):
        spread(SpreadNorm, {}, (x[:, :1], one, zero), x[:, :1], (0, 1, 1))


def test_evaluation_asks_no_other_machine(rng):
    (x, gamma, beta), gy = problem(rng)
    lonely = SpreadNorm(*statistics(), training=False)  # without machines to ask
    _, gradients = differentiate(lonely, [x, gamma, beta], [gy])
    _, expected = differentiate(BatchNorm(*statistics(), training=False), [x, gamma, beta], [gy])
    for found, right in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(found, right)
