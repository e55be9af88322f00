"""Rows of spikes times weights from lists of events, where the spikes are few and the matrix is not tiny.

A row of spikes is a pixel, and the matrix a convolution with one tap: `conv_event` does the work. Else the product is
dense, by the reference; so it is with weights that are not all finite, as in `conv`. Measured on one core, BLAS against
events, density 0.05 to 0.3, in ms (docs/performance.md):

| rows, Ci, Co   | forward, dense | events      | weight gradient, dense | events     |
| -------------- | -------------- | ----------- | ---------------------- | ---------- |
| 128, 64, 64    | 0.013          | 0.06 - 0.07 | 0.014                  | 0.05 - 0.1 |
| 1024, 64, 64   | 0.10           | 0.06 - 0.09 | 0.10                   | 0.09 - 0.2 |
| 1024, 256, 256 | 1.3            | 0.29 - 0.69 | 1.4                    | 0.4 - 0.9  |
| 4096, 512, 10  | 1.1            | 0.77 - 0.93 | 1.2                    | 1.4 - 2.2  |
| 4096, 512, 512 | 22             | 4.7 - 11    | 22                     | 6.4 - 15   |
"""

import math

import numpy as np

from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice
from snncore.kernels.cpu import conv_event, conv_event_weight
from snncore.kernels.cpu.conv import worth_listing
from snncore.kernels.cpu.events import look_at
from snncore.kernels.cpu.finite import are_finite

LEAST_FORWARD, DENSE = 4_000_000, 0.4  # multiply-accumulates from which lists of events pay; their break-even density
LEAST_WEIGHT, NARROWEST, SPARSE = 16_000_000, 32, 0.35  # of the weight gradient; its outputs; its break-even density
PIXELS = 64  # rows that count as one image of the convolution
ONE, NONE = (1, 1), (0, 0)


def linear_forward(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y [..., Co] as `reference.linear_forward`."""
    ci, co = w.shape
    if x.dtype == np.uint8 and w.dtype == np.float32 and x.size and co and _large(x.size * co, LEAST_FORWARD):
        spikes = look_at(_images(x))
        if worth_listing(spikes, DENSE) and are_finite(w):
            weights = np.ascontiguousarray(w).reshape(1, 1, ci, co)
            return conv_event.conv_forward(spikes, weights, ONE, NONE).reshape(*x.shape[:-1], co)
    return reference.linear_forward(x, w)


def linear_backward_weight(x: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """gw [Ci, Co] as `reference.linear_backward_weight`."""
    co = gy.shape[-1]
    fits = x.dtype == np.uint8 and gy.dtype == np.float32 and x.size and co
    if fits and _large(x.size * co if co >= NARROWEST else 0, LEAST_WEIGHT):
        spikes = look_at(_images(x))
        if worth_listing(spikes, SPARSE):
            rows = gy.reshape(*spikes.x.shape[:3], co)
            return conv_event_weight.conv_backward_weight(spikes, rows, ONE, NONE).reshape(x.shape[-1], co)
    return reference.linear_backward_weight(x, gy)


def _large(products: int, least: int) -> bool:
    """Whether the spikes are worth a look: a large product, or events are forced."""
    return products >= least or kernel_choice() == "event"


def _images(x: np.ndarray) -> np.ndarray:
    """Return rows [..., Ci] as images [M, 1, W, Ci]."""
    rows = x.size // x.shape[-1]
    width = math.gcd(rows, PIXELS)
    return x.reshape(rows // width, 1, width, x.shape[-1])
