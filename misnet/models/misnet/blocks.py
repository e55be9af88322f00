"""The pieces of a stage: ConvBNLIF, SEWBlock, InteractCell, Stage (Section 3 and Fig. 3 of the paper)."""

from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.fusion import check_pair
from misnet.models.misnet.mlif import make_firing, make_mlif
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["MODALITIES", "ConvBNLIF", "InteractCell", "SEWBlock", "Stage"]

MODALITIES = ("a", "v")
"""Audio and visual, in the order in which pairs are passed and returned."""


def make_neuron(config: MISNetConfig) -> nn.Neuron:
    """Return the unimodal neuron of the configuration."""
    return nn.NEURONS[config.neuron](firing=make_firing(config, config.v_threshold))


class ConvBNLIF(nn.Module):
    """Unimodal spike generation (Eq. 3): s = LIF(BN(Conv2D(x))), a 3x3 convolution that keeps the size.

    x: [T, N, H, W, Ci], float or spikes. Returns uint8 [T, N, H, W, Co].
    """

    def __init__(self, in_channels: int, out_channels: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.conv = nn.Conv2d(in_channels, out_channels, kernel=3, padding=1, bias=False, rng=rng)
        self.bn = nn.BatchNorm(out_channels)
        self.neuron = make_neuron(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron(self.conv(x), self.bn)


class SEWBlock(nn.Module):
    """Residual block of spikes (Eq. 4): o = connect(LIF(BN(Conv2D(LIF(BN(Conv2D(s)))))), s).

    s: uint8 [T, N, H, W, C]. Returns uint8, same shape, 0 to 2 for connect="add" on binary spikes.
    """

    def __init__(self, channels: int, config: MISNetConfig, rng: np.random.Generator) -> None:
        self.c1 = ConvBNLIF(channels, channels, config, rng)
        self.c2 = ConvBNLIF(channels, channels, config, rng)
        self.connect = F.SEW(config.connect)

    def forward(self, s: Tensor) -> Tensor:
        return self.connect(self.c2(self.c1(s)), s)


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
        self.sew: nn.Module | None = None
        if config.sew == "shared":
            self.sew = SEWBlock(channels, config, rng)
        elif config.sew == "per-modality":
            self.sew = nn.ModuleDict({m: SEWBlock(channels, config, rng) for m in MODALITIES})
        weight = "none" if config.mlif == "off" else config.spatial_weight
        shape = {"pixel": (size, size, 1), "channel": (channels,), "none": None}[weight]
        self.w_a = None if shape is None else nn.Parameter(np.ones(shape, np.float32))  # W of Eq. 5
        self.w_v = None if shape is None else nn.Parameter(np.ones(shape, np.float32))
        self.mlif = make_mlif(config, channels, rng)
        if config.unused_modules:
            self.unused_sew = SEWBlock(channels, config, rng)
            self.unused_projection = nn.ModuleDict({m: UnusedProjection(channels, rng) for m in MODALITIES})

    def forward(self, s_a: Tensor, s_v: Tensor) -> tuple[Tensor, Tensor]:
        check_pair("InteractCell", s_a, s_v)
        o_a, o_v = s_a, s_v
        if isinstance(self.sew, nn.ModuleDict):
            o_a, o_v = self.sew["a"](s_a), self.sew["v"](s_v)  # [T, N, H, W, C]
        elif self.sew is not None:
            o_a, o_v = self.sew(s_a), self.sew(s_v)
        m_a, m_v = self.mlif(o_a, o_v, self.w_a, self.w_v)
        return (m_a + s_a, m_v + s_v) if self.residual else (m_a, m_v)


class Stage(nn.Module):
    """One encoder stage (Eq. 12): spike generation per modality, N InteractCells, 2x2 pooling.

    x_a, x_v: [T, N, H, W, Ci]. Returns (x_a, x_v): [T, N, H // 2, W // 2, Co].
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
        self.unimodal = nn.ModuleDict({m: ConvBNLIF(in_channels[m], channels, config, rng) for m in MODALITIES})
        self.cells = nn.ModuleList(InteractCell(channels, size, config, rng) for _ in range(cells))
        self.pool: Any = nn.MaxPool2d(2) if config.pooling == "max" else nn.AvgPool2d(2)

    def forward(self, x_a: Tensor, x_v: Tensor) -> tuple[Tensor, Tensor]:
        s_a, s_v = self.unimodal["a"](x_a), self.unimodal["v"](x_v)
        for cell in self.cells:
            s_a, s_v = cell(s_a, s_v)
        return self.pool(s_a), self.pool(s_v)  # [T, N, H // 2, W // 2, C]
