"""SpikingResformer-Ti: stages of attention between patches and pixels (`--model spikingresformer-ti`).

Source: Shi et al., SpikingResformer: Bridging ResNet and Vision Transformer in Spiking Neural Networks, CVPR 2024, and
their public code.

    x = BN(Conv3x3(image))                                    currents [T, N, H, W, 64]
    stage k > 0 begins with x = BN(Conv3x3, stride 2 (SN(x)))
    x = x + DSSA(x),  x = x + GWFFN(x)                        `blocks` times in each stage
    verdict = mean over t of W mean over pixels of x[t]

    DSSA:   s = SN(x),  [y1; y2] = BN(Conv p x p, stride p (s)) for each head,  L patches in all
            a = SN(s y1^T / sqrt(rate_s d)),   DSSA(x) = BN(Conv1x1(SN(a y2 / sqrt(rate_a L))))
    GWFFN:  u = BN(Conv1x1(SN(x))),  u = u + BN(GroupedConv3x3(SN(u))),  GWFFN(x) = BN(Conv1x1(SN(u)))

rate_s and rate_a are running means of the spikes of each head, d its channels (Eqs. 8 and 13 of the paper): the first
batch is taken whole, and later ones with weight 0.001. Neurons are LIF with tau 2 that divide the current by it,
threshold 1, hard reset to 0 whose gradient is cut, arc tangent surrogate. 10,793,152 parameters with 3 channels and 10
classes; the paper prints 10.79 million. The last linear layer has no bias, as in their code.

Inferred: how it takes two modalities, which the source never does: two networks whose features are concatenated before
one linear layer (`--fusion late`), or one over the channels of both inputs (`--fusion early`). And what is done before
any rate is known, or where a head never fired: the rate counts as 1, where their code divides by 0.
On a CPU the full width takes seconds a sample at 32x32 pixels; `--channels 16,32,64 --blocks 1,1,1 --attention-heads
1,2,4 --group 16` is quick.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import ConfigError, Shape, switch
from misnet.models.parts.dual_attention import DSSA, GWFFN, InitialConvBN
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.streams import FusionModel, PooledHead
from snncore import named_rng, nn
from snncore.surrogate import SURROGATES
from snncore.tape import Tensor

__all__ = ["Config", "SpikingResformer", "build"]


@dataclass(frozen=True)
class Config(SpikingConfig):
    """The switches."""

    surrogate: str = switch("atan", "surrogate gradient of the step", tuple(SURROGATES))
    channels: tuple[int, ...] = switch((64, 192, 384), "channels of each stage, as 64,192,384")
    blocks: tuple[int, ...] = switch((1, 2, 3), "pairs of DSSA and GWFFN of each stage")
    attention_heads: tuple[int, ...] = switch((1, 3, 6), "heads of each stage")
    patches: tuple[int, ...] = switch((4, 2, 1), "height and width of a patch in each stage, in its pixels")
    mlp_ratio: int = switch(4, "hidden channels of a GWFFN for each of a token")
    group: int = switch(64, "channels of a group in the grouped convolution")

    @property
    def title(self) -> str:
        return "SpikingResformer-Ti"

    def check(self) -> None:
        super().check()
        for name in ("channels", "blocks", "attention_heads", "patches"):
            value = getattr(self, name)
            good = len(value) > 0 and all(isinstance(n, int) and n >= 1 for n in value)
            self.require(name, good, "positive integers, one a stage")
            if len(value) != len(self.channels):
                raise ConfigError(f"{name}: expected {len(self.channels)} numbers, one a stage, found {value}")
        for name in ("mlp_ratio", "group"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        for k, (c, heads, p) in enumerate(zip(self.channels, self.attention_heads, self.patches, strict=True)):
            if c % heads:
                raise ConfigError(f"attention_heads: expected a divisor of {c} channels in stage {k}, found {heads}")
            if c * self.mlp_ratio % self.group:
                raise ConfigError(
                    f"group: expected a divisor of {c * self.mlp_ratio} hidden channels in stage {k}, "
                    f"found {self.group}"
                )
            for name, (_, height, width, _) in self.encoder_inputs().items():
                if height % (p << k) or width % (p << k):
                    raise ConfigError(
                        f"size: stage {k} cuts the {name} input into patches of {p << k} of its pixels; expected a "
                        f"multiple, found {height}x{width}"
                    )


class Encoder(nn.Module):
    """Stem, stages, mean over pixels: [T, N, H, W, C] to currents [T, N, channels[-1]]."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        layers: list[nn.Module] = []
        ci = config.channels[0]
        self.stem = InitialConvBN(shape[-1], ci, 3, 1, 1, rng)
        _, height, width, _ = shape
        for k, co in enumerate(config.channels):
            if k > 0:
                layers.append(Downsample(ci, co, config, rng))
            p, ci = config.patches[k], co
            count = (height // (p << k)) * (width // (p << k))  # L, patches of this stage
            for _ in range(config.blocks[k]):
                layers.append(DSSA(co, config.attention_heads[k], p, count, config, rng))
                layers.append(GWFFN(co, config.mlp_ratio, config.group, config, rng))
        self.stages = nn.Sequential(layers)
        self.mean = nn.GlobalAvgPool()

    def forward(self, x: Tensor) -> Tensor:
        return self.mean(self.stages(self.stem(x)))  # [T, N, channels[-1]]


class Downsample(nn.Module):
    """BN(Conv3x3(SN(x))) with stride 2: currents [T, N, H, W, Ci] to [T, N, H / 2, W / 2, Co]."""

    def __init__(self, ci: int, co: int, config: Config, rng: np.random.Generator) -> None:
        self.neuron = config.make_neuron()
        self.conv = InitialConvBN(ci, co, 3, 2, 1, rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.neuron(x))


class SpikingResformer(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: Encoder(shape, config, rng), config.channels[-1], rng)

    def make_head(self, features: int, rng: np.random.Generator) -> PooledHead:
        head = PooledHead((features,) * len(self.encoders), self.config.classes, rng)
        head.linear.bias = None
        return head


build = SpikingResformer
