"""Fusion of two modalities into one (Table 6 of MISNet's paper), and the attention between them."""

from typing import Any

import numpy as np

from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["FUSIONS", "CrossModalAttention", "Fuse", "FusedInputs", "PooledFusionHead", "check_pair"]

FUSIONS = ("concat", "sum", "hadamard", "mlp", "attention")


def check_pair(where: str, x_a: Tensor, x_v: Tensor) -> None:
    """Raise ValueError unless both modalities have one shape: nothing is cut or broadcast."""
    if x_a.shape != x_v.shape:
        raise ValueError(f"{where}: expected audio and visual of one shape, found {x_a.shape} and {x_v.shape}")


class CrossModalAttention(nn.Module):
    """Scaled dot-product attention over the two modalities as two tokens, added to them, at each pixel.

        y_m = x_m + sum over n of softmax_n(q_m . k_n / sqrt(C)) v_n,   q = x W_q, k = x W_k, v = x W_v

    x_a, x_v: float [..., C]. The paper names the fusion and gives no form; this is one head of Vaswani et al. 2017,
    with a residual, so that it begins near x.
    """

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.scale = channels**-0.5
        self.query = nn.Linear(channels, channels, bias=False, rng=rng)
        self.key = nn.Linear(channels, channels, bias=False, rng=rng)
        self.value = nn.Linear(channels, channels, bias=False, rng=rng)

    def forward(self, x_a: Tensor, x_v: Tensor) -> tuple[Tensor, Tensor]:
        x = F.Stack(-2)(x_a, x_v)  # [..., 2, C]
        axes = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
        scores = (self.query(x) @ self.key(x).transpose(*axes)) * self.scale  # [..., 2, 2]
        y = x + F.Softmax(-1)(scores) @ self.value(x)  # [..., 2, C]
        return y[..., 0, :], y[..., 1, :]


class Fuse(nn.Module):
    """One array of two, over the last axis.

        concat:    [g_a; g_v]                       sum:       g_a + g_v
        hadamard:  g_a * g_v                        mlp:       relu(Linear([g_a; g_v])), F units
        attention: [y_a; y_v], y = CrossModalAttention(g_a, g_v)

    g_a, g_v: float [..., F]. Returns [..., width], width 2F or F. Raises ValueError if their shapes differ.
    """

    def __init__(self, features: int, fusion: str, rng: np.random.Generator) -> None:
        self.fusion = fusion
        if fusion == "attention":
            self.attention = CrossModalAttention(features, rng)
        if fusion == "mlp":
            self.hidden = nn.Linear(2 * features, features, rng=rng)

    @staticmethod
    def width(features: int, fusion: str) -> int:
        """Return the features of what is fused of two times `features`."""
        return 2 * features if fusion in ("concat", "attention") else features

    def forward(self, g_a: Tensor, g_v: Tensor) -> Any:
        return self.fuse(g_a, g_v)

    def fuse(self, g_a: Tensor, g_v: Tensor) -> Tensor:
        """Return the fused features."""
        check_pair(type(self).__name__, g_a, g_v)
        if self.fusion == "sum":
            return g_a + g_v
        if self.fusion == "hadamard":
            return g_a * g_v
        if self.fusion == "attention":
            g_a, g_v = self.attention(g_a, g_v)
        g = F.Concat(-1)(g_a, g_v)  # [..., 2F]
        return F.ReLU()(self.hidden(g)) if self.fusion == "mlp" else g


class PooledFusionHead(Fuse):
    """Class scores from fused features: p = mean over t of W fuse(g_a[t], g_v[t]) + b. Returns float [N, classes]."""

    def __init__(self, features: int, classes: int, fusion: str, rng: np.random.Generator) -> None:
        super().__init__(features, fusion, rng)
        self.linear = nn.Linear(self.width(features, fusion), classes, rng=rng)

    def forward(self, g_a: Tensor, g_v: Tensor) -> Tensor:
        return self.linear(self.fuse(g_a, g_v)).mean(0)  # [N, classes]


class FusedInputs(Fuse):
    """Two inputs as one, fused at each pixel: audio [T, N, H, W, C_a], vision [T, N, H, W, C_v].

    F is the larger number of channels; an input of one channel is repeated. `concat` takes them as they are.
    """

    @staticmethod
    def channels(audio: int, visual: int, fusion: str) -> int | None:
        """Return the channels of what is fused, None if these two cannot be."""
        if fusion == "concat":
            return audio + visual
        return Fuse.width(max(audio, visual), fusion) if audio == visual or 1 in (audio, visual) else None

    def forward(self, x_a: Tensor, x_v: Tensor) -> Tensor:
        if self.fusion == "concat":
            return F.Concat(-1)(x_a, x_v)
        widest = max(x_a.shape[-1], x_v.shape[-1])
        x_a, x_v = (F.Concat(-1)(*[x] * widest) if x.shape[-1] < widest else x for x in (x_a, x_v))
        return self.fuse(x_a, x_v)
