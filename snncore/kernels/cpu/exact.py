"""Which kernel sums exactly: all give the same bits, so that the choice is one of speed.

| input                                | kernel                                              |
| ------------------------------------ | --------------------------------------------------- |
| spikes, AMX where it is asked for    | `exact_tiles`: tiles of bytes                       |
| spikes, density < break-even         | `exact_event`: lists of events, 32-bit integers     |
| other spikes, 3x3, AVX-512 VNNI (*)  | `exact_winograd`: fewer dot products of bytes       |
| other spikes, AVX-512 VNNI           | `exact_digits`: dot products of bytes               |
| other spikes; analog input           | `exact_dense`: im2col, register tile of float64     |

(*) where `exact_winograd.takes` the layer: stride 1, spikes up to 63, channels in blocks of 16.
SNNCORE_AMX=on asks for AMX (`amx`). SNNCORE_KERNELS=event or dense forces events, or one of the others, for spikes
wherever it can run; event lists need sums that fit 32 bits, as those of spikes up to 2 always do. Other types, and
weights that are not ordinary, go to the reference.
"""

import math
from types import MappingProxyType

import numpy as np

from snncore.kernels import reference
from snncore.kernels.cpu import amx, exact_dense, exact_digits, exact_event, exact_tiles, exact_winograd
from snncore.kernels.cpu.conv import Pair, worth_listing
from snncore.kernels.cpu.conv_event import width_of
from snncore.kernels.cpu.events import look_at
from snncore.kernels.cpu.exact_weights import Packed, kept, pack_for_events, pack_for_tiles

BREAK_EVEN = MappingProxyType({"winograd": 0.5, "digits": 0.65, "tiles": 1.5, "amx": 0.2})
"""Density (sum of values over entries) from which a dense kernel is faster (docs/exact.md); AMX: of 128 channels."""
PIXELS = 64  # rows of a linear layer that count as one image of a convolution


def exact_conv_forward(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`."""
    y = _sums(x, w, stride, padding)
    return reference.exact_conv_forward(x, w, stride, padding) if y is None else y


def exact_linear_forward(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y [..., Co] as `reference.exact_linear_forward`: a convolution with one tap."""
    rows = math.prod(x.shape[:-1])
    width = math.gcd(rows, PIXELS)
    y = _sums(x.reshape(rows // max(1, width), 1, width, x.shape[-1]), w[None, None], (1, 1), (0, 0))
    return reference.exact_linear_forward(x, w) if y is None else y.reshape(*x.shape[:-1], w.shape[1])


def _sums(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray | None:
    """Return y [M, Ho, Wo, Co], or None where no compiled kernel can."""
    kernel, channels_out = w.shape[:2], w.shape[3]
    if not (x.size and w.size) or x.dtype not in (np.uint8, np.float32):
        return None
    spiking = x.dtype == np.uint8
    if spiking:
        spikes = look_at(x)
        dense = dense_kernel(spikes.largest, w, stride)
        if worth_listing(spikes, BREAK_EVEN[dense]):
            width = width_of(channels_out)
            packed = kept(w, ("events", width), lambda w: pack_for_events(w, width))
            if packed is None:
                return None
            if exact_event.fits(spikes, packed):
                return exact_event.conv_forward(spikes, packed, channels_out, kernel[1], stride, padding)
        if dense == "amx":
            found = kept(w, (dense,), exact_tiles.pack)
            return None if found is None else exact_tiles.conv_forward(x, found, kernel, stride, padding)
        if dense == "winograd" and (found := kept(w, (dense,), exact_winograd.pack)):
            return exact_winograd.conv_forward(x, found, padding)
        if dense != "tiles":
            found = kept(w, ("digits",), exact_digits.pack)
            return None if found is None else exact_digits.conv_forward(x, found, kernel, stride, padding)
    found = kept(w, ("tiles", spiking), lambda w: _pack_for_tiles(w, spiking))
    return None if found is None else exact_dense.conv_forward(x, found, kernel, stride, padding)


def dense_kernel(largest: int, w: np.ndarray, stride: Pair) -> str:
    """Name the dense kernel for spikes up to `largest`, as in BREAK_EVEN."""
    shallow = w.size // w.shape[3] <= exact_digits.DEEPEST
    if shallow and amx.used():
        return "amx"
    if exact_digits.VNNI and exact_winograd.takes(largest, w, stride):
        return "winograd"
    return "digits" if shallow and exact_digits.VNNI else "tiles"


def _pack_for_tiles(w: np.ndarray, spiking: bool) -> Packed | None:
    return pack_for_tiles(w, exact_dense.COLUMNS, spiking)
