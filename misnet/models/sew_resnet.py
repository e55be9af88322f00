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
one network over the channels of both inputs (`--fusion early`). `--head sum`, `hadamard`, `mlp` and `attention` are the
columns of Table 6 of MISNet's paper, which gives them no form: with late fusion they fuse the features in place of the
concatenation, with early fusion the inputs, pixel by pixel (`parts/fuse.py`); one of a single channel is repeated.
The source feeds an image to the first convolution once and its result to the neurons T times; here every timestep has
an input of its own, which gives the same numbers where they are equal.

On a CPU 224x224 pixels are impractical, and so is the full width with the CIFAR stem above 32x32 pixels.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import ConfigError, Shape, switch
from misnet.models.parts.fuse import FUSIONS, FusedInputs, PooledFusionHead
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.resnet import ConvBNNeuron, ResNet, ResNetConfig, SEWBlock
from misnet.models.parts.streams import FusionModel
from snncore import named_rng, nn
from snncore.functions.sew import CONNECTS
from snncore.nn import NEURONS
from snncore.surrogate import SURROGATES
from snncore.tape import Tensor

__all__ = ["Config", "SEWResNet18", "build"]


@dataclass(frozen=True)
class Config(ResNetConfig, SpikingConfig):
    """The switches."""

    connect: str = switch("add", "how a block joins its branch and its input", CONNECTS)
    neuron: str = switch("if", "neuron: if, lif, plif or clif", tuple(NEURONS))
    surrogate: str = switch("atan", "surrogate gradient of the step", tuple(SURROGATES))
    head: str = switch("concat", "how two modalities are fused: their features (late) or inputs (early)", FUSIONS)

    @property
    def title(self) -> str:
        return "SEW-ResNet18"

    def check(self) -> None:
        super().check()
        if self.head != "concat" and self.streams != "both":
            raise ConfigError(f"head: {self.head} fuses two streams, found streams {self.streams!r}; expected concat")
        if self.fusion == "early" and self._fused_channels() is None:
            raise ConfigError(
                f"head: {self.head} fuses inputs of as many channels each, or one of a single channel, found "
                f"{self.audio_channels} of audio and {self.visual_channels} of vision; expected concat"
            )

    def _fused_channels(self) -> int | None:
        return FusedInputs.channels(self.audio_channels, self.visual_channels, self.head)

    def encoder_inputs(self) -> dict[str, Shape]:
        inputs = super().encoder_inputs()
        return (
            {name: (*s[:-1], self._fused_channels() or 0) for name, s in inputs.items()} if "both" in inputs else inputs
        )


class SEWResNet18(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config
    inputs: FusedInputs | None = None

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")

        def layer(ci: int, co: int, kernel: int, stride: int) -> ConvBNNeuron:
            return ConvBNNeuron(ci, co, kernel, stride, config, rng)

        def block(ci: int, co: int, stride: int) -> SEWBlock:
            return SEWBlock(ci, co, stride, config, config.connect, rng)

        super().__init__(config, lambda shape: ResNet(shape, config, layer, block), config.channels[-1], rng)
        if config.fusion == "early" and config.head != "concat":
            channels = max(config.audio_channels, config.visual_channels)
            self.inputs = FusedInputs(channels, config.head, rng)

    def make_head(self, features: int, rng: np.random.Generator) -> nn.Module:
        """Return the head over the features of two encoders as the switch says."""
        config = self.config
        if config.fusion == "early" or config.head == "concat":
            return super().make_head(features, rng)
        return PooledFusionHead(features, config.classes, config.head, rng)

    def encode(self, *streams: Tensor) -> list[Tensor]:
        """Return the features [T, N, F] of each encoder, of fused inputs with early fusion."""
        return super().encode(*streams) if self.inputs is None else [self.encoders["both"](self.inputs(*streams))]


build = SEWResNet18
