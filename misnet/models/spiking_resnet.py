"""Spiking ResNet18, which fires after the addition of each block (`--model spiking-resnet18`).

Source: the network that Fang et al., Deep Residual Learning in Spiking Neural Networks, NeurIPS 2021, compare theirs
with (Section 3.1 and their public code); the block is that of ResNet with neurons for ReLU.

    o[t] = SN(BN(Conv(SN(BN(Conv(s))))) + s)[t]
    downsampling block: BN(Conv1x1(s)) in place of the last s
    verdict = mean over t of W mean over pixels of o[t] + b

SN is IF with threshold 1, hard reset to 0 whose gradient is cut, arc tangent surrogate. With three input channels, 1000
classes and the ImageNet stem it has 11,689,512 parameters. They train it with `zero_init` on.

Inferred: the stem for small images and the fusion of two modalities, as in sew_resnet.py. What is impractical on a CPU
is the same.
"""

from dataclasses import dataclass

from misnet.models.config import switch
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.resnet import ConvBNNeuron, ResNet, ResNetConfig, SpikingBlock
from misnet.models.parts.streams import FusionModel
from snncore import named_rng
from snncore.nn import NEURONS
from snncore.surrogate import SURROGATES

__all__ = ["Config", "SpikingResNet18", "build"]


@dataclass(frozen=True)
class Config(ResNetConfig, SpikingConfig):
    """The switches."""

    neuron: str = switch("if", "neuron: if, lif, plif or clif", tuple(NEURONS))
    surrogate: str = switch("atan", "surrogate gradient of the step", tuple(SURROGATES))

    @property
    def title(self) -> str:
        return "Spiking-ResNet18"


class SpikingResNet18(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")

        def layer(ci: int, co: int, kernel: int, stride: int) -> ConvBNNeuron:
            return ConvBNNeuron(ci, co, kernel, stride, config, rng)

        def block(ci: int, co: int, stride: int) -> SpikingBlock:
            return SpikingBlock(ci, co, stride, config, rng)

        super().__init__(config, lambda shape: ResNet(shape, config, layer, block), config.channels[-1], rng)


build = SpikingResNet18
