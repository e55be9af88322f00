"""Operations of torch that write entries into an array, or make one of nothing, and compute nothing."""

from typing import Any

import torch

from snncore.foreign.recorder import Recorder

__all__ = ["MADE", "WRITES", "is_whole", "make", "overwrite", "write"]

MADE = frozenset(
    """zeros zeros_like new_zeros ones ones_like new_ones empty empty_like new_empty empty_strided new_empty_strided
    full full_like new_full arange linspace scalar_tensor rand rand_like randn randn_like randint randint_like randperm
    eye normal uniform bernoulli random exponential""".split()  # noqa: SIM905
)
"""What makes entries of nothing, or of chance."""

RANDOM = ("rand", "randn", "randint", "normal", "uniform", "bernoulli", "random", "exponential")

WRITES = {
    "fill": 1,
    "zero": None,
    "masked_fill": 2,
    "index_put": 2,
    "_index_put_impl": 2,
    "put": 2,
    "masked_scatter": 2,
    "index_fill": 3,
    "index_copy": 3,
    "scatter": 3,
    "slice_scatter": 1,
    "select_scatter": 1,
}
"""By name: the place of what is written among the arguments; None for zeros."""


def make(rec: Recorder, name: str, args: tuple, made: list[Any]) -> None:
    """Mark what was made of nothing: zeros may become spikes, random bits are, a constant is a whole number or not."""
    kind = name.removeprefix("new_").removesuffix("_like")
    whole = kind in ("ones", "eye") or (kind in ("full", "scalar_tensor") and is_whole(args[-1] if args else None))
    for y in made:
        index = not y.dtype.is_floating_point and kind not in RANDOM
        blank = kind.startswith(("zeros", "empty"))
        rec.made(y, name == "bernoulli", True, None, blank=blank, whole=whole, index=index)


def overwrite(rec: Recorder, name: str, args: tuple, y: Any) -> bool:
    """y is x with some entries replaced, of `WRITES`; False if it is one of them that also adds.

    Whole numbers that are put into whole numbers, where a condition or an index says, are spikes.
    """
    x, more = args[0], args[1:]
    place = WRITES[name]
    value = 0 if place is None else args[place]
    if name in ("index_put", "_index_put_impl", "put") and len(args) > 3 and args[3]:
        return False
    if name == "scatter" and len(args) > 4:
        return False
    known = rec.trail.of(x)
    good, zero = _of_whole(rec, value), not torch.is_tensor(value) and value == 0
    if name in ("fill", "zero"):
        part = y.numel() * y.element_size() != y.untyped_storage().nbytes()
        events, outside = good and part and known.events, True
    else:
        events = good and known.counts
        outside = known.outside and all(rec.trail.of(v).outside for a in more for v in _parts(a) if torch.is_tensor(v))
    flags = known.carried() | {"whole": good, "blank": zero and (known.blank or name in ("fill", "zero"))}
    others = [rec.trail.of(v) for a in more for v in _parts(a) if torch.is_tensor(v) and v.ndim]
    flags |= {name: flags[name] and all(getattr(o, name) or o.index for o in others) for name in ("learnt", "index")}
    rec.made(y, events, outside, rec.trail.axes(x), **flags | {"product": False, "repeated": None})
    return True


def write(rec: Recorder, into: Any, x: Any) -> None:
    """copy_: into a part of an array, which holds spikes as long as nothing else was written into it."""
    there, new = rec.trail.of(into), rec.trail.of(x)
    all_of_it = into.numel() * into.element_size() == into.untyped_storage().nbytes()
    good = new.counts or (x.ndim == 0 and is_whole(x))
    before = there.counts or all_of_it
    there.events = good and before and (new.events or (there.events and not all_of_it))
    there.whole, there.blank = good and before, new.blank and (there.blank or all_of_it)
    there.rounded = new.rounded or (there.rounded and not all_of_it)
    there.near = new.near or (there.near and not all_of_it)
    there.outside = new.outside and (there.outside or all_of_it)
    there.product, there.repeated, there.minus = False, None, None
    there.averaged = new.averaged and (there.averaged or there.blank or all_of_it)
    there.learnt, there.index = new.learnt and all_of_it, new.index and (there.index or all_of_it)
    there.stray = new.stray
    if into.dtype == torch.bool:
        there.events = True


def _parts(a: Any) -> Any:
    return a if isinstance(a, list | tuple) else (a,)


def _of_whole(rec: Recorder, value: Any) -> bool:
    if torch.is_tensor(value) and value.ndim:
        return rec.trail.of(value).counts
    return is_whole(value)


def is_whole(value: Any) -> bool:
    """Whether a number, or an array of one, is a whole number of at least 0."""
    if (
        value is None
        or isinstance(value, list | tuple | torch.dtype)
        or (torch.is_tensor(value) and value.is_complex())
    ):
        return False
    value = float(value)
    return value >= 0 and value.is_integer()
