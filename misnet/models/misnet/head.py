"""Classifier heads: pooled features of both modalities, or of one, to class scores per timestep (Eq. 13)."""

import math
from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.parts.fuse import Fuse
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


class FusionHead(Fuse):
    """Fuse the features of both modalities as `Fuse` does and classify: P[t] = Linear(fuse(g_a, g_v)).

    g_a, g_v: float [T, N, F]. Returns [T, N, classes]. Source: Eq. 13 and Table 6.
    """

    def __init__(self, features: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        super().__init__(features, config.head, rng)
        self.linear = nn.Linear(self.width(features, config.head), config.classes, rng=rng)
        self.dropout = None if config.dropout == 0 else nn.Dropout(config.dropout, shared_over_time=False)

    def forward(self, g_a: Tensor, g_v: Tensor) -> Any:
        g = self.fuse(g_a, g_v)
        return self.linear(g if self.dropout is None else self.dropout(g))
