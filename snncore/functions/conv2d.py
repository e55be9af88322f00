"""Two-dimensional convolution of spikes or analog input."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_float, check_shape, pair
from snncore.opcount.cost import OpCount
from snncore.opcount.events import conv_taps
from snncore.opcount.weights import weights_backward, weights_cost
from snncore.tape import Function


class Conv2d(Function):
    """Slide a window of weights over the image.

        y[.., i, j, :] = b + sum over ky, kx of x[.., i * sy + ky - ph, j * sx + kx - pw, :] @ w[ky, kx]

    with zeros outside the image. Going back:

        gx = gy, spread by the stride, convolved with w turned by 180 degrees and transposed
        gw[ky, kx] = sum over images and pixels of x^T gy;  gb = sum of gy

    x: [..., H, W, Ci], uint8 spikes (accumulated) or float (multiplied). w: float [kh, kw, Ci, Co]. b: [Co] or None.
    Returns y: type of w, [..., Ho, Wo, Co] with Ho = (H + 2 ph - kh) // sy + 1.
    Kept for backward: x (uint8 if spikes) and w.
    Raises ValueError if the channels of x, w and b do not fit or the window does not fit; TypeError if w is not float.
    """

    def __init__(self, stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0) -> None:
        self.stride, self.padding = pair("stride", stride), pair("padding", padding, least=0)

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        if x.ndim < 4 or w.ndim != 4 or x.shape[-1] != w.shape[2]:
            raise ValueError(
                f"Conv2d: expected x [..., H, W, Ci] and w [kh, kw, Ci, Co] with the same Ci, "
                f"found x {x.shape} and w {w.shape}"
            )
        fits = all(n + 2 * p >= k for n, p, k in zip(x.shape[-3:-1], self.padding, w.shape, strict=False))
        if not fits:
            raise ValueError(f"Conv2d: a window of {w.shape[:2]} does not fit x {x.shape} padded by {self.padding}")
        check_float("Conv2d", w=w)
        check_shape("Conv2d", w.shape[3:], b=b)
        self.save(x, w)
        y = self.kernels.conv_forward(x.reshape(-1, *x.shape[-3:]), w, self.stride, self.padding)  # [M, Ho, Wo, Co]
        if b is not None:
            y += b
        return y.reshape(*x.shape[:-3], *y.shape[1:])  # [..., Ho, Wo, Co]

    def backward(self, gy: Array) -> Any:
        x, w = self.saved
        images = x.reshape(-1, *x.shape[-3:])  # [M, H, W, Ci]
        gy = gy.reshape(-1, *gy.shape[-3:])  # [M, Ho, Wo, Co]
        gx = gw = gb = None
        if self.needs[0]:
            gx = self.kernels.conv_backward_input(gy, w, images.shape, self.stride, self.padding).reshape(x.shape)
        if self.needs[1]:
            gw = self.kernels.conv_backward_weight(images, gy, w.shape[:2], self.stride, self.padding)
        if self.needs[2]:
            gb = gy.sum(axis=(0, 1, 2))
        return gx, gw, gb

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, for each entry, Co outputs in each of the windows that it lies in."""
        x, w, b = inputs
        taps = conv_taps(x.shape[-3:-1], w.shape[:2], self.stride, self.padding)  # [H, W]
        return weights_cost("Conv2d", x, outputs[0], w, b, w.shape[3], taps, self.stride)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return weights_backward(self.needs, self.cost(inputs, outputs), outputs[0])
