"""Classifier heads: pooled features of both modalities, or of one, to class scores per timestep (Eq. 13)."""

import math
from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.fusion import CrossModalAttention, check_pair
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["FeaturePool", "FusionHead"]


class FeaturePool(nn.Module):
    """Pool of Eq. 13: [T, N, H, W, C] to features [T, N, F], by the global mean (F = C) or k x k means, flattened."""

    def __init__(self, window: int) -> None:
        self.window = window

    def features(self, channels: int, size: int) -> int:
        """Number of features F for `channels` maps of size x size."""
        return channels if self.window == 0 else channels * (size // self.window) ** 2

    def forward(self, x: Tensor) -> Tensor:
        if self.window == 0:
            return F.GlobalAvgPool(self.dtype)(x)  # [T, N, C]
        x = F.AvgPool2d(self.window, dtype=self.dtype)(x)  # [T, N, H // k, W // k, C]
        return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))  # [T, N, F]


class FusionHead(nn.Module):
    """Fuse the features of both modalities and classify: P[t] = Linear(fuse(g_a, g_v)).

        concat:    Linear([g_a; g_v])              sum:       Linear(g_a + g_v)
        hadamard:  Linear(g_a * g_v)               mlp:       Linear(relu(Linear([g_a; g_v])))
        attention: Linear([y_a; y_v]), y = CrossModalAttention(g_a, g_v)

    g_a, g_v: float [T, N, F]. Returns [T, N, classes]. Source: Eq. 13 and Table 6.
    """

    def __init__(self, features: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.fusion = config.head
        if self.fusion == "attention":
            self.attention = CrossModalAttention(features, rng)
        if self.fusion == "mlp":
            self.hidden = nn.Linear(2 * features, features, rng=rng)
        inputs = 2 * features if self.fusion in ("concat", "attention") else features
        self.linear = nn.Linear(inputs, config.classes, rng=rng)
        self.dropout = None if config.dropout == 0 else nn.Dropout(config.dropout, shared_over_time=False)

    def forward(self, g_a: Tensor, g_v: Tensor) -> Any:
        check_pair("FusionHead", g_a, g_v)
        if self.fusion == "sum":
            return self.classify(g_a + g_v)
        if self.fusion == "hadamard":
            return self.classify(g_a * g_v)
        if self.fusion == "attention":
            g_a, g_v = self.attention(g_a, g_v)
        g = F.Concat(-1)(g_a, g_v)  # [T, N, 2F]
        return self.classify(F.ReLU()(self.hidden(g)) if self.fusion == "mlp" else g)

    def classify(self, g: Tensor) -> Tensor:
        """Return the scores of fused features, after dropout if there is one."""
        return self.linear(g if self.dropout is None else self.dropout(g))
