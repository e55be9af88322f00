"""Convolutions of others, stated as those of the engine, or by their windows where it has none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign import windows
from snncore.foreign.axes import kept, laid
from snncore.foreign.costed import Costed
from snncore.foreign.recorder import Recorder
from snncore.opcount.cost import OpCount
from snncore.opcount.weights import weights_cost

__all__ = ["RULES", "convolution"]


def convolution(
    rec: Recorder, y: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, *rest: Any
) -> None:
    """aten.convolution of one, two or three dimensions, grouped, dilated or transposed: x [M, Ci, ((D,) H,) W]."""
    transposed, _, groups = rest
    axes = x.ndim - 2
    stride, padding, dilation = (windows.numbers(v, axes) for v in (stride, padding, dilation))
    before = rec.batch_axes(x)
    after = kept(before, y.shape)
    ours, theirs = laid(rec.trail.array(x, zeros=True), before), laid(rec.trail.array(y, analog=True), after).array
    rec.weigh(x, ours.array)
    weight, bias = (None if v is None else rec.trail.array(v, analog=True) for v in (w, b))
    assert weight is not None
    if transposed or axes == 3:
        side = windows.spread if transposed else windows.reached
        settled = zip(x.shape[2:], y.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
        name = f"Conv{'Transpose' if transposed else ''}{axes}d"
        function: Any = Windowed(name, [side(*each) for each in settled], stride, groups, transposed)
        images, out = windows.flat(ours.array, axes), windows.flat(theirs, axes)
    else:
        weight = weight.transpose(*range(2, w.ndim), 1, 0)
        images, out = (np.moveaxis(array, array.ndim - axes - 1, -1) for array in (ours.array, theirs))
        if axes == 1 and groups == 1:
            function = F.Conv1d(stride[0], padding[0])
            function.dilation = (1, dilation[0])
        else:
            if axes == 1:  # of height 1
                stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
                images, weight, out = images[..., None, :, :], weight[None], out[..., None, :, :]
            function = (F.Conv2d if groups == 1 else F.GroupedConv2d)(stride, padding, dilation)
    outside = rec.count(function, (images, weight, bias), (out,), ours.leading, [x])
    rec.made(y, False, outside, after)


class Windowed(Costed):
    """The cost alone of a convolution, transposed or not, over any number of axes of pixels.

    Each entry goes to Co / groups outputs under each tap that lands inside. sides: of each axis, which outputs the taps
    reach, as of `windows.reached` or `windows.spread`. x, y: [.., P, 1, C], all pixels in one axis. w: as PyTorch has
    it, [Co, Ci / groups, ..] or, transposed, [Ci, Co / groups, ..].
    """

    def __init__(
        self, kind: str, sides: Sequence[np.ndarray], stride: tuple[int, ...], groups: int, transposed: bool
    ) -> None:
        super().__init__(kind)
        self.sides, self.stride, self.groups, self.transposed = sides, stride, groups, transposed

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        x, w, b = inputs
        y = outputs[0]
        taps = windows.taps_of(self.sides)
        zeros = windows.zeros_met(self._zeros(w), self.sides)
        zeros = None if zeros is None else zeros.reshape(-1, 1, x.shape[-1])
        cost = weights_cost(self.kind, x, y, w, b, y.shape[-1] // self.groups, taps.reshape(-1, 1), (1, 1), zeros)
        lead, columns = cost.blocks[0]
        if self.transposed:
            columns["dense_mac_padded"] = x.size // max(1, int(np.prod(lead)) * x.shape[-1]) * w.size  # taps of pixels
        one = (1,) * (len(self.sides) == 1)  # of a sequence, as of an image of height 1
        cost.facts = tuple(replace(facts, kernel=one + w.shape[2:], stride=one + self.stride) for facts in cost.facts)
        return cost

    def _zeros(self, w: np.ndarray) -> np.ndarray:
        """Weights of exactly zero under each tap for each channel of the input: int64 [*kernel, Ci]."""
        zeros = w == 0
        if not self.transposed:
            zeros = zeros.reshape(self.groups, -1, *w.shape[1:])  # [groups, Co / groups, Ci / groups, *kernel]
        found = zeros.sum(axis=1, dtype=np.int64).reshape(-1, *w.shape[2:])
        return np.moveaxis(found, 0, -1)


RULES = {"convolution": convolution}
