"""Small networks that NIR can express, with weights and statistics that make their neurons fire."""

import numpy as np

from snncore import nn


def lively(network, seed=0):
    """Draw scales, shifts and statistics of every BatchNorm away from ones and zeros."""
    rng = np.random.default_rng(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm):
            module.weight.data[...] = rng.uniform(0.5, 2, module.weight.shape)
            module.bias.data[...] = rng.uniform(0, 0.8, module.bias.shape)
            module.running_mean.data[...] = rng.normal(0, 0.1, module.bias.shape)
            module.running_var.data[...] = rng.uniform(0.2, 0.6, module.bias.shape)
    return network.eval()


def convolutions(neuron=None):
    """On (8, 8, 2): convolutions, one with stride and bias, an average, a flattening and a head of spikes.

    neuron: called with the settings of each neuron; by default LIF, IF and PLIF with hard resets to 0.
    """
    kinds = [neuron] * 3 if neuron else [nn.LIF, lambda tau, **rest: nn.IF(**rest), nn.PLIF]
    rng = np.random.default_rng(0)
    return lively(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False, rng=rng),
            nn.BatchNorm(4),
            kinds[0](tau=2.5, v_threshold=0.6, v_reset=0.0),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3, stride=(2, 1), padding=(1, 0), rng=rng),
            kinds[1](tau=2.0, v_threshold=0.4, v_reset=0.0),
            nn.Flatten(),
            nn.Linear(6 * 2 * 2, 5, rng=rng),
            nn.BatchNorm(5),
            kinds[2](tau=3.0, v_threshold=0.5, v_reset=0.0),
        )
    )


def linears(neuron=nn.LIF):
    """On (6,): two layers with their neurons."""
    rng = np.random.default_rng(0)
    return lively(
        nn.Sequential(
            nn.Linear(6, 16, bias=False, rng=rng),
            nn.BatchNorm(16),
            neuron(tau=2.5, v_threshold=0.7, v_reset=0.0),
            nn.Linear(16, 5, rng=rng),
            neuron(tau=1.5, v_threshold=0.2, v_reset=0.0),
        )
    )
