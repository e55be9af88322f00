"""Spikformer: self-attention of spikes without softmax (`--model spikformer`).

Source: Zhou et al., Spikformer: When Spiking Neural Network Meets Transformer, ICLR 2023, and their public code.

    x = PatchSplitting(image)                     spikes 0, 1, 2 [T, N, P, D]
    x = x + SSA(x),  x = x + MLP(x)               `depth` times; sums of spikes stay integers
    verdict = mean over t of W mean over tokens of x[t] + b

Neurons are LIF with tau 2, threshold 1 (0.5 behind the attention product), hard reset to 0 whose gradient is cut,
sigmoid surrogate of slope 4. The defaults are Spikformer-4-384 for CIFAR: 9,330,874 parameters with 3 channels and 10
classes, of which 6,144 belong to layer normalisations that their code makes and never calls (`--unused-modules`).

Inferred: how it takes two modalities, which the source never does: two networks whose features are concatenated before
one linear layer (`--fusion late`), or one over the channels of both inputs (`--fusion early`).
On a CPU the full width takes seconds a sample at 32x32 pixels; `--width 64 --depth 2 --attention-heads 4` is quick.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import Shape, switch
from misnet.models.parts.attention import PatchSplitting, SpikingMLP, SpikingSelfAttention, TransformerConfig
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.streams import FusionModel
from snncore import functions as F
from snncore import named_rng, nn
from snncore.tape import Tensor

__all__ = ["Config", "Spikformer", "build"]


@dataclass(frozen=True)
class Config(TransformerConfig, SpikingConfig):
    """The switches."""

    unused_modules: bool = switch(False, "also build the layer normalisations that the public code never calls")

    @property
    def title(self) -> str:
        return f"Spikformer-{self.depth}-{self.width}"


class Block(nn.Module):
    """x + SSA(x), then x + MLP(x): integers [T, N, P, D]."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.attention = SpikingSelfAttention(config.width, config.attention_heads, config, rng)
        self.mlp = SpikingMLP(config.width, config.mlp_ratio, config, rng)
        self.unused = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2)) if config.unused_modules else None
        self.join = F.SEW("add")

    def forward(self, x: Tensor) -> Tensor:
        x = self.join(self.attention(x), x)
        return self.join(self.mlp(x), x)


class Encoder(nn.Module):
    """Patch splitting, blocks, mean over the tokens: [T, N, H, W, C] to features [T, N, D]."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        self.patches = PatchSplitting(shape, config.width, config, rng)
        self.blocks = nn.Sequential([Block(config, rng) for _ in range(config.depth)])

    def forward(self, x: Tensor) -> Tensor:
        return F.Mean(2, dtype=self.dtype)(self.blocks(self.patches(x)))  # [T, N, D]


class Spikformer(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: Encoder(shape, config, rng), config.width, rng)


build = Spikformer
