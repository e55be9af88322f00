"""The neuron that the switches describe: decay, threshold and surrogate with and without decay_input."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.parts.neurons import SpikingConfig
from snncore import Tensor, nn
from snncore.surrogate import SURROGATES, ATan


def by_hand(c, gs, tau, v_threshold, slope):
    """Spikes of h = v + (c - v) / tau, hard reset, and the gradient of sum(gs s) with the reset detached."""
    h, s, v = np.zeros_like(c), np.zeros_like(c), np.zeros_like(c[0])
    for t in range(len(c)):
        h[t] = v + (c[t] - v) / tau
        s[t] = h[t] >= v_threshold
        v = h[t] * (1 - s[t])
    gc, gv = np.zeros_like(c), np.zeros_like(v)
    for t in reversed(range(len(c))):
        gh = gs[t] * ATan(slope).derivative(h[t] - v_threshold) + gv * (1 - s[t])
        gc[t], gv = gh / tau, gh * (1 - 1 / tau)
    return s, gc


@pytest.mark.parametrize("tau", [2.0, 3.0])
def test_a_lif_that_divides_its_current_by_tau(rng, tau):
    c, gs = rng.normal(1.0, 2.0, (5, 3, 4)), rng.normal(size=(5, 3, 4))
    config = SpikingConfig(tau=tau, v_threshold=0.7, surrogate="atan", surrogate_scale=1.5)
    x = Tensor(c, requires_grad=True)
    s = config.make_neuron()(x)
    spikes, gc = by_hand(c, gs, tau, 0.7, 1.5)
    assert 0 < spikes.mean() < 1
    np.testing.assert_array_equal(s.data, spikes)
    s.backward(gs)
    np.testing.assert_allclose(x.grad, gc, rtol=1e-12)
    assert config.make_neuron(0.5).firing.v_threshold == 0.5 * tau


@pytest.mark.parametrize("name", SURROGATES)
def test_a_stretched_surrogate_is_the_same_curve_wider(name):
    x = np.linspace(-2, 2, 21)
    plain = SpikingConfig(surrogate=name).make_surrogate()
    wide = SpikingConfig(surrogate=name).make_surrogate(2.0)
    np.testing.assert_allclose(wide.primitive(2 * x), plain.primitive(x), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(2 * wide.derivative(2 * x), plain.derivative(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", nn.NEURONS)
def test_every_neuron_has_the_settings(name):
    config = SpikingConfig(neuron=name, reset="soft", v_threshold=0.8, detach_reset=False, decay_input=False, tau=4.0)
    neuron = config.make_neuron()
    assert type(neuron) is nn.NEURONS[name]
    firing = neuron.firing
    assert (firing.v_threshold, firing.v_reset, firing.detach_reset) == (0.8, None, False)
    assert firing.decay == (1.0 if name == "if" else 0.75)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"neuron": "clif"}, "reset: CLIF defines a soft reset only, found 'hard'"),
        ({"tau": 1.0}, "tau: expected a number above 1, found 1.0"),
        ({"v_threshold": 0.0}, "v_threshold: expected a positive number, found 0.0"),
        ({"surrogate_scale": -1.0}, "slope must be positive, found -1.0"),
    ],
)
def test_what_cannot_be_is_refused(switches, message):
    with pytest.raises(ConfigError, match=message):
        SpikingConfig(**switches)
