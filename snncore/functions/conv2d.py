"""Two-dimensional convolution of spikes or analog input."""

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


class Conv2d(Function):
    """Slide a window of weights over the image.

        y[.., i, j, :] = b + sum over ky, kx of x[.., i * sy + ky * dy - ph, j * sx + kx * dx - pw, :] @ w[ky, kx]

    with zeros outside the image; the dilation (dy, dx) is the distance between two taps of the window. Going back:

        gx = gy, spread by the stride, convolved with w turned by 180 degrees and transposed
        gw[ky, kx] = sum over images and pixels of x^T gy;  gb = sum of gy

    x: [..., H, W, Ci], uint8 spikes (accumulated) or float (multiplied). w: float [kh, kw, Ci, Co]. b: [Co] or None.
    Returns y: type of w, [..., Ho, Wo, Co] with Ho = (H + 2 ph - dy (kh - 1) - 1) // sy + 1.
    Kept for backward: x (uint8 if spikes, on the CPU as bits) and w. A dilation above 1 runs on plain array code.
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
        if x.ndim < 4 or w.ndim != 4 or x.shape[-1] != w.shape[2]:
            raise ValueError(
                f"{self.name}: expected x [..., H, W, Ci] and w [kh, kw, Ci, Co] with the same Ci, "
                f"found x {x.shape} and w {w.shape}"
            )
        check_window(self.name, x, w, self.padding, self.dilation)
        check_float(self.name, w=w)
        check_shape(self.name, w.shape[3:], b=b)
        self.save(kept_spikes(self, x), w)
        images = as_images(x)  # [M, H, W, Ci]
        if self.dilation == (1, 1):
            y = summing(self.kernels, "conv_forward", x, w)(images, w, self.stride, self.padding)  # [M, Ho, Wo, Co]
        else:
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
        gx = gw = gb = None
        if self.needs[0]:
            gx = self._gradient_of_input(gy, w, images.shape).reshape(x.shape)
        if self.needs[1]:
            gw = self._gradient_of_weight(images, gy, w.shape[:2])
        if self.needs[2]:
            gb = gy.sum(axis=(0, 1, 2))
        return gx, gw, gb

    def _gradient_of_input(self, gy: Array, w: Array, shape: tuple[int, ...]) -> Array:
        if self.dilation == (1, 1):
            return self.kernels.conv_backward_input(gy, w, shape, self.stride, self.padding)
        return self.kernels.grouped_conv_backward_input(gy, w, shape, self.stride, self.padding, self.dilation)

    def _gradient_of_weight(self, x: Array, gy: Array, kernel: tuple[int, int]) -> Array:
        if self.dilation == (1, 1):
            return self.kernels.conv_backward_weight(x, gy, kernel, self.stride, self.padding, **self.into(1))
        return self.kernels.grouped_conv_backward_weight(x, gy, kernel, 1, self.stride, self.padding, self.dilation)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, for each entry, Co outputs in each of the windows that it lies in."""
        x, w, b = inputs
        taps = conv_taps(x.shape[-3:-1], w.shape[:2], self.stride, self.padding, self.dilation)  # [H, W]
        zeros = zeros_of_conv(w, x.shape[-3:-1], x.shape[-1], self.stride, self.padding, self.dilation)
        return weights_cost(self.name, x, outputs[0], w, b, w.shape[3], taps, self.stride, zeros)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return weights_backward(self.needs, self.cost(inputs, outputs), outputs[0])
