"""A stage and its cells, of two modalities or of one (Section 3 and Fig. 3 of the paper)."""

from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.fusion import check_pair
from misnet.models.misnet.mlif import make_lif, make_mlif
from misnet.models.misnet.residual import ConvBNLIF, SEWBlock
from misnet.models.misnet.swin import SwinTBlock
from snncore import nn
from snncore.tape import Tensor

__all__ = ["MODALITIES", "ConvBNLIF", "InteractCell", "SEWBlock", "Stage", "UnimodalCell"]

MODALITIES = ("a", "v")
"""Audio and visual, in the order in which pairs are passed and returned."""


class UnusedProjection(nn.Module):
    """The 1x1 convolution and BN per modality that the public code builds and never uses: parameters only."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.conv = nn.Conv2d(channels, channels, kernel=1, bias=False, rng=rng)
        self.bn = nn.BatchNorm(channels)


class InteractCell(nn.Module):
    """One round of multimodal spike interaction (Eqs. 4 to 11): SEW per modality, then the MLIF over both.

    s_a, s_v: uint8 [T, N, H, W, C]. Returns (s_a, s_v), the same shapes.
    """

    def __init__(self, channels: int, size: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.residual = config.cell_residual
        self.sew = make_sew(channels, size, config, rng)
        self.w_a, self.w_v = make_weight(channels, size, config), make_weight(channels, size, config)
        self.mlif = make_mlif(config, channels, rng)
        if config.unused_modules:
            self.unused_sew = SEWBlock(channels, config, rng)
            self.unused_projection = nn.ModuleDict({m: UnusedProjection(channels, rng) for m in config.modalities})

    def forward(self, s_a: Tensor, s_v: Tensor) -> tuple[Tensor, Tensor]:
        check_pair("InteractCell", s_a, s_v)
        o_a, o_v = s_a, s_v
        if isinstance(self.sew, nn.ModuleDict):
            o_a, o_v = self.sew["a"](s_a), self.sew["v"](s_v)  # [T, N, H, W, C]
        elif self.sew is not None:
            o_a, o_v = self.sew(s_a), self.sew(s_v)
        m_a, m_v = self.mlif(o_a, o_v, self.w_a, self.w_v)
        return (m_a + s_a, m_v + s_v) if self.residual else (m_a, m_v)


class UnimodalCell(nn.Module):
    """What is left of an InteractCell with one stream (Table 2, visual-only): SEW, then a LIF in place of the MLIF.

    The paper does not say what its visual-only networks are. Here W of Eq. 5 stays, there is no alpha, and the LIF has
    the threshold of the MLIF. s: uint8 [T, N, H, W, C]. Returns (s,), the same shape.
    """

    def __init__(self, channels: int, size: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        (self.modality,) = config.modalities
        self.residual = config.cell_residual
        self.sew = make_sew(channels, size, config, rng)
        setattr(self, f"w_{self.modality}", make_weight(channels, size, config))
        self.lif = make_lif(config)
        if config.unused_modules:
            self.unused_sew = SEWBlock(channels, config, rng)
            self.unused_projection = nn.ModuleDict({m: UnusedProjection(channels, rng) for m in config.modalities})

    def forward(self, s: Tensor) -> tuple[Tensor]:
        sew = self.sew[self.modality] if isinstance(self.sew, nn.ModuleDict) else self.sew
        o = s if sew is None else sew(s)  # [T, N, H, W, C]
        m = o if self.lif is None else self.lif(o, getattr(self, f"w_{self.modality}"))
        return (m + s,) if self.residual else (m,)


def make_sew(channels: int, size: int, config: MISNetConfig, rng: np.random.Generator) -> nn.Module | None:
    """Return the residual blocks of a cell, SEW or SwinT: one for each modality, one for all, or None."""
    if config.sew == "off":
        return None

    def block() -> nn.Module:
        if config.block == "swin":
            return SwinTBlock(channels, size, config, rng)
        return SEWBlock(channels, config, rng)

    return block() if config.sew == "shared" else nn.ModuleDict({m: block() for m in config.modalities})


def make_weight(channels: int, size: int, config: MISNetConfig) -> nn.Parameter | None:
    """Return W of Eq. 5, all ones, None if there is none; without a neuron in the cell it would weigh nothing."""
    kind = "none" if config.mlif == "off" else config.spatial_weight
    shape = {"pixel": (size, size, 1), "channel": (channels,), "none": None}[kind]
    return None if shape is None else nn.Parameter(np.ones(shape, np.float32))


class Stage(nn.Module):
    """One encoder stage (Eq. 12): spike generation per modality, N InteractCells, 2x2 pooling, perhaps dropout.

    x: [T, N, H, W, Ci] of each modality, x_a and x_v or one of them. Returns as many [T, N, H // 2, W // 2, Co].
    """

    def __init__(
        self,
        in_channels: dict[str, int],
        channels: int,
        cells: int,
        size: int,
        config: MISNetConfig,
        rng: np.random.Generator,
    ) -> None:
        cell = InteractCell if config.streams == "both" else UnimodalCell
        self.unimodal = nn.ModuleDict({m: ConvBNLIF(in_channels[m], channels, config, rng) for m in config.modalities})
        self.cells = nn.ModuleList(cell(channels, size, config, rng) for _ in range(cells))
        self.pool: Any = nn.MaxPool2d(2) if config.pooling == "max" else nn.AvgPool2d(2)
        self.dropout = make_dropout(config)

    def forward(self, *x: Tensor) -> tuple[Tensor, ...]:
        s = tuple(self.unimodal[m](x_m) for m, x_m in zip(self.unimodal, x, strict=True))  # [T, N, H, W, C] each
        for cell in self.cells:
            s = cell(*s)
        pooled = tuple(self.pool(s_m) for s_m in s)  # [T, N, H // 2, W // 2, C] each
        return (
            pooled
            if self.dropout is None
            else tuple(self.dropout[m](y) for m, y in zip(self.unimodal, pooled, strict=True))
        )


def make_dropout(config: MISNetConfig) -> nn.ModuleDict | None:
    """Return dropout for each modality, another mask at each timestep, as in the public code; None at rate 0."""
    if config.dropout == 0:
        return None
    return nn.ModuleDict({m: nn.Dropout(config.dropout, shared_over_time=False) for m in config.modalities})
