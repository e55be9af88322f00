"""Dual spike self-attention and the group-wise feed-forward network of SpikingResformer: currents in, currents out.

Source: Shi et al., SpikingResformer, CVPR 2024, Sections 4.2 and 4.3, and their public code.
"""

import numpy as np

from misnet.models.parts.neurons import SpikingConfig
from snncore import nn
from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["DSSA", "GWFFN", "FiringRate", "InitialConvBN"]

DEVIATION = 0.02  # of initial weights, in their code


class InitialConvBN(nn.Module):
    """BN(Conv(x)) without bias, in `groups` of channels; initial weights normal with standard deviation 0.02."""

    def __init__(
        self, ci: int, co: int, kernel: int, stride: int, padding: int, rng: np.random.Generator, groups: int = 1
    ) -> None:
        self.conv: nn.Conv2d | nn.GroupedConv2d
        if groups == 1:
            self.conv = nn.Conv2d(ci, co, kernel, stride, padding, bias=False, rng=rng)
        else:
            self.conv = nn.GroupedConv2d(ci, co, kernel, stride, padding, bias=False, rng=rng, groups=groups)
        self.conv.weight = nn.Parameter((DEVIATION * rng.standard_normal(self.conv.weight.shape)).astype(np.float32))
        self.bn = nn.BatchNorm(co)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class FiringRate(nn.Module):
    """Running mean r of the spikes of each head, and the scale 1 / sqrt(r size) that makes of a sum of variance r size
    one of variance 1.

    s: spikes [T, N, heads, A, B]. In training r = 0.999 r + 0.001 mean(s) first, without gradient, or mean(s) while
    all r are 0. A head with r = 0 has the scale 1 / sqrt(size). Returns an array [heads, 1, 1].
    """

    def __init__(self, heads: int, size: int) -> None:
        self.rate = nn.Buffer(np.zeros(heads, np.float32))
        self.size, self.momentum = size, 0.999

    def forward(self, s: Tensor) -> Array:
        rate, xp = self.rate.data, array_module(self.rate.data)
        if self.training:
            mean = s.data.mean(axis=(0, 1, 3, 4))  # of bytes in float64, as sums may pass 2^24
            kept = xp.where(rate.max() > 0, self.momentum, 0.0).astype(rate.dtype)
            rate[...] = kept * rate + (1 - kept) * mean
        return ((xp.where(rate > 0, rate, 1) * self.size) ** -0.5).astype(rate.dtype).reshape(-1, 1, 1)


class DSSA(nn.Module):
    """x + dual spike self-attention: pixels look at patches, with no query, key or value of their own.

        s = SN(x),   [y1; y2] = BN(Conv_pxp(s)) for each head
        a = SN(s y1^T / sqrt(rate_s d)),   b = SN(a y2 / sqrt(rate_a L)),   x + BN(Conv1x1(b))

    x: currents, float [T, N, H, W, C], d = C / heads, L patches. Both products have spikes on one side. Eqs. 5 to 13.
    """

    def __init__(
        self, channels: int, heads: int, patch: int, patches: int, config: SpikingConfig, rng: np.random.Generator
    ) -> None:
        self.heads = heads
        self.neuron, self.attention, self.out = (config.make_neuron() for _ in range(3))
        self.embed = InitialConvBN(channels, 2 * channels, patch, patch, 0, rng)
        self.rate_s, self.rate_a = FiringRate(heads, channels // heads), FiringRate(heads, patches)
        self.projection = InitialConvBN(channels, channels, 1, 1, 0, rng)

    def forward(self, x: Tensor) -> Tensor:
        t, n, h, w, c = x.shape
        d = c // self.heads
        s = self.neuron(x)
        y = self.embed(s)  # [T, N, H / p, W / p, 2 C]
        y = y.reshape(t, n, y.shape[2] * y.shape[3], self.heads, 2 * d)  # [T, N, L, heads, 2 d]
        y1, y2 = y[..., :d].transpose(0, 1, 3, 4, 2), y[..., d:].transpose(0, 1, 3, 2, 4)  # [.., d, L] and [.., L, d]
        s = s.reshape(t, n, h * w, self.heads, d).transpose(0, 1, 3, 2, 4)  # [T, N, heads, H W, d]
        a = self.attention((s @ y1) * self.rate_s(s))  # [T, N, heads, H W, L]
        b = (a @ y2) * self.rate_a(a)  # [T, N, heads, H W, d]
        b = self.out(b.transpose(0, 1, 3, 2, 4).reshape(t, n, h, w, c))
        return self.projection(b) + x


class GWFFN(nn.Module):
    """x + BN(Conv1x1(SN(u + BN(GroupedConv3x3(SN(u)))))),  u = BN(Conv1x1(SN(x))): currents [T, N, H, W, C].

    u has `ratio` times C channels, in groups of `group`. Section 4.3.
    """

    def __init__(self, channels: int, ratio: int, group: int, config: SpikingConfig, rng: np.random.Generator) -> None:
        hidden = ratio * channels
        self.neuron, self.hidden, self.out = (config.make_neuron() for _ in range(3))
        self.up = InitialConvBN(channels, hidden, 1, 1, 0, rng)
        self.conv = InitialConvBN(hidden, hidden, 3, 1, 1, rng, groups=hidden // group)
        self.down = InitialConvBN(hidden, channels, 1, 1, 0, rng)

    def forward(self, x: Tensor) -> Tensor:
        u = self.up(self.neuron(x))
        u = u + self.conv(self.hidden(u))
        return x + self.down(self.out(u))
