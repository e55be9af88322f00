"""ResNets: the switches, the three kinds of residual block (SEW, spiking, ReLU), and the encoder built of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet.models.config import ConfigError, ModelConfig, Shape, switch
from misnet.models.parts.neurons import SpikingConfig
from snncore import functions as F
from snncore import nn
from snncore.nn.init import kaiming_normal
from snncore.tape import Tensor

__all__ = ["ConvBN", "ConvBNNeuron", "ReLUBlock", "ResNet", "ResNetConfig", "SEWBlock", "SpikingBlock", "relu_resnet"]


@dataclass(frozen=True)
class ResNetConfig(ModelConfig):
    """Switches of the residual encoder; the defaults are ResNet18."""

    stem: str = switch(
        "cifar",
        "first layer; imagenet: 7x7, stride 2, then 3x3 max pooling, stride 2; cifar: 3x3, stride 1",
        ("cifar", "imagenet"),
    )
    channels: tuple[int, ...] = switch((64, 128, 256, 512), "channels of each stage, as 64,128,256,512")
    blocks: tuple[int, ...] = switch((2, 2, 2, 2), "residual blocks of each stage, as 2,2,2,2")
    zero_init: bool = switch(False, "begin with residual branches that give nothing, so that blocks are identities")

    def check(self) -> None:
        super().check()
        for name in ("channels", "blocks"):
            value = getattr(self, name)
            good = len(value) > 0 and all(isinstance(n, int) and n >= 1 for n in value)
            self.require(name, good, "positive integers, one a stage")
        if len(self.channels) != len(self.blocks):
            raise ConfigError(f"blocks: expected {len(self.channels)} numbers, one a stage, found {self.blocks}")


class ConvBN(nn.Module):
    """BN(Conv(x)): a square convolution without bias that keeps the size up to its stride, [T, N, H, W, Ci] to Co.

    Initial weights: normal with variance 2 / (k k Co), He et al. 2015 counted by outputs.
    """

    def __init__(self, ci: int, co: int, kernel: int, stride: int, rng: np.random.Generator) -> None:
        self.conv = nn.Conv2d(ci, co, kernel, stride, kernel // 2, bias=False, rng=rng)
        self.conv.weight = nn.Parameter(kaiming_normal(rng, self.conv.weight.shape, kernel * kernel * co))
        self.bn = nn.BatchNorm(co)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class ConvBNNeuron(ConvBN):
    """Neuron(BN(Conv(x))): spikes, uint8 [T, N, H / stride, W / stride, Co]."""

    def __init__(
        self, ci: int, co: int, kernel: int, stride: int, config: SpikingConfig, rng: np.random.Generator
    ) -> None:
        super().__init__(ci, co, kernel, stride, rng)
        self.neuron = config.make_neuron()

    def forward(self, x: Tensor) -> Tensor:
        return nn.conv_norm_neuron(x, self.conv, self.bn, self.neuron)


class ConvBNReLU(ConvBN):
    """ReLU(BN(Conv(x)))."""

    def forward(self, x: Tensor) -> Tensor:
        return F.ReLU()(self.bn(self.conv(x)))


def projects(ci: int, co: int, stride: int) -> bool:
    """Whether a shortcut needs a 1x1 convolution, since the block changes channels or size."""
    return ci != co or stride != 1


class SEWBlock(nn.Module):
    """Spike-element-wise block: o = g(SN(BN(Conv(SN(BN(Conv(s)))))), s'), with s' = s or SN(BN(Conv1x1(s))).

    g: add, and or iand (`functions.SEW`). s: spikes, uint8 [T, N, H, W, Ci]. Returns uint8 [T, N, H', W', Co].
    """

    def __init__(
        self, ci: int, co: int, stride: int, config: SpikingConfig, connect: str, rng: np.random.Generator
    ) -> None:
        self.c1 = ConvBNNeuron(ci, co, 3, stride, config, rng)
        self.c2 = ConvBNNeuron(co, co, 3, 1, config, rng)
        self.shortcut = ConvBNNeuron(ci, co, 1, stride, config, rng) if projects(ci, co, stride) else None
        self.connect = F.SEW(connect)

    def forward(self, s: Tensor) -> Tensor:
        return self.connect(self.c2(self.c1(s)), s if self.shortcut is None else self.shortcut(s))

    def zero_branch(self) -> None:
        """Make the block an identity: the branch never fires, or always where the connection is an AND."""
        self.c2.bn.weight.data[...] = 0
        if self.connect.connect == "and":
            self.c2.bn.bias.data[...] = self.c2.neuron.firing.v_threshold


class SpikingBlock(nn.Module):
    """Block of a spiking ResNet, which fires after the addition: o = SN(BN(Conv(SN(BN(Conv(s))))) + s').

    s' = s or BN(Conv1x1(s)). s: spikes, uint8 [T, N, H, W, Ci]. Returns uint8 [T, N, H', W', Co], 0 or 1.
    """

    def __init__(self, ci: int, co: int, stride: int, config: SpikingConfig, rng: np.random.Generator) -> None:
        self.c1 = ConvBNNeuron(ci, co, 3, stride, config, rng)
        self.c2 = ConvBN(co, co, 3, 1, rng)
        self.shortcut = ConvBN(ci, co, 1, stride, rng) if projects(ci, co, stride) else None
        self.neuron = config.make_neuron()

    def forward(self, s: Tensor) -> Tensor:
        return self.neuron(self.c2(self.c1(s)) + (s if self.shortcut is None else self.shortcut(s)))

    def zero_branch(self) -> None:
        """Make the branch add nothing."""
        self.c2.bn.weight.data[...] = 0


class ReLUBlock(nn.Module):
    """Basic block of He et al. 2016: y = ReLU(BN(Conv(ReLU(BN(Conv(x))))) + x'), x' = x or BN(Conv1x1(x))."""

    def __init__(self, ci: int, co: int, stride: int, rng: np.random.Generator) -> None:
        self.c1 = ConvBNReLU(ci, co, 3, stride, rng)
        self.c2 = ConvBN(co, co, 3, 1, rng)
        self.shortcut = ConvBN(ci, co, 1, stride, rng) if projects(ci, co, stride) else None

    def forward(self, x: Tensor) -> Tensor:
        return F.ReLU()(self.c2(self.c1(x)) + (x if self.shortcut is None else self.shortcut(x)))

    def zero_branch(self) -> None:
        """Make the branch add nothing."""
        self.c2.bn.weight.data[...] = 0


class ResNet(nn.Module):
    """Stem, stages of residual blocks, mean over the pixels: [T, N, H, W, C] to features [T, N, channels[-1]].

    Every stage but the first halves the size in its first block. layer: called as layer(ci, co, kernel, stride),
    returns the first layer. block: called as block(ci, co, stride). Timesteps meet in neurons and BatchNorm alone.
    """

    def __init__(
        self,
        shape: Shape,
        config: ResNetConfig,
        layer: Callable[[int, int, int, int], nn.Module],
        block: Callable[[int, int, int], Any],
    ) -> None:
        imagenet, ci = config.stem == "imagenet", config.channels[0]
        self.stem = layer(shape[-1], ci, 7, 2) if imagenet else layer(shape[-1], ci, 3, 1)
        self.pool = nn.MaxPool2d(3, 2, 1) if imagenet else None
        stages = []
        for k, (co, count) in enumerate(zip(config.channels, config.blocks, strict=True)):
            blocks = [block(ci, co, 1 if k == 0 else 2), *(block(co, co, 1) for _ in range(count - 1))]
            if config.zero_init:
                for made in blocks:
                    made.zero_branch()
            stages.append(nn.Sequential(blocks))
            ci = co
        self.stages = nn.Sequential(stages)
        self.mean = nn.GlobalAvgPool()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # [T, N, H', W', channels[0]]
        if self.pool is not None:
            x = self.pool(x)
        return self.mean(self.stages(x))  # [T, N, channels[-1]]


def relu_resnet(shape: Shape, config: ResNetConfig, rng: np.random.Generator) -> ResNet:
    """Return the encoder of He et al. 2016, which does not spike; it takes each timestep as an image of its own."""

    def layer(ci: int, co: int, kernel: int, stride: int) -> ConvBNReLU:
        return ConvBNReLU(ci, co, kernel, stride, rng)

    def block(ci: int, co: int, stride: int) -> ReLUBlock:
        return ReLUBlock(ci, co, stride, rng)

    return ResNet(shape, config, layer, block)
