"""What is between the neurons that join modalities: ConvBNLIF (Eq. 3) and the SEW block (Eq. 4)."""

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.mlif import make_firing
from snncore import functions as F
from snncore import nn
from snncore.tape import Tensor

__all__ = ["ConvBNLIF", "SEWBlock", "make_neuron"]


def make_neuron(config: MISNetConfig) -> nn.Neuron:
    """Return the unimodal neuron of the configuration."""
    return nn.NEURONS[config.neuron](firing=make_firing(config, config.v_threshold))


class ConvBNLIF(nn.Module):
    """Unimodal spike generation (Eq. 3): s = LIF(BN(Conv2D(x))), a convolution, 3x3 if not told, that keeps the size.

    x: [T, N, H, W, Ci], float or spikes. Returns uint8 [T, N, H, W, Co].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        config: MISNetConfig,
        rng: np.random.Generator,
        kernel: int = 3,
    ) -> None:
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False, rng=rng)
        self.bn = nn.BatchNorm(out_channels)
        self.neuron = make_neuron(config)

    def forward(self, x: Tensor) -> Tensor:
        return nn.conv_norm_neuron(x, self.conv, self.bn, self.neuron)


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
