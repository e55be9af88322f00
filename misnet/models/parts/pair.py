"""Two ResNets that do not spike, one for audio and one for vision: what the ANN rivals share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from misnet.models.config import ConfigError, switch
from misnet.models.contract import Scores
from misnet.models.parts.resnet import ResNetConfig, relu_resnet
from misnet.models.parts.streams import HEADS, FusionModel, StreamsConfig
from snncore import functions as F
from snncore import named_rng, nn
from snncore.functions.stated import stated_elsewhere
from snncore.tape import Tensor

__all__ = ["PairConfig", "PairScores", "ResNetPair", "SplitHead", "log_sum_exp"]

PAIR_HEADS: Mapping[str, str] = HEADS["both"] | {"a": "audio part alone", "v": "visual part alone"}


@dataclass(frozen=True)
class PairConfig(ResNetConfig, StreamsConfig):
    """Switches of two ResNets; the stem is the published one, for images of about 100 pixels and more."""

    stem: str = switch(
        "imagenet",
        "first layer; imagenet: 7x7, stride 2, then 3x3 max pooling, stride 2; cifar: 3x3, stride 1",
        ("imagenet", "cifar"),
    )

    def require_both(self, name: str, reason: str) -> None:
        """Raise ConfigError unless the network takes both streams."""
        if self.streams != "both":
            raise ConfigError(f"{name}: {reason}, found streams {self.streams!r}")


class PairScores(Scores):
    """Scores of both modalities and of each, with the features that they are made of: [N, F] of audio and of vision."""

    def __init__(self, scores: Scores, features: tuple[Tensor, Tensor]) -> None:
        super().__init__(scores)
        self.features = features


class SplitHead(nn.Module):
    """One linear layer over both modalities, and the part of each: p_m = W_m g_m + b / 2, p = p_a + p_v.

    That is W [g_a; g_v] + b, with one product for all three. g: float [N, F] each. Returns (p, p_a, p_v), [N, classes].
    Half the bias is made once a call, however many samples that is of, and not counted, as the scale and shift of a
    batch norm are not; adding it is.
    Source of the parts: Peng et al., CVPR 2022, Eq. 8.
    """

    def __init__(self, features: int, classes: int, rng: np.random.Generator) -> None:
        self.linear = nn.Linear(2 * features, classes, rng=rng)
        self.features = features

    def forward(self, g_a: Tensor, g_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = self.linear.weight
        with stated_elsewhere():
            half = self.linear.bias * 0.5
        p_a, p_v = F.Linear()(g_a, w[: self.features], half), F.Linear()(g_v, w[self.features :], half)
        return p_a + p_v, p_a, p_v


class ResNetPair(FusionModel):
    """A ResNet for each stream; features are means over pixels and timesteps, which are the frames of a video.

        g_m = mean over t and pixels of ResNet_m(x_m[t]),   scores of heads av, a, v = head(g_a, g_v)

    Of a network that takes one stream, the head is one linear layer.
    """

    config: PairConfig

    def __init__(self, config: PairConfig, seed: int = 0) -> None:
        rng = named_rng(seed, "init")
        super().__init__(config, lambda shape: relu_resnet(shape, config, rng), config.channels[-1], rng)
        if config.streams == "both":
            self.heads = PAIR_HEADS

    def make_head(self, features: int, rng: np.random.Generator) -> nn.Module:
        if len(self.encoders) == 1:
            return super().make_head(features, rng)
        return SplitHead(features, self.config.classes, rng)

    def forward(self, *streams: Tensor) -> Scores:
        if len(streams) == 1:
            return super().forward(*streams)
        g_a, g_v = (g.mean(0) for g in self.encode(*streams))  # [N, F]
        g_a, g_v = self.fuse_features(g_a, g_v)
        return PairScores(dict(zip(PAIR_HEADS, self.head(g_a, g_v), strict=True)), (g_a, g_v))

    def fuse_features(self, g_a: Tensor, g_v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features that the head takes; by default as they are."""
        return g_a, g_v


def log_sum_exp(x: Tensor) -> Tensor:
    """Return log of the sum of exp over the last axis, [..., 1], without overflow."""
    largest = x.max(axis=-1, keepdims=True).detach()
    return (x - largest).exp().sum(axis=-1, keepdims=True).log() + largest
