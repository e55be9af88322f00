"""Operations of torch that move entries and compute nothing: what is known of x follows to y."""

from collections.abc import Callable
from typing import Any

from snncore.foreign.axes import Axes, kept, plain, viewed
from snncore.foreign.recorder import Recorder

__all__ = ["MOVES", "move"]


def _reshaped(axes: Axes, y: Any, *_: Any) -> Axes | None:
    return viewed(axes, y.shape)


def _permuted(axes: Axes, y: Any, order: Any) -> Axes:
    return tuple(axes[i] for i in order)


def _swapped(axes: Axes, y: Any, i: int = 0, j: int = 1) -> Axes:
    made = list(axes)
    if made[1:]:
        made[i], made[j] = made[j], made[i]
    return tuple(made)


def _selected(axes: Axes, y: Any, axis: int = 0, *_: Any) -> Axes:
    axis %= len(axes)
    return axes[:axis] + axes[axis + 1 :]


def _unsqueezed(axes: Axes, y: Any, axis: int) -> Axes:
    axis %= len(axes) + 1
    return (*axes[:axis], (("", 1),), *axes[axis:])


def _same(axes: Axes, y: Any, *_: Any) -> Axes:
    return kept(axes, y.shape) if len(axes) == y.ndim else _broadcast(axes, y)


def _broadcast(axes: Axes, y: Any, *_: Any) -> Axes:
    new = y.ndim - len(axes)
    return (*plain(y.shape[:new]), *kept(axes, y.shape[new:])) if new >= 0 else plain(y.shape)


def _unknown(axes: Axes, y: Any, *_: Any) -> None:
    return None


SAME = """slice split split_with_sizes unsafe_split unsafe_split_with_sizes clone detach alias lift_fresh _to_copy copy
contiguous index_select gather flip roll constant_pad_nd channel_shuffle
native_channel_shuffle tril triu upsample_nearest1d upsample_nearest2d
upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d reflection_pad1d
reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"""
ELSEWHERE = """as_strided index unfold diagonal pixel_shuffle pixel_unshuffle embedding im2col take max_unpool2d rot90
_pack_padded_sequence"""
MOVES: dict[str, Callable[..., Axes | None]] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze"), _reshaped),
    **dict.fromkeys(("transpose", "t"), _swapped),
    **dict.fromkeys(("select", "unbind"), _selected),
    **dict.fromkeys(("expand", "repeat"), _broadcast),
    **dict.fromkeys(SAME.split(), _same),
    **dict.fromkeys(ELSEWHERE.split(), _unknown),
    "permute": _permuted,
    "unsqueeze": _unsqueezed,
}
"""By name: the axes of y, from those of x and the settings. What x holds, spikes or not, y holds too."""


def move(rec: Recorder, name: str, args: tuple, made: list[Any]) -> None:
    """Follow what is known of the first tensor, or of all that are joined, to what was made of it."""
    x = args[0]
    for y in made:
        if isinstance(x, list | tuple):
            _join(rec, name, list(x), y, *args[1:])
            continue
        known, axes = rec.trail.of(x), rec.trail.axes(x)
        if name in ("select", "unbind") and rec.trail.is_input(x) and axes[:1] and axes[0] == (("T", len(x)),):
            rec.looped |= set(range(len(x))) if name == "unbind" else {args[2] % len(x)} if not args[1] else set()
        after = MOVES[name](axes, y, *args[1:])
        if name in ("select", "unbind") and known.blank and _is_state(rec, after, y):
            after = ((("N", len(y)),), *axes[2:])
        if after is not None and name in ("expand", "repeat") and _now_over_time(x, y, axes, rec.trail.timesteps):
            after = ((("T", len(y)),), *after[1:])
        if y.untyped_storage()._cdata == x.untyped_storage()._cdata:
            rec.trail.follow(y, after)
        else:
            rec.made(y, known.events, known.outside, after, **known.carried())


def _is_state(rec: Recorder, axes: Axes | None, y: Any) -> bool:
    """Whether zeros were picked that are the first state of one of several layers: [N, ...]."""
    known = any(role for axis in axes or () for role, _ in axis)
    return y.ndim > 1 and not known and len(y) == rec.trail.samples


def _now_over_time(x: Any, y: Any, axes: Axes, timesteps: int | None) -> bool:
    """Whether an input without time was repeated for each timestep, along a new first axis."""
    new = y.ndim > x.ndim or (x.ndim == y.ndim and x.shape[0] == 1)
    return new and y.shape[0] == timesteps and all(role != "T" for axis in axes for role, _ in axis)


def _join(rec: Recorder, name: str, xs: list[Any], y: Any, axis: int = 0) -> None:
    """cat and stack: of spike trains alone, or with zeros, comes one."""
    known = [rec.trail.of(x) for x in xs]
    events = any(k.events for k in known) and all(k.counts for k in known)
    axes = rec.trail.axes(xs[0])
    if name == "stack":
        axis %= y.ndim
        times = len(xs) == rec.trail.timesteps and axis == 0
        axes = (*axes[:axis], (("T" if times else "", len(xs)),), *axes[axis:])
    more = {"blank": all(k.blank for k in known), "whole": all(k.counts for k in known)}
    more |= {"rounded": any(k.rounded for k in known), "near": any(k.near for k in known)}
    more |= {
        "stray": any(k.stray for k in known),
        **{n: all(getattr(k, n) for k in known) for n in ("learnt", "index")},
    }
    more |= {"averaged": all(k.averaged or k.events for k in known)}
    rec.made(y, events, all(k.outside for k in known), kept(axes, y.shape), **more)
