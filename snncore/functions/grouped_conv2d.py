"""Convolution in which each group of channels sees its own group alone; depthwise with a group for each channel."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import as_images, check_float, check_shape, check_window, pair
from snncore.functions.keeping import kept_spikes
from snncore.functions.summing import summing
from snncore.opcount.cost import OpCount
from snncore.opcount.events import conv_taps
from snncore.opcount.spared import zeros_of_conv
from snncore.opcount.weights import weights_backward, weights_cost
from snncore.tape import Function


class GroupedConv2d(Function):
    """Convolve each of `groups` equal parts of the channels by itself.

        y[.., i, j, k] = b[k] + sum over ky, kx of x[.., row, col, k] @ w[ky, kx, :, k]
        row = i * sy + ky * dy - ph,  col = j * sx + kx * dx - pw

    where index k stands for the channels of group k, Ci / groups of x and Co / groups of y. The weights tell how many
    groups there are: w has Ci / groups input channels. With one (w [kh, kw, 1, Co]) it is a depthwise convolution.
    Going back, gx, gw and gb are those of `Conv2d`, group by group.

    x: [..., H, W, Ci], uint8 spikes (accumulated) or float (multiplied). w: float [kh, kw, Ci / groups, Co].
    b: [Co] or None. Returns y: type of w, [..., Ho, Wo, Co] with Ho = (H + 2 ph - dy (kh - 1) - 1) // sy + 1.
    Kept for backward: x (uint8 if spikes) and w.
    Raises ValueError if the channels of x, w and b do not fit or the window does not fit; TypeError if w is not float.
    """

    looks = True

    def __init__(
        self,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        self.stride, self.padding = pair("stride", stride), pair("padding", padding, least=0)
        self.dilation = pair("dilation", dilation)

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        if x.ndim < 4 or w.ndim != 4 or w.shape[2] == 0 or x.shape[-1] % w.shape[2]:
            raise ValueError(
                f"GroupedConv2d: expected x [..., H, W, Ci] and w [kh, kw, Ci / groups, Co], found x {x.shape} and "
                f"w {w.shape}"
            )
        groups = x.shape[-1] // w.shape[2]
        if groups == 0 or w.shape[3] % groups:
            raise ValueError(f"GroupedConv2d: expected w with Co a multiple of {groups} groups, found w {w.shape}")
        check_window("GroupedConv2d", x, w, self.padding, self.dilation)
        check_float("GroupedConv2d", w=w)
        check_shape("GroupedConv2d", w.shape[3:], b=b)
        self.save(kept_spikes(self, x), w)
        images = as_images(x)  # [M, H, W, Ci]
        forward = summing(self.kernels, "grouped_conv_forward", x, w)
        y = forward(images, w, self.stride, self.padding, self.dilation)
        if b is not None:
            y += b
        return y.reshape(*x.shape[:-3], *y.shape[1:])  # [..., Ho, Wo, Co]

    def backward(self, gy: Array) -> Any:
        kept, w = self.saved
        x = self.kernels.unpacked_spikes(kept)
        images = as_images(x)  # [M, H, W, Ci]
        gy = as_images(gy)  # [M, Ho, Wo, Co]
        layer = self.stride, self.padding, self.dilation
        gx = gw = gb = None
        if self.needs[0]:
            gx = self.kernels.grouped_conv_backward_input(gy, w, images.shape, *layer).reshape(x.shape)
        if self.needs[1]:
            groups = x.shape[-1] // w.shape[2]
            gw = self.kernels.grouped_conv_backward_weight(images, gy, w.shape[:2], groups, *layer)
        if self.needs[2]:
            gb = gy.sum(axis=(0, 1, 2))
        return gx, gw, gb

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, for each entry, the Co / groups outputs of its group in each of the windows that it lies in."""
        x, w, b = inputs
        taps = conv_taps(x.shape[-3:-1], w.shape[:2], self.stride, self.padding, self.dilation)  # [H, W]
        targets = w.shape[3] * w.shape[2] // x.shape[-1]
        zeros = zeros_of_conv(w, x.shape[-3:-1], x.shape[-1], self.stride, self.padding, self.dilation)
        return weights_cost("GroupedConv2d", x, outputs[0], w, b, targets, taps, self.stride, zeros)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return weights_backward(self.needs, self.cost(inputs, outputs), outputs[0])
