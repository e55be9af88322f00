"""Pooling of others over one, two or three axes of pixels, stated as that of the engine."""

from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign import windows
from snncore.foreign.axes import kept, laid
from snncore.foreign.costed import Costed
from snncore.foreign.recorder import Recorder
from snncore.functions.pooling import scaled, with_facts
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import entries, mapped_events
from snncore.tape import Function

__all__ = ["RULES", "adaptive"]


class Pool(Costed):
    """The cost alone of pooling by any windows, borders exact.

    A window with k pixels in the image takes k - 1 comparisons or additions; a mean of spikes an addition for each
    event and window. x, y: [.., P, 1, C], all pixels in one axis. kernel: of the windows, for the rules of others.
    taps: int64 [P], windows that each pixel lies in.
    """

    def __init__(self, kind: str, kernel: tuple[int, ...], taps: np.ndarray, averages: bool) -> None:
        super().__init__(kind)
        self.kernel, self.taps, self.averages = kernel, taps, averages

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        x, y = inputs[0], outputs[0]
        lead = lead_of(x.shape, features=3)
        images, per = entries(x.shape[:-3], lead), entries(y.shape, lead)
        combined = images * int(self.taps.sum()) * x.shape[-1] - per
        if not self.averages:
            return with_facts(self.kind, x, y, self.kernel, pool_compare=combined)
        adds: Any = combined
        if x.dtype.kind != "f":
            found = mapped_events(x[..., 0, :], lead, self.taps)
            adds = found.ones + found.graded
        return with_facts(self.kind, x, y, self.kernel, pool_add=adds, **scaled(x, per))


def pool(axes: int, averages: bool) -> Any:
    """Rule for aten.max_pool{2,3}d_with_indices and aten.avg_pool{2,3}d: x [M, C, ...] with `axes` axes of pixels."""

    def rule(
        rec: Recorder,
        y: Any,
        x: Any,
        kernel: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil: bool = False,
        *divisor: Any,
        **settings: Any,
    ) -> None:
        if averages:  # has no dilation: what stands there is whether it rounds up
            dilation = 1
        kernel, stride = windows.numbers(kernel, axes), windows.numbers(stride or kernel, axes)
        padding, dilation = windows.numbers(padding, axes), windows.numbers(dilation, axes)
        plain = axes == 2 and set(dilation) == {1} and not (averages and any(padding))
        if plain and _rounds_down(x, y, kernel, stride, padding):
            function = F.AvgPool2d(kernel, stride) if averages else F.MaxPool2d(kernel, stride, padding)
            return _count(rec, y, x, axes, function, averages)
        settled = zip(x.shape[-axes:], y.shape[-axes:], kernel, stride, padding, dilation, strict=True)
        taps = windows.taps_of([windows.covered(*side) for side in settled]).ravel()
        name = f"{'Avg' if averages else 'Max'}Pool{axes}d"
        _count(rec, y, x, axes, Pool(name, kernel, taps, averages), averages)

    return rule


def adaptive(axes: int, averages: bool = True) -> Any:
    """Rule for F.adaptive_avg_pool and its kin: windows that cover all pixels, of several sizes if need be."""

    def rule(rec: Recorder, y: Any, x: Any, size: Any, *rest: Any, **settings: Any) -> None:
        inside, out = x.shape[-axes:], y.shape[-axes:]
        if averages and set(out) == {1}:
            return _count(rec, y, x, axes, F.GlobalAvgPool(), True)
        kernel = tuple(-(-n // m) for n, m in zip(inside, out, strict=True))
        if averages and axes < 3 and all(n % m == 0 for n, m in zip(inside, out, strict=True)):
            return _count(rec, y, x, axes, F.AvgPool2d(kernel if axes == 2 else (1, *kernel)), True)
        taps = windows.taps_of([windows.adaptive(n, m) for n, m in zip(inside, out, strict=True)]).ravel()
        name = f"Adaptive{'Avg' if averages else 'Max'}Pool{axes}d"
        _count(rec, y, x, axes, Pool(name, kernel, taps, averages), averages)

    return rule


def _count(rec: Recorder, y: Any, x: Any, axes: int, function: Function, averages: bool) -> None:
    """Count one call on x [(M,) C, ...]; of spikes a maximum is spikes."""
    events = rec.trail.of(x).events and not averages
    before = rec.batch_axes(x) if x.ndim == axes + 2 else rec.trail.axes(x)
    after = kept(before, y.shape)
    ours, theirs = laid(rec.trail.array(x), before), laid(rec.trail.array(y, not events), after).array
    theirs = theirs.astype(ours.array.dtype, copy=False) if events else theirs
    form = windows.flat if isinstance(function, Pool) or axes == 3 else _images
    images = [form(array, axes) for array in (ours.array, theirs)]
    out = images[1][..., 0, 0, :] if isinstance(function, F.GlobalAvgPool) else images[1]
    outside = rec.count(function, (images[0],), (out,), ours.leading, [x])
    rec.made(y, events, outside, after)


def _images(x: np.ndarray, axes: int) -> np.ndarray:
    """[.., C, (H,) W] as [.., H, W, C]; a sequence as an image of height 1."""
    last = np.moveaxis(x, x.ndim - axes - 1, -1)
    return last if axes == 2 else last[..., None, :, :]


def _rounds_down(x: Any, y: Any, kernel: Any, stride: Any, padding: Any) -> bool:
    """Whether rounding up made no window that rounding down does not make."""
    sides = zip(x.shape[-2:], y.shape[-2:], kernel, stride, padding, strict=True)
    return all((n + 2 * p - k) // s + 1 == m for n, m, k, s, p in sides)


RULES = {
    "max_pool2d_with_indices": pool(2, averages=False),
    "max_pool3d_with_indices": pool(3, averages=False),
    "avg_pool2d": pool(2, averages=True),
    "avg_pool3d": pool(3, averages=True),
    "_adaptive_avg_pool2d": adaptive(2),
    "_adaptive_avg_pool3d": adaptive(3),
    "adaptive_max_pool2d": adaptive(2, averages=False),
    "adaptive_max_pool3d": adaptive(3, averages=False),
}
