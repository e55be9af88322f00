"""Spiking self-attention, spiking MLP and the spiking patch splitting of spiking transformers, without softmax.

Tokens are the pixels of the last map: [T, N, P, D], P = H W tokens of D channels.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from misnet.models.config import ConfigError, ModelConfig, Shape, switch
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.resnet import ConvBN, ConvBNNeuron
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = [
    "LinearBNNeuron",
    "MembranePatchSplitting",
    "PatchSplitting",
    "SpikingMLP",
    "SpikingSelfAttention",
    "TransformerConfig",
]

HALVINGS = 2  # of patch splitting for small images: the third and the fourth convolution are pooled
ATTENTION_THRESHOLD = 0.5  # of the neuron behind an attention product, in the sources


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """Switches of a spiking transformer for small images."""

    width: int = switch(384, "D, channels of a token")
    depth: int = switch(4, "blocks")
    attention_heads: int = switch(12, "parts that attention is computed in")
    mlp_ratio: int = switch(4, "hidden channels of an MLP for each of a token")

    def check(self) -> None:
        super().check()
        for name in ("width", "attention_heads", "mlp_ratio"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        self.require("depth", self.depth >= 0, "an integer of at least 0")
        self.require("width", self.width % 8 == 0, "a multiple of 8, which the first convolution divides it by")
        if self.width % self.attention_heads:
            raise ConfigError(
                f"attention_heads: expected a divisor of the width {self.width}, found {self.attention_heads}"
            )
        for name, (_, height, width, _) in self.encoder_inputs().items():  # type: ignore[attr-defined]
            if height % (1 << HALVINGS) or width % (1 << HALVINGS):
                raise ConfigError(
                    f"size: patch splitting halves the {name} input {HALVINGS} times; expected a multiple of "
                    f"{1 << HALVINGS} pixels, found {height}x{width}"
                )


class LinearBNNeuron(nn.Module):
    """s = SN(BN(W x + b)), b if bias: spikes, uint8 [..., Co], of x [T, N, ..., Ci]."""

    def __init__(self, ci: int, co: int, config: SpikingConfig, rng: np.random.Generator, bias: bool = True) -> None:
        self.linear = nn.Linear(ci, co, bias=bias, rng=rng)
        self.bn = nn.BatchNorm(co)
        self.neuron = config.make_neuron()

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron(self.linear(x), self.bn)


class SpikingSelfAttention(nn.Module):
    """Spiking self-attention: no softmax, since q, k and v are spikes and their products are never negative.

        q, k, v = SN(BN(W x)),   a = SN_0.5(scale (q k^T) v) for each head,   y = SN(BN(W a))

    x: spikes, integers [T, N, P, D]. other: spikes [T, N, P', D] that keys and values are made of in place of x, which
    is cross-attention. Returns spikes of the shape of x. Source: Zhou et al., Spikformer, ICLR 2023, Eqs. 7 to 10;
    scale 0.125 and threshold 0.5 are those of their code.
    """

    def __init__(self, width: int, heads: int, config: SpikingConfig, rng: np.random.Generator, scale: float = 0.125):
        self.heads, self.scale = heads, scale
        self.q, self.k, self.v = (LinearBNNeuron(width, width, config, rng) for _ in range(3))
        self.neuron = config.make_neuron(ATTENTION_THRESHOLD)
        self.projection = LinearBNNeuron(width, width, config, rng)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        t, n, p, d = x.shape
        other = x if other is None else other

        def split(s: Tensor) -> Tensor:
            parts = s.reshape(t, n, s.shape[2], self.heads, d // self.heads)
            return parts.transpose(0, 1, 3, 2, 4)  # [T, N, heads, P, D / heads]

        q, k, v = split(self.q(x)), split(self.k(other)), split(self.v(other))
        a = F.MatMul(self.dtype)(q, k.transpose(0, 1, 2, 4, 3)) @ v  # [T, N, heads, P, D / heads]
        a = self.neuron(a * self.scale).transpose(0, 1, 3, 2, 4).reshape(t, n, p, d)
        return self.projection(a)


class SpikingMLP(nn.Module):
    """y = SN(BN(W2 SN(BN(W1 x)))), with `ratio` times as many hidden channels. x, y: spikes, integers [T, N, P, D]."""

    def __init__(self, width: int, ratio: int, config: SpikingConfig, rng: np.random.Generator) -> None:
        self.hidden = LinearBNNeuron(width, ratio * width, config, rng)
        self.out = LinearBNNeuron(ratio * width, width, config, rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x))


class PatchSplitting(nn.Module):
    """Spiking patch splitting with a conditional position embedding, for images of 32 pixels and the like.

        x = four times SN(BN(Conv3x3)), to D/8, D/4, D/2 and D channels; 3x3 max pooling, stride 2, after the last two
        (`halvings` of them)
        y = x + SN(BN(Conv3x3(x)))

    x: float [T, N, H, W, C]. Returns spikes, integers [T, N, H W / 16, D]. Source: Zhou et al., Spikformer, ICLR 2023,
    Section 3.2, and their code for CIFAR.
    """

    def __init__(
        self, shape: Shape, width: int, config: SpikingConfig, rng: np.random.Generator, halvings: int = HALVINGS
    ) -> None:
        self.halvings = halvings
        channels = (shape[-1], width // 8, width // 4, width // 2, width)
        pairs = itertools.pairwise(channels)
        self.convs = nn.ModuleList(ConvBNNeuron(ci, co, 3, 1, config, rng) for ci, co in pairs)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.position = ConvBNNeuron(width, width, 3, 1, config, rng)
        self.join = F.SEW("add")

    def forward(self, x: Tensor) -> Tensor:
        for k, conv in enumerate(self.convs):
            x = conv(x)
            if k >= len(self.convs) - self.halvings:
                x = self.pool(x)  # [T, N, H / 2, W / 2, C]
        x = self.join(x, self.position(x))
        t, n, h, w, d = x.shape
        return x.reshape(t, n, h * w, d)


class MembranePatchSplitting(nn.Module):
    """Patch splitting whose shortcut joins currents, before neurons, not spikes after them.

        x = three times SN(BN(Conv3x3)), the third pooled;  c = Pool(BN(Conv3x3(x)));  y = c + BN(Conv3x3(SN(c)))

    x: float [T, N, H, W, C]. Returns currents, float [T, N, H W / 16, D]. Source: Yao et al., Spike-driven Transformer,
    NeurIPS 2023, Section 3.1, and their code for CIFAR.
    """

    def __init__(self, shape: Shape, width: int, config: SpikingConfig, rng: np.random.Generator) -> None:
        channels = (shape[-1], width // 8, width // 4, width // 2)
        pairs = itertools.pairwise(channels)
        self.convs = nn.ModuleList(ConvBNNeuron(ci, co, 3, 1, config, rng) for ci, co in pairs)
        self.last = ConvBN(width // 2, width, 3, 1, rng)
        self.neuron = config.make_neuron()
        self.position = ConvBN(width, width, 3, 1, rng)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
        c = self.pool(self.last(self.pool(x)))  # [T, N, H / 4, W / 4, D]
        c = c + self.position(self.neuron(c))
        t, n, h, w, d = c.shape
        return c.reshape(t, n, h * w, d)
