"""SMMT: a spiking transformer for each modality, and spiking cross-attention between them (`--model smmt`).

Source: Guo et al., Transformer-Based Spiking Neural Networks for Multimodal Audiovisual Classification, IEEE TCDS 2023
(16, 3, 2024). There is no public code; the published summary says: a subnetwork for each modality, fused by spiking
cross-attention. What follows is one network of that description, not theirs to the letter.

    x_m = Spikformer blocks(PatchSplitting(input_m)),  m = a, v          `depth` blocks, integers [T, N, P_m, D]
    y_a = x_a + SCA_a(x_a, x_v),  y_v = x_v + SCA_v(x_v, x_a)            queries of one, keys and values of the other
    y_m = y_m + MLP_m(y_m)                                               `cross_depth` times
    verdict = mean over t of W [mean over tokens of y_a[t]; mean over tokens of y_v[t]] + b

SCA is spiking self-attention (Spikformer) whose keys and values come from the other modality; no softmax, as all are
spikes. Both directions read what the other had before the block.

Inferred: all but these words: that the subnetworks are Spikformer's (as its neurons: LIF, tau 2, hard reset whose
gradient is cut, sigmoid surrogate), both directions of attention, the MLP and the shortcuts of the cross block, the
head over both, and the sizes. MISNet's Table 2 prints 9.99 M parameters. Of widths 256, 288, 320 and 384 with up to 4
blocks, up to 2 cross blocks and MLPs of ratio 4, width 256 comes nearest, with 4 blocks and 1 cross block or 3 and 2:
9,896,458 (1 and 3 channels, 10 classes), 0.9% less; the first is the default. Heads have 32 channels, as Spikformer's.
With one stream it is the subnetwork of that modality alone.
On a CPU a training step of full width takes a third of a second a sample at 32x32 pixels (two cores);
`--width 64 --depth 1 --attention-heads 2` is quick.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import Shape, switch
from misnet.models.contract import Scores
from misnet.models.parts.attention import PatchSplitting, SpikingMLP, SpikingSelfAttention, TransformerConfig
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.streams import FusionModel
from snncore import functions as F
from snncore import named_rng, nn
from snncore.tape import Tensor

__all__ = ["SMMT", "Config", "CrossBlock", "build"]


@dataclass(frozen=True)
class Config(TransformerConfig, SpikingConfig):
    """The switches."""

    width: int = switch(256, "D, channels of a token")
    attention_heads: int = switch(8, "parts that attention is computed in")
    cross_depth: int = switch(1, "blocks of cross-attention between the modalities, behind both encoders")

    @property
    def title(self) -> str:
        return "SMMT"

    def check(self) -> None:
        super().check()
        self.require("fusion", self.fusion == "late", "late, as each modality has an encoder of its own")
        self.require("cross_depth", self.cross_depth >= 0, "an integer of at least 0")


class Block(nn.Module):
    """Spikformer's block: y = x + SSA(x), then y + MLP(y); with `other` SCA(x, other) in place of SSA(x).

    x, other: integers [T, N, P, D] and [T, N, P', D]. Returns integers of the shape of x.
    """

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.attention = SpikingSelfAttention(config.width, config.attention_heads, config, rng)
        self.mlp = SpikingMLP(config.width, config.mlp_ratio, config, rng)
        self.join = F.SEW("add")

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        y = self.join(self.attention(x, other), x)
        return self.join(self.mlp(y), y)


class CrossBlock(nn.Module):
    """Both directions at once: (x_a, x_v) to (y_a, y_v), integers [T, N, P_a, D] and [T, N, P_v, D]."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.audio, self.visual = Block(config, rng), Block(config, rng)

    def forward(self, x_a: Tensor, x_v: Tensor) -> tuple[Tensor, Tensor]:
        return self.audio(x_a, x_v), self.visual(x_v, x_a)


class Encoder(nn.Module):
    """Patch splitting and blocks: [T, N, H, W, C] to integers [T, N, P, D]."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        self.patches = PatchSplitting(shape, config.width, config, rng)
        self.blocks = nn.Sequential([Block(config, rng) for _ in range(config.depth)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.patches(x))


class SMMT(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: Encoder(shape, config, rng), config.width, rng)
        crossing = config.cross_depth if len(self.encoders) == 2 else 0
        self.cross = nn.ModuleList(CrossBlock(config, rng) for _ in range(crossing))

    def forward(self, *streams: Tensor) -> Scores:
        tokens = self.encode(*streams)
        for block in self.cross:
            tokens = list(block(*tokens))
        (name,) = self.heads
        return {name: self.head(*map(F.Mean(2, dtype=self.dtype), tokens))}  # features [T, N, D]


build = SMMT
