"""Concat: two ResNet18 that do not spike and one linear layer (`--model concat-resnet18`); the row Concat of Table 4.

    g_m = mean over t and pixels of ResNet18_m(x_m[t]),   p = W [g_a; g_v] + b

Source: the baseline of Peng et al., Balanced Multimodal Learning via On-the-fly Gradient Modulation, CVPR 2022, and of
Fan et al., PMR, CVPR 2023, with their public code. With both inputs (1 and 3 channels) and the published stem it has
22,346,752 parameters and 1,025 a class: 22,352,902 for the six classes of CREMA-D. Table 4 prints 22.36 M.

`--ogm` modulates the gradients of the convolutions of each encoder between backward and the step (Peng et al., Eqs. 8
to 11 and their code), with s_m the sum over the batch of softmax(p_m)[label]:

    ogm:     rho_a = s_a / s_v, rho_v = 1 / rho_a;  g = k_m g,  k_m = 1 - tanh(alpha rho_m) if rho_m > 1, else 1
    ogm-ge:  g = k_m g + h,  h normal with mean 0 and the standard deviation of g, drawn for each tensor

They modulate in the first half of the epochs and name no alpha for all data sets; here it holds in every step, and
alpha is a switch. Where a batch is computed in parts (`--accumulate`), s_m is over the whole batch.

`--drop audio` and `--drop visual` are the rows Concat+Drop of Table 4. Inferred: with probability `drop_rate`, for
each sample and step anew, the features of that modality are 0 in training; in evaluation nothing is dropped.

What is read of T timesteps: the frames of a video, each through the network by itself, as in the published code, and
as many spectrograms, where that has one of the whole clip. Initial weights of the linear layer are the engine's. On a
CPU 224x224 pixels are impractical: 1.8 billion products a frame and encoder in the forward pass alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet.models.config import switch
from misnet.models.contract import Scores
from misnet.models.parts.pair import PairConfig, ResNetPair
from snncore import named_rng, nn
from snncore.backend import Array, array_module
from snncore.rng import batch_random, step_key
from snncore.tape import Tensor

__all__ = ["ConcatResNet18", "Config", "build", "modulation"]


@dataclass(frozen=True)
class Config(PairConfig):
    """The switches."""

    ogm: str = switch("off", "modulation of gradients, with noise (ogm-ge) or without", ("off", "ogm", "ogm-ge"))
    ogm_alpha: float = switch(0.5, "strength of the modulation")
    drop: str = switch("none", "modality whose features are dropped in training", ("none", "audio", "visual"))
    drop_rate: float = switch(0.5, "probability of dropping, for each sample")

    @property
    def title(self) -> str:
        return "Concat-ResNet18"

    def check(self) -> None:
        super().check()
        self.require("ogm_alpha", self.ogm_alpha > 0, "a positive number")
        self.require("drop_rate", 0 <= self.drop_rate <= 1, "a number in [0, 1]")
        if self.ogm != "off":
            self.require_both("ogm", "the modulation compares two modalities")
        if self.drop != "none":
            self.require_both("drop", "one modality is dropped beside another")


class DropFeatures(nn.Module):
    """In training, features of a sample become 0 with probability `rate`; nothing is scaled. g: float [N, F]."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def forward(self, g: Tensor) -> Tensor:
        if not self.training:
            return g
        kept = batch_random(step_key("modality"), (g.shape[0], 1), 0) >= self.rate
        return g * array_module(g.data).asarray(kept, g.dtype)


class ConcatResNet18(ResNetPair):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__(config, seed)
        self.drop = DropFeatures(config.drop_rate)

    def fuse_features(self, g_a: Tensor, g_v: Tensor) -> tuple[Tensor, Tensor]:
        drop = self.config.drop
        return self.drop(g_a) if drop == "audio" else g_a, self.drop(g_v) if drop == "visual" else g_v

    def after_backward(self, scores: Scores, labels: Array) -> None:
        """Modulate the gradients of the convolutions, as the switch `ogm` says."""
        if self.config.ogm == "off":
            return
        factors = modulation(scores["a"].data, scores["v"].data, labels, self.config.ogm_alpha)
        for (modality, encoder), k in zip(self.encoders.children(), factors, strict=True):
            for name, p in encoder.named_parameters():
                if p.ndim != 4 or p.grad is None:
                    continue
                g = p.grad
                spread = g.std() + 1e-8 if self.config.ogm == "ogm-ge" else None
                g *= k.astype(g.dtype)
                if spread is not None:
                    noise = named_rng(*step_key("ogm", modality, name)).standard_normal(g.shape, np.float32)
                    g += spread * array_module(g).asarray(noise, g.dtype)


def modulation(p_a: Array, p_v: Array, labels: Array, alpha: float) -> tuple[Any, Any]:
    """Return k_a and k_v, arrays of shape (). p: scores [N, classes] of each modality. labels: integers [N]."""
    xp = array_module(p_a)

    def score(p: Array) -> Array:
        e = xp.exp(p - p.max(axis=1, keepdims=True))
        return (e / e.sum(axis=1, keepdims=True))[xp.arange(len(p)), labels].sum()

    rho = score(p_a) / score(p_v)
    return tuple(xp.where(r > 1, 1 - xp.tanh(alpha * r), 1.0) for r in (rho, 1 / rho))  # type: ignore[return-value]


build = ConcatResNet18
