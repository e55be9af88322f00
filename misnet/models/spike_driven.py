"""Spike-driven Transformer: attention by masks, residuals of currents (`--model spike-driven-transformer`).

Source: Yao et al., Spike-driven Transformer, NeurIPS 2023, and their public code.

    c = MembranePatchSplitting(image)                                  currents [T, N, P, D]
    q, k, v = SN(BN(Conv1x1(SN(c)))),  m = SN_0.5(sum over tokens of k * v)
    c = c + BN(Conv1x1(q * m)),        c = c + BN(Conv1x1(SN(BN(Conv1x1(SN(c))))))      `depth` times
    verdict = mean over t of W SN(mean over tokens of c[t]) + b

k * v, q * m are masks: no multiplication. Neurons are LIF with tau 2, threshold 1 (0.5 for m), hard reset to 0 whose
gradient is cut, sigmoid surrogate. The defaults are 2-512 with 8 heads for CIFAR. Heads split nothing here, as the sum
is over tokens and each channel stands alone; they are a switch for the paper's name only and must divide the width.

Inferred: how it takes two modalities, which the source never does: two networks whose features are concatenated before
one linear layer (`--fusion late`), or one over the channels of both inputs (`--fusion early`). Left out: the 1x1
convolution over heads that their code makes and never calls.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import Shape, switch
from misnet.models.parts.attention import (
    ATTENTION_THRESHOLD,
    LinearBNNeuron,
    MembranePatchSplitting,
    TransformerConfig,
)
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.streams import FusionModel
from snncore import functions as F
from snncore import named_rng, nn
from snncore.tape import Tensor

__all__ = ["Config", "SpikeDrivenTransformer", "build"]


@dataclass(frozen=True)
class Config(TransformerConfig, SpikingConfig):
    """The switches."""

    width: int = switch(512, "D, channels of a token")
    depth: int = switch(2, "blocks")
    attention_heads: int = switch(8, "parts that attention is computed in; each channel stands alone all the same")

    @property
    def title(self) -> str:
        return f"SpikeDrivenTransformer-{self.depth}-{self.width}"


class SpikeDrivenAttention(nn.Module):
    """y = BN(W (q * SN_0.5(sum over tokens of k * v))), q, k, v = SN(BN(W SN(c))): currents [T, N, P, D]."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        d = config.width
        self.neuron = config.make_neuron()
        self.q, self.k, self.v = (LinearBNNeuron(d, d, config, rng, bias=False) for _ in range(3))
        self.mask = config.make_neuron(ATTENTION_THRESHOLD)
        self.linear, self.bn = nn.Linear(d, d, rng=rng), nn.BatchNorm(d)
        self.both = F.SEW("and")

    def forward(self, c: Tensor) -> Tensor:
        s = self.neuron(c)
        q, k, v = self.q(s), self.k(s), self.v(s)
        m = self.mask(F.Cast(c.dtype)(self.both(k, v)).sum(2, keepdims=True))  # [T, N, 1, D]
        return self.bn(self.linear(q * m))


class Block(nn.Module):
    """c + attention, then c + MLP: currents [T, N, P, D]."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        d, hidden = config.width, config.mlp_ratio * config.width
        self.attention = SpikeDrivenAttention(config, rng)
        self.neuron = config.make_neuron()
        self.hidden = LinearBNNeuron(d, hidden, config, rng)
        self.linear, self.bn = nn.Linear(hidden, d, rng=rng), nn.BatchNorm(d)

    def forward(self, c: Tensor) -> Tensor:
        c = c + self.attention(c)
        return c + self.bn(self.linear(self.hidden(self.neuron(c))))


class Encoder(nn.Module):
    """Patch splitting, blocks, mean over the tokens, a neuron: [T, N, H, W, C] to spikes [T, N, D]."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        self.patches = MembranePatchSplitting(shape, config.width, config, rng)
        self.blocks = nn.Sequential([Block(config, rng) for _ in range(config.depth)])
        self.neuron = config.make_neuron()

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron(self.blocks(self.patches(x)).mean(2))  # [T, N, D]


class SpikeDrivenTransformer(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: Encoder(shape, config, rng), config.width, rng)


build = SpikeDrivenTransformer
