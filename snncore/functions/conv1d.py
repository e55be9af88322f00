"""One-dimensional convolution of spikes or analog input."""

from typing import Any

from snncore.backend import Array
from snncore.functions.conv2d import Conv2d
from snncore.given import is_integer
from snncore.opcount.cost import OpCount


class Conv1d(Conv2d):
    """Slide a window of weights along a sequence: a `Conv2d` of images of height 1, with its kernels and its counts.

        y[.., i, :] = b + sum over k of x[.., i * stride + k - padding, :] @ w[k]

    x: [..., L, Ci], uint8 spikes or float. w: float [k, Ci, Co]. b: [Co] or None. Returns y [..., Lo, Co], type of w.
    Raises ValueError if the channels of x, w and b do not fit or the window does not fit; TypeError if w is not float.
    """

    def __init__(self, stride: int = 1, padding: int = 0) -> None:
        for name, value, least in (("stride", stride, 1), ("padding", padding, 0)):
            if not is_integer(value) or value < least:
                raise ValueError(f"Conv1d: expected {name} of at least {least}, an integer, found {value!r}")
        super().__init__((1, stride), (0, padding))

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        if x.ndim < 3 or w.ndim != 3 or x.shape[-1] != w.shape[1]:
            raise ValueError(
                f"Conv1d: expected x [..., L, Ci] of at least three axes and w [k, Ci, Co] with the same Ci, "
                f"found x {x.shape} and w {w.shape}"
            )
        if x.shape[-2] + 2 * self.padding[1] < w.shape[0]:
            raise ValueError(f"Conv1d: a window of {w.shape[0]} does not fit x {x.shape} padded by {self.padding[1]}")
        return super().forward(_high(x), w[None], b)[..., 0, :, :]

    def backward(self, gy: Array) -> Any:
        gx, gw, gb = super().backward(_high(gy))
        return None if gx is None else gx[..., 0, :, :], None if gw is None else gw[0], gb

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        x, w, b = inputs
        return super().cost((_high(x), w[None], b), (_high(outputs[0]),))


def _high(x: Array) -> Array:
    """[..., L, C] as [..., 1, L, C]."""
    return x[..., None, :, :]
