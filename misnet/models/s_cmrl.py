"""S-CMRL: two spiking transformers, each given what it lacks by cross-attention (`--model s-cmrl`).

Source: He et al., Enhancing Audio-Visual Spiking Neural Networks through Semantic-Alignment and Cross-Modal Residual
Learning, arXiv 2502.12488, 2025, as their public code (Brain-Cog-Lab/S-CMRL) has it.

    x_m = PatchSplitting(input_m)                             spikes 0, 1, 2 [T, N, P, D]
    c_m = CrossAttention(q from x_m, k and v from the other)
    r_m = SN_0.5(W c_m + b),   x_m = x_m + alpha r_m,   x_m = x_m + MLP(x_m)
    verdict = mean over t of W mean over tokens of (x_a[t] + x_v[t]) + b
    L = CE + mean over t, i, j of -[label i = label j] log softmax over j of f_a[i, t] . f_v[j, t] / temperature

`--attention spatial` looks at the P tokens of the same timestep, `temporal` at the T timesteps of the same token (later
ones too, so such a network cannot answer before the last), `spatial-temporal` multiplies the mean of the first over
tokens by the mean of the second over timesteps. f_m[t] is the mean of r_m over tokens. `--no-alignment` leaves out the
second term of L and the layer before r_m, which then is c_m. In evaluation L is the cross-entropy alone.

Neurons are those of their code (BrainCog's MyNode): LIF with tau 2 that divide the current by it, threshold 1, hard
reset to 0 whose gradient is cut, sigmoid surrogate of slope 4. Read otherwise than their code runs: neurons behind
attention and for r_m fire at 0.5, which the code asks for by a name that the neuron does not take, so that there they
fire at 1; and gradients go back through time, which the code cuts at every step.
Inferred: that the alignment is taken at each timestep and averaged; that the modalities are added where nothing is said
(`--interaction`), as runs name `Concat` only. Left out: label smoothing, and what their code makes and never calls
(layer normalisations, a gate over modalities).
As alpha r_m is no integer, the hidden layer of the MLP takes floats: it multiplies.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import ConfigError, Shape, switch
from misnet.models.contract import Scores
from misnet.models.parts.attention import PatchSplitting, SpikingMLP
from misnet.models.parts.cross_attention import KINDS, CrossAttention
from misnet.models.parts.neurons import SpikingConfig
from misnet.models.parts.pair import PairScores, log_sum_exp
from misnet.models.parts.streams import FusionModel, PooledHead, class_loss
from snncore import functions as F
from snncore import named_rng, nn
from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["SCMRL", "Config", "alignment_loss", "build"]


@dataclass(frozen=True)
class Config(SpikingConfig):
    """The switches."""

    width: int = switch(256, "D, channels of a token")
    attention_heads: int = switch(16, "parts that attention is computed in")
    mlp_ratio: int = switch(4, "hidden channels of an MLP for each of a token")
    halvings: int = switch(4, "how many of the four convolutions are pooled; 2 is the shallow one of their code")
    attention: str = switch("spatial-temporal", "what a token looks at in the other modality", KINDS)
    alpha: float = switch(1.5, "weight of what the other modality adds")
    alignment: bool = switch(True, "draw what is added to samples of one class together")
    temperature: float = switch(0.07, "temperature of the alignment")
    interaction: str = switch("add", "how the features of both meet before the last layer", ("add", "concat"))

    @property
    def title(self) -> str:
        return "S-CMRL"

    def check(self) -> None:
        super().check()
        self.require("streams", self.streams == "both", "both, as each modality is given what the other has")
        self.require("fusion", self.fusion == "late", "late, as each modality has an encoder")
        for name in ("width", "attention_heads", "mlp_ratio"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        self.require("width", self.width % 8 == 0, "a multiple of 8, which the first convolution divides it by")
        good = self.width % self.attention_heads == 0
        self.require("attention_heads", good, f"a divisor of the width {self.width}")
        self.require("halvings", 0 <= self.halvings <= 4, "an integer from 0 to 4")
        self.require("alpha", self.alpha >= 0, "a number of at least 0")
        self.require("temperature", self.temperature > 0, "a positive number")
        unit, (audio, visual) = 1 << self.halvings, (shape[1:-1] for shape in self.shapes().values())
        for name, (height, width) in (("audio", audio), ("visual", visual)):
            if height % unit or width % unit:
                raise ConfigError(
                    f"size: patch splitting halves the {name} input {self.halvings} times; expected a multiple of "
                    f"{unit} pixels, found {height}x{width}"
                )
        if self.attention != "spatial" and audio != visual:
            raise ConfigError(
                f"attention: {self.attention} attention needs as many tokens of both modalities, found audio of "
                f"{audio} and visual of {visual} pixels; use spatial"
            )


class Branch(nn.Module):
    """What one modality goes through: patches, what the other adds, MLP."""

    def __init__(self, shape: Shape, config: Config, rng: np.random.Generator) -> None:
        d, self.alpha = config.width, config.alpha
        self.patches = PatchSplitting(shape, d, config, rng, config.halvings)
        self.cross = CrossAttention(config.attention, d, config.attention_heads, config, rng)
        self.linear = nn.Linear(d, d, rng=rng) if config.alignment else None
        self.neuron = config.make_neuron(0.5)
        self.mlp = SpikingMLP(d, config.mlp_ratio, config, rng)

    def forward(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and f, both [T, N, D], of the patches [T, N, P, D] of this modality and the other."""
        r = self.cross(x, other)
        if self.linear is not None:
            r = self.neuron(self.linear(r))
        alpha = Tensor(array_module(r.data).full((), self.alpha, self.dtype))  # beside spikes a number is float32
        x = r * alpha + x
        mean = F.Mean(2, dtype=self.dtype)
        return mean(x + self.mlp(x)), mean(r)


class SCMRL(FusionModel):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def __init__(self, config: Config, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: Branch(shape, config, rng), config.width, rng)

    def make_head(self, features: int, rng: np.random.Generator) -> PooledHead:
        count = 2 if self.config.interaction == "concat" else 1
        return PooledHead((features,) * count, self.config.classes, rng)

    def forward(self, *streams: Tensor) -> PairScores:
        audio, visual = self.encoders["audio"], self.encoders["visual"]
        x_a, x_v = audio.patches(streams[0]), visual.patches(streams[1])
        (g_a, f_a), (g_v, f_v) = audio(x_a, x_v), visual(x_v, x_a)
        joined = (g_a, g_v) if self.config.interaction == "concat" else (g_a + g_v,)
        return PairScores({"av": self.head(*joined)}, (f_a, f_v))

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        """Return L above; in evaluation without the alignment."""
        value = class_loss(self.config, scores["av"], labels)
        if not (self.training and self.config.alignment):
            return value
        assert isinstance(scores, PairScores)
        return value + alignment_loss(*scores.features, labels, self.config.temperature)


def alignment_loss(f_a: Tensor, f_v: Tensor, labels: Array, temperature: float) -> Tensor:
    """Return the second term of L: features [T, N, D] of audio and vision, labels [N]."""
    z = f_a @ f_v.transpose(0, 2, 1) * (1 / temperature)  # [T, N, N]
    same = (labels[:, None] == labels[None]).astype(z.dtype)  # [N, N]
    return -((z - log_sum_exp(z)) * same).mean()


build = SCMRL
