"""Layers with weights, and pooling.

A layer made without `rng` draws its weights from the stream of the process, see `snncore.manual_seed`.
"""

import math

import numpy as np

from snncore import functions as F
from snncore.backend import Array
from snncore.functions.checks import check_sizes, pair
from snncore.given import is_integer, is_number
from snncore.nn.init import fan_in_uniform
from snncore.nn.module import Buffer, Module, Parameter
from snncore.rng import weight_rng
from snncore.tape import Tensor

__all__ = [
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "GlobalAvgPool",
    "GroupedConv2d",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
]


class Conv2d(Module):
    """Convolution with weight [kh, kw, Ci, Co] and optional bias [Co]; see `functions.Conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        check_sizes("Conv2d", in_channels=in_channels, out_channels=out_channels)
        rng = weight_rng(rng)
        kh, kw = pair("kernel", kernel)
        fan_in = kh * kw * in_channels
        self.function = F.Conv2d(stride, padding, dilation)
        self.weight = Parameter(fan_in_uniform(rng, (kh, kw, in_channels, out_channels), fan_in))
        self.bias = Parameter(fan_in_uniform(rng, (out_channels,), fan_in)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


class GroupedConv2d(Module):
    """Convolution in groups of channels, weight [kh, kw, Ci / groups, Co]; see `functions.GroupedConv2d`.

    groups: by default as many as there are input channels, which is a depthwise convolution.
    Raises ValueError unless both numbers of channels are multiples of it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
        dilation: int | tuple[int, int] = 1,
        groups: int | None = None,
    ) -> None:
        groups = in_channels if groups is None else groups
        check_sizes("GroupedConv2d", in_channels=in_channels, out_channels=out_channels)
        if not is_integer(groups) or groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a number that divides {in_channels} and {out_channels} channels, found {groups!r}"
            )
        rng = weight_rng(rng)
        kh, kw = pair("kernel", kernel)
        per_group = in_channels // groups
        fan_in = kh * kw * per_group
        self.function = F.GroupedConv2d(stride, padding, dilation)
        self.weight = Parameter(fan_in_uniform(rng, (kh, kw, per_group, out_channels), fan_in))
        self.bias = Parameter(fan_in_uniform(rng, (out_channels,), fan_in)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


class Conv1d(Module):
    """Convolution along a sequence [..., L, Ci] with weight [k, Ci, Co] and optional bias; see `functions.Conv1d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        check_sizes("Conv1d", in_channels=in_channels, out_channels=out_channels, kernel=kernel)
        rng = weight_rng(rng)
        fan_in = kernel * in_channels
        self.function = F.Conv1d(stride, padding)
        self.weight = Parameter(fan_in_uniform(rng, (kernel, in_channels, out_channels), fan_in))
        self.bias = Parameter(fan_in_uniform(rng, (out_channels,), fan_in)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


class Linear(Module):
    """Fully connected layer with weight [Ci, Co] and optional bias [Co]; see `functions.Linear`."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rng: np.random.Generator | None = None
    ) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        rng = weight_rng(rng)
        self.function = F.Linear()
        self.weight = Parameter(fan_in_uniform(rng, (in_features, out_features), in_features))
        self.bias = Parameter(fan_in_uniform(rng, (out_features,), in_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


class BatchNorm(Module):
    """Batch normalisation over T, N and pixels with running statistics; see `functions.BatchNorm`."""

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        check_sizes("BatchNorm", channels=channels)
        if not is_number(momentum) or not 0 <= momentum <= 1:
            raise ValueError(f"momentum: expected a number in [0, 1], found {momentum!r}")
        self.momentum, self.eps = momentum, _small(eps)
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.running_mean = Buffer(np.zeros(channels, np.float32))
        self.running_var = Buffer(np.ones(channels, np.float32))

    def settings(self) -> tuple[Array, Array, bool, float, float]:
        """Return what `functions.BatchNorm` is made with, in its order."""
        return self.running_mean.data, self.running_var.data, self.training, self.momentum, self.eps

    def forward(self, x: Tensor) -> Tensor:
        return F.BatchNorm(*self.settings())(x, self.weight, self.bias)


class LayerNorm(Module):
    """Layer normalisation over the last axis; see `functions.LayerNorm`."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        check_sizes("LayerNorm", channels=channels)
        self.function = F.LayerNorm(_small(eps))
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


def _small(eps: float) -> float:
    if not is_number(eps) or not 0 <= eps < math.inf:
        raise ValueError(f"eps: expected a finite number >= 0, found {eps!r}")
    return eps


class MaxPool2d(Module):
    """Max pooling; see `functions.MaxPool2d`."""

    def __init__(
        self,
        kernel: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        self.function = F.MaxPool2d(kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class AvgPool2d(Module):
    """Average pooling; see `functions.AvgPool2d`."""

    def __init__(
        self,
        kernel: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        self.window, self.padding = (kernel, stride), padding

    def forward(self, x: Tensor) -> Tensor:
        return F.AvgPool2d(*self.window, dtype=self.dtype, padding=self.padding)(x)


class GlobalAvgPool(Module):
    """Mean over all pixels; see `functions.GlobalAvgPool`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.GlobalAvgPool(self.dtype)(x)
