"""What watches a network of others run: every operation of torch, and the few calls that are counted as a whole.

Operations are seen as they reach torch's dispatcher, whoever called them: layers, functions, methods, operators, those
of a neuron written by hand. So none is lost and none is seen twice.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as TF
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from snncore.foreign import curves, layers, pointwise, weights
from snncore.foreign.moving import MADE, MOVES, make, move, write
from snncore.foreign.recorder import Recorder

__all__ = ["Calls", "Operations"]

RULES = weights.RULES | layers.RULES | pointwise.RULES | curves.RULES
FREE = frozenset(
    """_local_scalar_dense is_nonzero equal is_same_size set_ resize record_stream requires_grad logical_and logical_or
    logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not logical_not isnan isinf isfinite any all _assert_async
    sym_size""".split()  # noqa: SIM905
)
"""Questions about a tensor, and logic on bits, which is free."""


class Operations(TorchDispatchMode):
    """Sees every operation, and asks the rule of its name for its cost."""

    def __init__(self, rec: Recorder) -> None:
        super().__init__()
        self.rec = rec

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rec = self.rec
        if rec.quiet:
            return func(*args, **kwargs)
        name = func._schema.name.rpartition("::")[2]
        in_place = name.endswith("_") and not name.startswith("__") and args and torch.is_tensor(args[0])
        name = name.rstrip("_") if in_place else name
        with rec.silent():
            if in_place and name not in MADE and name not in FREE and name != "copy":
                before = args[0].clone()
                known = rec.trail.of(args[0])
                rec.made(before, known.events, known.outside, rec.trail.axes(args[0]), product=known.product)
                made = func(*args, **kwargs)
                self.seen(name, (before, *args[1:]), kwargs, made)
                return made
            made = func(*args, **kwargs)
            self.seen(name, args, kwargs, made)
        return made

    def seen(self, name: str, args: tuple, kwargs: dict[str, Any], made: Any) -> None:
        """Count one operation, follow it, or name it."""
        rec = self.rec
        results = [y for y in (made if isinstance(made, tuple | list) else (made,)) if torch.is_tensor(y)]
        if name in MADE:
            make(rec, name, results)
        elif name == "copy" and torch.is_tensor(args[0]):
            write(rec, args[0], args[1])
        elif name in MOVES or name in ("cat", "stack"):
            move(rec, name, args, results)
        elif name in RULES:
            self.asked(RULES[name], name, args, {k: v for k, v in kwargs.items() if k != "dtype"}, results[0])
        elif name in FREE or not any(y.dtype.is_floating_point for y in results):  # also arithmetic of indices
            for y in results:
                rec.made(y, False, False, None)
        else:
            rec.name(name, [x for x in args if torch.is_tensor(x)])

    def asked(self, rule: Any, name: str, args: tuple, kwargs: dict[str, Any], y: Any) -> None:
        """Ask a rule; name the operation if it is of a form that the rule does not know."""
        try:
            rule(self.rec, y, *args, **kwargs)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            self.rec.name(f"{name} ({error})", [x for x in args if torch.is_tensor(x)])


class Calls(TorchFunctionMode):
    """Sees the calls that are counted as a whole, or written out, before torch takes them apart."""

    def __init__(self, rec: Recorder) -> None:
        super().__init__()
        self.rec = rec

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.rec.quiet:
            return func(*args, **kwargs)
        if func is TF.scaled_dot_product_attention:
            return attention(*args, **kwargs)
        rule = WHOLE.get(func)
        if rule is None:
            return func(*args, **kwargs)
        with self.rec.silent():
            made = func(*args, **kwargs)
            rule(self.rec, made, *args, **{NAMES.get(k, k): v for k, v in kwargs.items() if k != "_stacklevel"})
        return made


WHOLE: dict[Any, Callable[..., None]] = {
    TF.linear: weights.linear,
    TF.adaptive_avg_pool1d: layers.adaptive_average,
    TF.adaptive_avg_pool2d: layers.adaptive_average,
    TF.dropout: layers.dropout,
    TF.dropout1d: layers.dropout,
    TF.dropout2d: layers.dropout,
}
NAMES = {"input": "x", "weight": "w", "bias": "b", "output_size": "size"}


def attention(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """F.scaled_dot_product_attention, written out: softmax(q k^T scale + mask) v."""
    if enable_gqa:
        repeats = q.shape[-3] // k.shape[-3]
        k, v = (x.repeat_interleave(repeats, -3) for x in (k, v))
    scores = torch.matmul(q, k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.matmul(TF.dropout(torch.softmax(scores, -1), dropout_p, dropout_p > 0), v)
