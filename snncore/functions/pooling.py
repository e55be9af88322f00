"""Max, average and global average pooling."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.checks import as_images, pair
from snncore.functions.keeping import kept_spikes
from snncore.opcount.cost import Facts, OpCount, Value, lead_of
from snncore.opcount.events import conv_taps, entries, events, facts_of, mapped_events, traffic
from snncore.opcount.origin import known_origin
from snncore.tape import Function


class _Pool(Function):
    """Windows of `kernel` every `stride` (by default, the kernel) pixels; what no whole window covers is left out."""

    padding = (0, 0)

    def __init__(self, kernel: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None) -> None:
        self.kernel = pair("kernel", kernel)
        self.stride = self.kernel if stride is None else pair("stride", stride)

    def images(self, x: Array) -> Array:
        """Return x [..., H, W, C] as [M, H, W, C]."""
        fits = all(n + 2 * p >= k for n, p, k in zip(x.shape[-3:-1], self.padding, self.kernel, strict=False))
        if x.ndim < 4 or not fits or 0 in x.shape[-3:]:
            around = "" if self.padding == (0, 0) else f" with a padding of {self.padding}"
            raise ValueError(
                f"{self.name}: expected x [..., H, W, C] of at least {self.kernel} pixels, found {x.shape}{around}"
            )
        return as_images(x)


class MaxPool2d(_Pool):
    """Largest entry of each window; of equal ones the first in reading order takes the gradient.

    x: [..., H, W, C], any type. Returns y of the same type, so that spikes stay spikes.
    padding: pixels added on each side, which are never the largest; at most half the kernel, so that every window
    holds a pixel of the image. Raises ValueError for a wider padding or if the window does not fit.
    """

    looks = True

    def __init__(
        self,
        kernel: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__(kernel, stride)
        self.padding = _at_most_half(padding, self.kernel)

    def forward(self, x: Array) -> Array:
        padded = _surrounded(self.images(x), self.padding)
        y = self.kernels.max_pool_forward(padded, self.kernel, self.stride)  # [M, Ho, Wo, C]
        self.save(kept_spikes(self, x), kept_spikes(self, y))
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    def backward(self, gy: Array) -> Array:
        x, y = (self.kernels.unpacked_spikes(kept) for kept in self.saved)
        images = self.images(x)
        if self.padding != (0, 0):  # among floats the padding is below every spike, so that no zero of it takes part
            images, y = (a if a.dtype.kind == "f" else a.astype(gy.dtype) for a in (images, y))
            images = _surrounded(images, self.padding)
        gx = self.kernels.max_pool_backward(gy.reshape(y.shape), images, y, self.kernel, self.stride)
        (ph, pw), (h, w) = self.padding, x.shape[-3:-1]
        return gx[:, ph : ph + h, pw : pw + w].reshape(x.shape)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count k - 1 comparisons for each window with k pixels in the image; of binary spikes they are ORs."""
        x, y = inputs[0], outputs[0]
        taps = int(conv_taps(x.shape[-3:-1], self.kernel, self.stride, self.padding).sum())
        images = entries(x.shape[:-3], lead_of(x.shape, features=3))
        compares = images * (taps - y.shape[-3] * y.shape[-2]) * x.shape[-1]
        return with_facts("MaxPool2d", x, y, self.kernel, pool_compare=compares)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_add=outputs[0].size)


class AvgPool2d(_Pool):
    """Mean of each window: y = sum / n; each entry of the window gets gy / n.

    x: [..., H, W, C]. Returns y of the type of x, or of `dtype` where x is spikes.
    padding: pixels of zero on each side, which are among the n of a window; at most half the kernel.
    """

    def __init__(
        self,
        kernel: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
        dtype: Any = np.float32,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__(kernel, stride)
        self.dtype = np.dtype(dtype)
        self.padding = _at_most_half(padding, self.kernel)

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        dtype = x.dtype if x.dtype.kind == "f" else self.dtype
        images = _framed(self.images(x), self.padding, 0)
        y = self.kernels.avg_pool_forward(images, self.kernel, self.stride, dtype)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    def backward(self, gy: Array) -> Array:
        (ph, pw), (h, w, c) = self.padding, self.shape[-3:]
        images = (int(np.prod(self.shape[:-3])), h + 2 * ph, w + 2 * pw, c)
        gx = self.kernels.avg_pool_backward(as_images(gy), images, self.kernel, self.stride)
        return gx[:, ph : ph + h, pw : pw + w].reshape(self.shape)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, of spikes, an addition for each event and window; of analog input k - 1 a window; and a scaling.

        k: pixels of the window that lie in the image.
        """
        x, y = inputs[0], outputs[0]
        lead = lead_of(x.shape, features=3)
        per = entries(y.shape, lead)
        taps = conv_taps(x.shape[-3:-1], self.kernel, self.stride, self.padding)
        adds: Value = entries(x.shape[:-3], lead) * int(taps.sum()) * x.shape[-1] - per
        if x.dtype.kind != "f":
            found = mapped_events(x.reshape(-1, taps.size, x.shape[-1]), lead, taps.ravel())
            adds = found.ones + found.graded
        return with_facts("AvgPool2d", x, y, self.kernel, pool_add=adds, **scaled(x, per))

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size, back_add=outputs[0].size * self.kernel[0] * self.kernel[1])


class GlobalAvgPool(Function):
    """Mean over all pixels: [..., H, W, C] to [..., C]; each pixel gets gy / (H W).

    Returns the type of x, or `dtype` where x is spikes.
    """

    looks = True

    def __init__(self, dtype: Any = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Array) -> Array:
        if x.ndim < 3:
            raise ValueError(f"GlobalAvgPool: expected x [..., H, W, C], found {x.shape}")
        self.shape = x.shape
        return x.mean(axis=(-3, -2), dtype=x.dtype if x.dtype.kind == "f" else self.dtype)

    def backward(self, gy: Array) -> Array:
        pixels = self.shape[-3] * self.shape[-2]
        return (gy / pixels)[..., None, None, :].repeat(self.shape[-3], axis=-3).repeat(self.shape[-2], axis=-2)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, of spikes, an addition for each event; of analog input H W - 1 for each output; and a scaling each."""
        x, y = inputs[0], outputs[0]
        lead = lead_of(x.shape, features=3)
        per = entries(y.shape, lead)
        adds: Value = per * (x.shape[-3] * x.shape[-2] - 1)
        if x.dtype.kind != "f":
            found = events(x, lead)
            adds = found.ones + found.graded
        return with_facts("GlobalAvgPool", x, y, x.shape[-3:-1], pool_add=adds, **scaled(x, per))

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)


def scaled(x: Array, per: int) -> dict[str, Value]:
    """Scalings of means; those of spikes, and of means of spikes, can move into the weights that come after them."""
    folds = x.dtype.kind != "f" or known_origin().averaged
    return {"pool_mul": per, "pool_mul_averaged": per if folds else 0}


def _at_most_half(padding: int | tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
    """Padding in pixels; ValueError where a window could hold no pixel of the image."""
    made = pair("padding", padding, least=0)
    if any(2 * p > k for p, k in zip(made, kernel, strict=True)):
        raise ValueError(f"padding: expected at most half the kernel of {kernel}, found {made}")
    return made


def _surrounded(x: Array, padding: tuple[int, int]) -> Array:
    """Return images [M, H, W, C] with a frame of the least value that the type has; of spikes, 0."""
    kind = x.dtype.kind
    return _framed(x, padding, -np.inf if kind == "f" else np.iinfo(x.dtype).min if kind == "i" else 0)


def _framed(x: Array, padding: tuple[int, int], value: float) -> Array:
    """Return images [M, H, W, C] with a frame of one value."""
    ph, pw = padding
    if padding == (0, 0):
        return x
    return array_module(x).pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def with_facts(layer: str, x: Array, y: Array, kernel: tuple[int, ...], **columns: Value) -> OpCount:
    """Return the columns of a pooling layer with the bytes that it moves and its facts for the rules of others."""
    lead = lead_of(x.shape, features=3)
    found = facts_of(x, events(x, lead))
    facts = Facts("pool", layer, in_size=x.size, out_size=y.size, cells=math.prod(lead), kernel=kernel, **found)
    return OpCount(lead, None, (facts,), **columns, **traffic(x, lead, "read"), **traffic(y, lead, "write"))
