"""Normalisations of others, stated as those of the engine."""

from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign.axes import laid, plain
from snncore.foreign.recorder import Recorder
from snncore.opcount.cost import OpCount
from snncore.opcount.events import entries

__all__ = ["RULES", "instance_norm"]


def batch_norm(rec: Recorder, y: Any, x: Any, w: Any, b: Any, mean: Any, var: Any, training: bool, *rest: Any) -> None:
    """aten.native_batch_norm: x [M, C, ...]."""
    axes = rec.batch_axes(x)
    ours = laid(rec.trail.array(x, analog=True), axes)
    array = np.moveaxis(ours.array, 1 - x.ndim, -1) if x.ndim > 2 else ours.array
    outside = rec.count(F.BatchNorm(None, None, bool(training)), (array, None, None), (array,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def running_norm(training: bool) -> Any:
    """Rule for the forms of it that do not say whether they train."""

    def rule(rec: Recorder, y: Any, x: Any, w: Any, b: Any, mean: Any, var: Any, *rest: Any) -> None:
        batch_norm(rec, y, x, w, b, mean, var, training)

    return rule


class Rows(F.LayerNorm):
    """Layer normalisation of rows, whatever they are made of. scaled, shifted: by gamma, by beta.

    Sources: Ba et al. 2016; Ulyanov et al. 2016 (instances); Wu and He, Group Normalization, ECCV 2018.
    """

    def __init__(self, kind: str, scaled: bool, shifted: bool) -> None:
        super().__init__()
        self.kind, self.scaled, self.shifted = kind, scaled, shifted

    @property
    def name(self) -> str:
        return self.kind

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """That of a row of LayerNorm, without the products by gamma and the additions of beta that do not run."""
        cost = super().cost(inputs, outputs)
        lead, columns = cost.blocks[0]
        per = entries(inputs[0].shape, lead)
        columns["elem_mul"] -= 0 if self.scaled else per
        columns["elem_add"] -= 0 if self.shifted else per
        return cost


def layer_norm(rec: Recorder, y: Any, x: Any, shape: Any, w: Any = None, b: Any = None, *rest: Any) -> None:
    """aten.native_layer_norm: a row is all of the last axes that `shape` has."""
    before = rec.trail.axes(x)
    over = len(shape)
    for place in range(x.ndim - over, x.ndim):
        rec.check_feature(x, place, before[place])
    axes = (*before[: x.ndim - over], *plain(x.shape[x.ndim - over :]))
    ours = laid(rec.trail.array(x, analog=True), axes)
    rows = ours.array.reshape(*ours.array.shape[: ours.array.ndim - over], -1)
    norm = Rows("LayerNorm", w is not None, b is not None)
    outside = rec.count(norm, (rows, None, None), (rows,), ours.leading, [x])
    rec.made(y, False, outside, before)


def group_norm(
    rec: Recorder, y: Any, x: Any, w: Any, b: Any, m: int, c: int, pixels: int, groups: int, *rest: Any
) -> None:
    """aten.native_group_norm: x [M, C, ...], each row of C / groups channels and all pixels by itself."""
    _rows_of_images(rec, y, x, groups, Rows("GroupNorm", w is not None, b is not None))


def _rows_of_images(rec: Recorder, y: Any, x: Any, groups: int, norm: Rows) -> None:
    axes = rec.batch_axes(x)
    ours = laid(rec.trail.array(x, analog=True), axes)
    rows = ours.array.reshape(*ours.array.shape[: 1 - x.ndim], groups, -1)  # [.., groups, C / groups * pixels]
    outside = rec.count(norm, (rows, None, None), (rows,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def instance_norm(
    rec: Recorder,
    y: Any,
    x: Any,
    mean: Any = None,
    var: Any = None,
    w: Any = None,
    b: Any = None,
    use_input_stats: bool = True,
    *rest: Any,
    **settings: Any,
) -> None:
    """F.instance_norm: x [M, C, ...], each channel of each sample by itself, or by the running statistics."""
    if not use_input_stats:
        return batch_norm(rec, y, x, w, b, mean, var, False)
    _rows_of_images(rec, y, x, x.shape[1], Rows("InstanceNorm", w is not None, b is not None))


RULES = {
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"), batch_norm),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "_batch_norm_no_update"), running_norm(False)),
    "_batch_norm_with_update": running_norm(True),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
}
