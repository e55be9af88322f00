"""EMSNN: a spiking CNN for vision, a recurrent spiking layer for audio, weighed by attention (`--model emsnn`).

Source: Liu et al., Event-based Multimodal Spiking Neural Network with Attention Mechanism, ICASSP 2022. There is no
public code. Known: a subnetwork for each modality, of a CNN and of recurrent spiking neurons (MISNet's Table 3 says
CNN-RNN), and an attention that weighs the two modalities by what they carry. What follows is one network of that
description, not theirs to the letter.

    vision:  x = Pool(SN(BN(Conv3x3(x)))) for each of `channels`,   g_v[t] = SN(BN(W x[t]))
    audio:   c[t] = BN(W x[t]) + U s[t-1],  g_a[t] = s[t] = SN(c[t]),  s[0] = 0
    fusion:  (w_a, w_v)[t] = softmax(A [g_a[t]; g_v[t]] + b),   verdict = mean over t of W [w_a g_a; w_v g_v][t] + b

Neurons are LIF with tau 2, threshold 1, hard reset to 0 whose gradient is cut, sigmoid surrogate. The gradient goes
back through U and through the membranes, over all timesteps.

Inferred: every size, batch normalisation, max pooling, the neurons, that the attention is one number a modality and a
timestep, made by one linear layer and a softmax from the features of both, and that the weighed features are joined
before one linear layer. The softmax is not spiking: two exponentials a timestep. Parameters: 1,402,924 with 1 and 3
channels of 32x32 pixels and 10 classes; no source prints a number. With one stream it is the subnetwork of that
modality and a linear layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet.models.config import Shape, switch
from misnet.models.parts.attention import LinearBNNeuron
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.resnet import ConvBNNeuron
from misnet.models.parts.streams import FusionModel
from snncore import at_timestep, named_rng, nn
from snncore import functions as F
from snncore.tape import Tensor

__all__ = ["EMSNN", "AttentionHead", "Config", "RecurrentLayer", "SpikingCNN", "build"]

STEPS: dict[str, Any] = {"lif": F.LIF, "if": F.LIF, "plif": F.PLIF, "clif": F.CLIF}
"""The operation of each kind of neuron: it takes the membrane that the timestep before has left, on the tape."""


@dataclass(frozen=True)
class Config(SpikingConfig):
    """The switches."""

    channels: tuple[int, ...] = switch((32, 64), "channels of each convolution of vision, as 32,64; each is pooled")
    width: int = switch(256, "features of each modality; of audio, the recurrent neurons")

    @property
    def title(self) -> str:
        return "EMSNN"

    def check(self) -> None:
        super().check()
        self.require("fusion", self.fusion == "late", "late, as each modality has an encoder of its own")
        self.require("width", self.width >= 1, "a positive integer")
        good = len(self.channels) > 0 and all(isinstance(n, int) and n >= 1 for n in self.channels)
        self.require("channels", good, "positive integers, one a convolution")
        if "visual" in self.shapes():
            _, height, width, _ = self.shapes()["visual"]
            halved = f"at most {min(height, width).bit_length() - 1} numbers, as each halves {height}x{width} pixels"
            self.require("channels", min(height, width) >> len(self.channels) >= 1, halved)


class SpikingCNN(nn.Module):
    """Convolutions, each pooled, and one spiking linear layer: [T, N, H, W, C] to spikes, uint8 [T, N, width]."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        _, height, width, ci = shape
        layers: list[nn.Module] = []
        for co in config.channels:
            layers += [ConvBNNeuron(ci, co, 3, 1, config, rng), nn.MaxPool2d(2)]
            height, width, ci = height // 2, width // 2, co
        self.layers = nn.Sequential([*layers, nn.Flatten()])  # [T, N, H' W' C']
        self.out = LinearBNNeuron(height * width * ci, config.width, config, rng, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layers(x))


class RecurrentLayer(nn.Module):
    """Spiking neurons that also take the spikes of all of them at the timestep before.

        s[t] = SN(BN(W x[t]) + U s[t-1]),   s[0] = 0

    x: float [T, N, H, W, C], each timestep flattened. Returns spikes, uint8 [T, N, width].
    """

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        self.flatten = nn.Flatten()
        self.input = nn.Linear(int(np.prod(shape[1:])), config.width, bias=False, rng=rng)
        self.bn = nn.BatchNorm(config.width)
        self.recurrent = nn.Linear(config.width, config.width, bias=False, rng=rng)
        self.kind, self.neuron = STEPS[config.neuron], config.make_neuron()

    def forward(self, x: Tensor) -> Tensor:
        currents = self.bn(self.input(self.flatten(x)))  # [T, N, width]
        learned = tuple(self.neuron.parameters())  # tau of a PLIF
        spikes: list[Tensor] = []
        membranes: list[Tensor] = []
        for t in range(len(currents.data)):
            with at_timestep(t):
                c = currents[t] + self.recurrent(spikes[-1]) if spikes else currents[t]  # [N, width]
                step = self.kind(firing=self.neuron.firing, return_state=True)
                s, *membranes = step(c.reshape(1, *c.shape), *learned, *membranes)
                spikes.append(s.reshape(*c.shape))
        return F.Stack(0)(*spikes)


class AttentionHead(nn.Module):
    """Class scores of both modalities, each weighed: mean over t of W [w_a g_a; w_v g_v] + b, (w_a, w_v) above.

    g_a, g_v: spikes [T, N, features]. Returns float [N, classes].
    """

    def __init__(self, features: int, classes: int, rng: np.random.Generator) -> None:
        self.attention = nn.Linear(2 * features, 2, rng=rng)
        self.linear = nn.Linear(2 * features, classes, rng=rng)

    def forward(self, g_a: Tensor, g_v: Tensor) -> Tensor:
        w = F.Softmax(-1)(self.attention(F.Concat(-1)(g_a, g_v)))  # [T, N, 2]
        weighed = F.Concat(-1)(g_a * w[:, :, :1], g_v * w[:, :, 1:])  # [T, N, 2 features]
        return self.linear(weighed).mean(0)


class EMSNN(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng, names = named_rng(seed, "init"), iter(config.encoder_inputs())
        kinds = {"audio": RecurrentLayer, "visual": SpikingCNN}
        super().__init__(config, lambda shape: kinds[next(names)](shape, config, rng), config.width, rng)

    def make_head(self, features: int, rng: np.random.Generator) -> nn.Module:
        if len(self.encoders) == 1:
            return super().make_head(features, rng)
        return AttentionHead(features, self.config.classes, rng)


build = EMSNN
