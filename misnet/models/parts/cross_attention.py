"""Spiking cross-attention between the tokens of two modalities: over space, over time, or both."""

import numpy as np

from misnet.models.parts.attention import ATTENTION_THRESHOLD, LinearBNNeuron
from misnet.models.parts.neurons import SpikingConfig
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["KINDS", "CrossAttention", "SpikingCrossAttention"]

KINDS = ("spatial", "temporal", "spatial-temporal")
SCALE = 0.25  # of the products, in the code of S-CMRL


class SpikingCrossAttention(nn.Module):
    """Attention without softmax, whose queries come from x and whose keys and values come from y.

        q = SN(BN(W x)),  k, v = SN(BN(W y)),   a = SN_0.5((q k^T) v / 4) for each head,   o = SN(BN(W a))

    Over space each timestep is by itself and a token of x meets the tokens of y; over time (`temporal`) each token is
    by itself and a timestep of x meets the timesteps of y. x: spikes, integers [T, N, P, D]; y: the same, over space
    with a P of its own. Returns spikes of the shape of x. Source: the public code of S-CMRL, 2025.
    """

    def __init__(self, width: int, heads: int, temporal: bool, config: SpikingConfig, rng: np.random.Generator) -> None:
        self.heads, self.temporal = heads, temporal
        self.q, self.k, self.v = (LinearBNNeuron(width, width, config, rng, bias=False) for _ in range(3))
        self.neuron = config.make_neuron(ATTENTION_THRESHOLD)
        self.projection = LinearBNNeuron(width, width, config, rng, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        q, k, v = self.split(self.q(x)), self.split(self.k(y)), self.split(self.v(y))
        a = F.MatMul(self.dtype)(q, k.transpose(0, 1, 2, 4, 3)) @ v * SCALE
        a = a.transpose(3, 1, 0, 2, 4) if self.temporal else a.transpose(0, 1, 3, 2, 4)  # [T, N, P, heads, D / heads]
        return self.projection(self.neuron(a.reshape(x.shape)))

    def split(self, s: Tensor) -> Tensor:
        """Return spikes [T, N, P, D] as [T, N, heads, P, D / heads], or over time as [P, N, heads, T, D / heads]."""
        t, n, p, d = s.shape
        s = s.reshape(t, n, p, self.heads, d // self.heads)
        return s.transpose(2, 1, 3, 0, 4) if self.temporal else s.transpose(0, 1, 3, 2, 4)


class CrossAttention(nn.Module):
    """What y adds to x by attention over space, time, or both: the mean of the first over P times that of the second
    over T. x, y: spikes [T, N, P, D]. Returns spikes of the shape of x; with both, float.
    """

    def __init__(self, kind: str, width: int, heads: int, config: SpikingConfig, rng: np.random.Generator) -> None:
        self.spatial = SpikingCrossAttention(width, heads, False, config, rng) if "spatial" in kind else None
        self.temporal = SpikingCrossAttention(width, heads, True, config, rng) if "temporal" in kind else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.temporal is None:
            assert self.spatial is not None
            return self.spatial(x, y)
        if self.spatial is None:
            return self.temporal(x, y)
        over_space = F.Mean(2, keepdims=True, dtype=self.dtype)(self.spatial(x, y))  # [T, N, 1, D]
        return over_space * F.Mean(0, keepdims=True, dtype=self.dtype)(self.temporal(x, y))
