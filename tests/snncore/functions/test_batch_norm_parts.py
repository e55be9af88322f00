"""A batch in parts, as many machines hold it: statistics and gradients are those of the whole."""

import functools

import numpy as np
import pytest

from snncore.functions import BatchNorm, BatchNormLIF
from snncore.parallel import Share
from snncore.surrogate import Sigmoid
from tests.snncore.calls import differentiate
from tests.support.ranks import on_ranks

CUTS = [(0, 2, 7), (0, 1, 2, 7), (0, 6, 7)]  # where parts of 7 samples begin and end
SHAPE = (3, 7, 2, 2, 3)
cuts = pytest.mark.parametrize("cut", CUTS)


class ForgetsBackward(BatchNorm):
    def all_sums(self, here):
        return here


KINDS = {
    "BatchNorm": (BatchNorm, {}),
    "BatchNormLIF": (BatchNormLIF, {"decay": 0.6, "v_threshold": 0.7, "surrogate": Sigmoid(2.0)}),
}


def problem(rng):
    """(x, gamma, beta) and the gradient of the output."""
    x = rng.normal(2.0, 3.0, SHAPE)
    return (x, rng.uniform(0.5, 1.5, SHAPE[-1]), rng.normal(0.5, 0.3, SHAPE[-1])), rng.standard_normal(SHAPE)


def statistics():
    return np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5])


def spread(kind, settings, inputs, gy, cut):
    """By part: (outputs, gradients) and the running statistics after it, each in a thread of its own."""
    x, *parameters = inputs

    def run(comm):
        a, b = cut[comm.rank : comm.rank + 2]
        running = statistics()
        with Share(comm, a, b, cut[-1], synchronised=True).shared():
            return *differentiate(kind(*running, **settings), [x[:, a:b], *parameters], [gy[:, a:b]]), running

    return on_ranks(len(cut) - 1, run)


@cuts
@pytest.mark.parametrize("name", KINDS)
def test_a_step_on_parts_is_the_step_on_the_whole(rng, name, cut):
    kind, settings = KINDS[name]
    inputs, gy = problem(rng)
    running = statistics()
    (y,), (gx, ggamma, gbeta) = differentiate(kind(*running, **settings), inputs, [gy])
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
    found = spread(BatchNorm, {}, (x, one, zero), x, (0, 1, 2))
    np.testing.assert_allclose([abs(y[0]) for y, _, _ in found], 1, rtol=1e-5)  # -1 and 1
    with pytest.raises(ValueError, match="training needs more than one entry a channel"):
        spread(BatchNorm, {}, (x[:, :1], one, zero), x[:, :1], (0, 1))


def test_evaluation_asks_no_other_machine(rng):
    (x, gamma, beta), gy = problem(rng)
    with Share(None, 0, 7, 14, synchronised=True).shared():  # without machines to ask
        _, gradients = differentiate(BatchNorm(*statistics(), training=False), [x, gamma, beta], [gy])
    _, expected = differentiate(BatchNorm(*statistics(), training=False), [x, gamma, beta], [gy])
    for found, right in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(found, right)
