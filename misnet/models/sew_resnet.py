"""SEW-ResNet18: a residual network whose blocks join spikes with spikes (`--model sew-resnet18`).

Source: Fang et al., Deep Residual Learning in Spiking Neural Networks, NeurIPS 2021, Section 3.2 and their public code.

    o[t] = g(a[t], s[t]),  a = SN(BN(Conv(SN(BN(Conv(s))))))
    g:  add a + s,   and a * s,   iand (1 - a) * s
    downsampling block: s' = SN(BN(Conv1x1(s))) in place of s
    verdict = mean over t of W mean over pixels of o[t] + b

SN is IF with threshold 1, hard reset to 0 whose gradient is cut, arc tangent surrogate (of slope 2, as in their code);
LIF and PLIF are switches. With three input channels, 1000 classes and the ImageNet stem it has 11,689,512 parameters,
as ResNet18 has.

Inferred: the stem for small images (3x3, stride 1, no pooling, as is usual for CIFAR), and how it takes two modalities,
which the source never does: two networks whose features are concatenated before one linear layer (`--fusion late`), or
one network over the channels of both inputs (`--fusion early`).
The source feeds an image to the first convolution once and its result to the neurons T times; here every timestep has
an input of its own, which gives the same numbers where they are equal.

On a CPU 224x224 pixels are impractical, and so is the full width with the CIFAR stem above 32x32 pixels.
"""

from dataclasses import dataclass

from misnet.models.config import switch
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.resnet import ConvBNNeuron, ResNet, ResNetConfig, SEWBlock
from misnet.models.parts.streams import FusionModel
from snncore import named_rng
from snncore.functions.sew import CONNECTS
from snncore.nn import NEURONS
from snncore.surrogate import SURROGATES

__all__ = ["Config", "SEWResNet18", "build"]


@dataclass(frozen=True)
class Config(ResNetConfig, SpikingConfig):
    """The switches."""

    connect: str = switch("add", "how a block joins its branch and its input", CONNECTS)
    neuron: str = switch("if", "neuron: if, lif, plif or clif", tuple(NEURONS))
    surrogate: str = switch("atan", "surrogate gradient of the step", tuple(SURROGATES))

    @property
    def title(self) -> str:
        return "SEW-ResNet18"


class SEWResNet18(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")

        def layer(ci: int, co: int, kernel: int, stride: int) -> ConvBNNeuron:
            return ConvBNNeuron(ci, co, kernel, stride, config, rng)

        def block(ci: int, co: int, stride: int) -> SEWBlock:
            return SEWBlock(ci, co, stride, config, config.connect, rng)

        super().__init__(config, lambda shape: ResNet(shape, config, layer, block), config.channels[-1], rng)


build = SEWResNet18
