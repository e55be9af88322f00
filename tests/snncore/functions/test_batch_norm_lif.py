"""BatchNormLIF is BatchNorm and then LIF: the same spikes, statistics and gradients."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import LIF, BatchNorm, BatchNormLIF
from snncore.surrogate import ATan, Sigmoid
from tests.snncore.calls import differentiate

SHAPE = (4, 2, 3, 3, 5)
NEURONS = {
    "soft": {"decay": 0.5, "v_threshold": 0.8, "surrogate": Sigmoid(3.0)},
    "hard": {"decay": 0.3, "v_threshold": 0.6, "v_reset": -0.1, "surrogate": ATan()},
    "detached": {"decay": 1.0, "v_threshold": 1.0, "detach_reset": True},
}


def problem(rng):
    return rng.normal(1.0, 2.0, SHAPE), rng.uniform(0.5, 1.5, SHAPE[-1]), rng.normal(0.5, 0.3, SHAPE[-1])


def statistics(rng):
    return rng.standard_normal(SHAPE[-1]), rng.uniform(0.5, 2.0, SHAPE[-1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("neuron", NEURONS)
def test_it_is_batch_norm_and_then_lif(rng, neuron, training):
    x, gamma, beta = problem(rng)
    gs = rng.standard_normal(SHAPE)
    fused, apart = statistics(rng), None
    apart = tuple(a.copy() for a in fused)
    (s,), gradients = differentiate(BatchNormLIF(*fused, training, **NEURONS[neuron]), [x, gamma, beta], [gs])

    norm, lif = BatchNorm(*apart, training), LIF(**NEURONS[neuron])
    (right,), expected = differentiate(lambda *inputs: lif(norm(*inputs)), [x, gamma, beta], [gs])
    assert 0.1 < right.mean() < 0.9
    np.testing.assert_array_equal(s, right)
    np.testing.assert_array_equal(fused, apart)
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("v_reset", [None, 0.0])
def test_its_gradient_is_the_derivative_of_the_relaxed_forward(rng, training, v_reset):
    function = BatchNormLIF(*statistics(rng), training, v_reset=v_reset, surrogate=Sigmoid(2.0))
    check_gradients(function, problem(rng), names=["x", "gamma", "beta"], relaxed=True, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("x", "channels", "message"),
    [
        (np.ones((4, 3), np.uint8), 3, "BatchNormLIF: expected c to be floating point, found uint8"),
        (np.ones((4, 3)), 2, r"BatchNormLIF: expected gamma of shape \(3,\), found \(2,\)"),
        (np.ones((0, 3)), 3, "at least one timestep"),
        (np.ones((1, 3)), 3, "BatchNormLIF: training needs more than one entry a channel"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, channels, message):
    one = np.ones(channels)
    with pytest.raises((TypeError, ValueError), match=message):
        BatchNormLIF(one.copy(), one.copy())(x, one, one)
