"""Interpolation of others between pixels, stated by its weights: each output is a sum of a few entries."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from snncore.foreign import windows
from snncore.foreign.axes import kept, laid
from snncore.foreign.costed import Costed
from snncore.foreign.recorder import Recorder
from snncore.opcount.cost import Facts, OpCount, lead_of
from snncore.opcount.events import entries, events, facts_of, mapped_events, traffic

__all__ = ["RULES"]

TINY = 1e-9  # weights nearer to 0 or 1 than this are 0 or 1: they follow from sizes, in float64


class Interpolated(Costed):
    """The cost alone of y = sum of weights x over the pixels around, with weights that follow from the sizes.

    A weight of 0 counts nothing. Analog input: a product for each weight that is not 1, and k - 1 additions for an
    output of k pixels. Spikes: an addition for each event and output that it goes into, as in average pooling, and a
    product for an event above 1 and each weight that is not 1. x, y: [.., P, 1, C], all pixels in one axis.
    sides: of each axis, for each of its entries, how many weights are not 0, and how many of them are 1: int64 [size]
    each. No rule of others reads it: they name it in a note.
    """

    def __init__(self, kind: str, sides: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__(kind)
        self.taps, self.units = (windows.outer(counts).ravel() for counts in zip(*sides, strict=True))  # int64 [P]

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        x, y = inputs[0], outputs[0]
        lead = lead_of(x.shape, features=3)
        images = entries(x.shape[:-3], lead) * x.shape[-1]
        adds: Any = images * int(self.taps.sum()) - entries(y.shape, lead)
        muls: Any = images * int((self.taps - self.units).sum())
        if x.dtype.kind != "f":
            found = mapped_events(x[..., 0, :], lead, self.taps)
            adds = found.ones + found.graded
            muls = mapped_events(x[..., 0, :], lead, self.taps - self.units).graded
        found_in = facts_of(x, events(x, lead))
        facts = Facts("upsampling", self.kind, in_size=x.size, out_size=y.size, cells=math.prod(lead), **found_in)
        moved = traffic(x, lead, "read") | traffic(y, lead, "write")
        return OpCount(lead, None, (facts,), elem_add=adds, elem_mul=muls, **moved)


def interpolation(axes: int, kind: str) -> Any:
    """Rule for aten.upsample_linear1d, upsample_bilinear2d and their kin: x [M, C, ...]."""

    def rule(rec: Recorder, y: Any, x: Any, size: Any, align: bool, *scales: Any, **settings: Any) -> None:
        scales = (*scales, *settings.values(), None, None, None)[:axes]
        sides = [_counts(kind, n, m, align, s) for n, m, s in zip(x.shape[2:], y.shape[2:], scales, strict=True)]
        before = rec.batch_axes(x)
        after = kept(before, y.shape)
        ours, theirs = laid(rec.trail.array(x), before), laid(rec.trail.array(y, analog=True), after)
        arrays = [windows.flat(array, axes) for array in (ours.array, theirs.array)]
        outside = rec.count(Interpolated(f"{kind}{axes}d", sides), arrays[:1], arrays[1:], ours.leading, [x])
        rec.made(y, False, outside, after)

    return rule


def _counts(kind: str, size: int, out: int, align: bool, scale: float | None) -> tuple[np.ndarray, np.ndarray]:
    """How many weights of each of `size` entries along an axis are not 0, and how many are 1: int64 [size] each."""
    if kind == "UpsampleBicubic":  # as PyTorch finds them for unit vectors, in an image of one row
        eye = torch.eye(size, dtype=torch.float64)[None, :, None]
        w = torch.ops.aten.upsample_bicubic2d(eye, [1, out], align, None, scale)[0, :, 0].numpy()  # [size, out]
        return (abs(w) > TINY).sum(axis=1), (abs(w - 1) < TINY).sum(axis=1)
    if align:
        place = np.arange(out) * ((size - 1) / max(1, out - 1))
    else:
        place = np.maximum((np.arange(out) + 0.5) * (1 / scale if scale else size / out) - 0.5, 0)
    near = np.rint(place)
    place = np.minimum(np.where(abs(place - near) < TINY, near, place), size - 1)
    first = place.astype(np.int64)
    whole = np.bincount(first[place == first], minlength=size)
    between = first[place != first]
    return whole + np.bincount(between, minlength=size) + np.bincount(between + 1, minlength=size), whole


RULES = {
    "upsample_linear1d": interpolation(1, "UpsampleLinear"),
    "upsample_bilinear2d": interpolation(2, "UpsampleLinear"),
    "upsample_trilinear3d": interpolation(3, "UpsampleLinear"),
    "upsample_bicubic2d": interpolation(2, "UpsampleBicubic"),
}
