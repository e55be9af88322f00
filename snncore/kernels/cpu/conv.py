"""Which kernel convolves: chosen at each call from the layer and the measured density of its spikes.

| call                | layer             | input                     | kernel                                |
| ------------------- | ----------------- | ------------------------- | ------------------------------------- |
| forward             | any               | spikes, density < forward | event gather                          |
| forward             | 3x3, stride 1 (*) | other                     | Winograd F(2x2), exact enough to fire |
| forward             | any               | other                     | im2col and register tile              |
| weight gradient     | stride 1          | spikes, density < weight  | event gather                          |
| weight gradient     | any               | other                     | register tile on the input in place   |
| input gradient      | 3x3, stride 1 (*) | (always dense)            | Winograd F(4x4); 2x2 pixels: one tile |
| input gradient      | stride 1          | (always dense)            | im2col and register tile              |
| input gradient      | any               | (always dense)            | register tile, added to the windows   |

(*) of at least `DEEP` channels that go in (of the gradient: those of the output), padded by 2 at most.

The break-even densities `BREAK_EVEN` were measured (docs/performance.md). SNNCORE_KERNELS=event or dense forces the
column of that name wherever the layer allows it. All of it is for float32; other types go to the reference kernels, and
so do weights that are not all finite (or above 1e30): an event-driven kernel would never see the NaN of a silent
channel, and Winograd would make NaN of infinities.
"""

from types import MappingProxyType

import numpy as np

from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice
from snncore.kernels.cpu import conv_dense, conv_event, conv_event_weight, conv_weight, winograd
from snncore.kernels.cpu.events import Spikes, look_at
from snncore.kernels.cpu.finite import are_finite

BREAK_EVEN = MappingProxyType({"forward": 0.5, "weight": 1.25})
"""Densities (sum of values over entries) from which dense kernels are faster."""

LARGEST = 16  # a spike of value v is listed v times; above this the input is no train of spikes
DEEP = 16  # channels from which Winograd's transforms pay
Pair = tuple[int, int]


def worth_listing(spikes: Spikes, limit: float) -> bool:
    """Whether the event kernels take these spikes."""
    fits = spikes.largest <= LARGEST and spikes.totals.sum() < 2**31  # the lists are int32
    choice = kernel_choice()
    return bool(fits and choice != "dense" and (choice == "event" or spikes.density < limit))


def is_winograd(kernel: Pair, stride: Pair, padding: Pair, channels: int) -> bool:
    """Whether the layer is one that Winograd's filters are for."""
    return kernel == (3, 3) and stride == (1, 1) and max(padding) <= 2 and channels >= DEEP


def conv_forward(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.conv_forward`."""
    if w.dtype == np.float32 and x.size and are_finite(w):
        if x.dtype == np.uint8:
            spikes = look_at(x)
            if worth_listing(spikes, BREAK_EVEN["forward"]):
                return conv_event.conv_forward(spikes, w, stride, padding)
        if x.dtype in (np.uint8, np.float32):
            if is_winograd(w.shape[:2], stride, padding, x.shape[-1]):
                return winograd.conv3x3(x, w, padding, m=2)
            return conv_dense.conv_forward(x, w, stride, padding)
    return reference.conv_forward(x, w, stride, padding)


def conv_backward_weight(x: np.ndarray, gy: np.ndarray, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """gw [kh, kw, Ci, Co] as `reference.conv_backward_weight`."""
    if gy.dtype == np.float32 and x.size:
        if x.dtype == np.uint8 and stride == (1, 1):
            spikes = look_at(x)
            if worth_listing(spikes, BREAK_EVEN["weight"]):
                return conv_event_weight.conv_backward_weight(spikes, gy, kernel, padding)
        if x.dtype in (np.uint8, np.float32):
            return conv_weight.conv_backward_weight(x, gy, kernel, stride, padding)
    return reference.conv_backward_weight(x, gy, kernel, stride, padding)


def conv_backward_input(
    gy: np.ndarray, w: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair
) -> np.ndarray:
    """gx [M, H, W, Ci] as `reference.conv_backward_input`."""
    if gy.size and gy.dtype == w.dtype == np.float32 and are_finite(w):
        if is_winograd(w.shape[:2], stride, padding, w.shape[3]):
            return winograd.conv3x3(gy, w, (2 - padding[0], 2 - padding[1]), m=4, turned=True)
        return conv_dense.conv_backward_input(gy, w, shape, stride, padding)
    return reference.conv_backward_input(gy, w, shape, stride, padding)
