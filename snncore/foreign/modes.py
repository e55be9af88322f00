"""What watches a network of others run: every operation of torch, and the few calls that are counted as a whole.

Operations are seen as they reach torch's dispatcher, whoever called them: layers, functions, methods, operators, those
of a neuron written by hand. So none is lost and none is seen twice.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as TF
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from snncore.foreign import convolutions, curves, layers, norms, pointwise, pooling, upsampling, weights
from snncore.foreign.moving import MOVES, move
from snncore.foreign.recorder import Recorder
from snncore.foreign.writing import MADE, WRITES, make, overwrite, write

__all__ = ["Calls", "Operations"]

RULES = (
    weights.RULES
    | convolutions.RULES
    | pooling.RULES
    | upsampling.RULES
    | layers.RULES
    | norms.RULES
    | pointwise.RULES
    | curves.RULES
)
FREE = frozenset(
    """_local_scalar_dense is_nonzero nonzero equal is_same_size set_ resize record_stream requires_grad logical_and
    logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not logical_not isnan isinf isfinite any all
    _assert_async sym_size""".split()  # noqa: SIM905
)
"""Questions about a tensor, and logic on bits, which is free."""

FUSED = {
    "_scaled_dot_product_flash_attention_for_cpu": ("dropout_p", "is_causal"),
    "_scaled_dot_product_flash_attention": ("dropout_p", "is_causal"),
    "_scaled_dot_product_efficient_attention": ("attn_mask", "", "dropout_p", "is_causal"),
    "_scaled_dot_product_cudnn_attention": ("attn_mask", "", "dropout_p", "is_causal"),
}
"""Attention as one operation, where it was called inside a function of torch: its arguments behind q, k and v."""


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
        if name in FUSED:
            return self.written_out(func, name, args, kwargs)
        if name not in RULES and name not in MOVES:
            with self:  # in inference mode and below, an operation that is made of others comes in one piece
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        with rec.silent():
            given = args
            into = [] if name in ("copy", *FREE) else [(x, rec.trail.of(x)) for x in written(func, args, kwargs)]
            if in_place and into:
                before = args[0].clone()
                known = rec.trail.of(args[0])
                rec.made(before, known.events, known.outside, rec.trail.axes(args[0]), **known.carried())
                given = (before, *args[1:])
            made = func(*args, **kwargs)
            self.seen(name, given, {k: v for k, v in kwargs.items() if k != "out"}, made, bool(into))
            for x, known in into:
                rec.trail.settle(x, known)
        return made

    def written_out(self, func: Any, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run attention in one piece, and count it in its parts."""
        with self.rec.silent():
            made = func(*args, **kwargs)
        settings = dict(zip(FUSED[name], args[3:], strict=False)) | kwargs
        told = {k: v for k, v in settings.items() if k in ("attn_mask", "dropout_p", "is_causal", "scale")}
        with self:
            parts = attention(*args[:3], **told)
        known = self.rec.trail.of(parts)
        self.rec.made(made[0], known.events, False, self.rec.trail.axes(parts))
        return made

    def seen(self, name: str, args: tuple, kwargs: dict[str, Any], made: Any, writes: bool) -> None:
        """Count one operation, follow it, or name it."""
        rec = self.rec
        results = [y for y in (made if isinstance(made, tuple | list) else (made,)) if torch.is_tensor(y)]
        tensors = [x for x in args if torch.is_tensor(x)]
        moved = name in MADE or name in MOVES or name in ("copy", "cat", "stack")
        if any(x.layout != torch.strided for x in (*tensors, *results)):
            self.unknown(name, "sparse", tensors, [y for y in results if y.layout == torch.strided])
        elif not moved and any(x.is_complex() for x in (*tensors, *results)):
            self.unknown(name, "complex", tensors, results)
        elif name in MADE:
            make(rec, name, args, results)
        elif name == "copy" and torch.is_tensor(args[0]):
            write(rec, args[0], args[1])
        elif (
            name in WRITES
            and "reduce" not in kwargs
            and overwrite(rec, name, _in_order(name, args, kwargs), results[0])
        ):
            return
        elif name in MOVES or name in ("cat", "stack"):
            move(rec, name, args, results)
        elif not writes and self.is_prepared(name, tensors, results):
            return
        elif name in RULES:
            self.asked(RULES[name], name, args, {k: v for k, v in kwargs.items() if k != "dtype"}, results)
        elif name in FREE:
            for y in results:
                rec.made(y, False, False, None, index=y.dtype != torch.bool)
        else:
            self.unknown(name, "", tensors, results)

    def is_prepared(self, name: str, tensors: list[Any], results: list[Any]) -> bool:
        """Whether an operation need not run again for each sample: of parameters alone, or of indices."""
        rec = self.rec
        known = [rec.trail.of(x) for x in tensors]
        if all(k.index for k in known) and not any(y.dtype.is_floating_point for y in results):
            for y in results:
                rec.made(y, False, False, None, index=True)
            return True
        if not any(k.learnt for k in known):
            return False
        if not all(k.learnt or x.numel() == 1 or rec.trail.is_constant(x) for k, x in zip(known, tensors, strict=True)):
            return False
        rec.prepared.setdefault(rec.path, set()).add(name.strip("_"))
        for y in results:
            rec.made(y, False, True, None, learnt=True)
        return True

    def unknown(self, name: str, kind: str, tensors: list[Any], results: list[Any]) -> None:
        """Name an operation that is not counted; nothing is known of what it made."""
        self.rec.name(f"{kind} {name}".strip(), tensors)
        for y in results:
            self.rec.made(y, False, False, None, index=not (y.dtype.is_floating_point or y.dtype == torch.bool))

    def asked(self, rule: Any, name: str, args: tuple, kwargs: dict[str, Any], results: list[Any]) -> None:
        """Ask a rule; name the operation if it is of a form that the rule does not know."""
        named = self.rec.named
        try:
            rule(self.rec, results[0], *args, **kwargs)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            self.rec.name(f"{name} ({error})", [x for x in args if torch.is_tensor(x)])
        for y in results if self.rec.named > named else results[1:]:  # nothing is known of them, not even that they
            self.rec.made(y, False, False, None, index=not y.dtype.is_floating_point)  # are input


def written(func: Any, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The tensors into which an operation writes, as its signature says."""
    found: list[Any] = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = kwargs.get(argument.name, args[i] if i < len(args) else None)
            both = value if isinstance(value, list | tuple) else [value]
            found += [x for x in both if isinstance(x, torch.Tensor) and x.layout == torch.strided]
    return found


def _in_order(name: str, args: tuple, kwargs: dict[str, Any]) -> tuple:
    """args with what is written among them, whether it was named or not."""
    place = WRITES[name]
    return args if place is None or len(args) > place else (*args, *kwargs.values())


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
            if getattr(func, "__name__", "") in RECURRENT:
                return self.recurrent(func, args, kwargs)
            return func(*args, **kwargs)
        with self.rec.silent():
            made = func(*args, **kwargs)
            if any(torch.is_tensor(x) and x.is_complex() for x in (*args, *kwargs.values())):
                self.rec.name(f"complex {func.__name__}", [x for x in args if torch.is_tensor(x)])
                self.rec.made(made, False, False, None)
                return made
            named = self.rec.named
            rule(self.rec, made, *args, **{NAMES.get(k, k): v for k, v in kwargs.items() if k != "_stacklevel"})
            if self.rec.named > named:
                self.rec.made(made, False, False, None)
        return made

    def recurrent(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a recurrent operation so that its products are seen: an LSTM would run as one."""
        weights = next((v for v in args if isinstance(v, list) and v and torch.is_tensor(v[0])), [])
        one = 2 + 2 * any(v.ndim == 1 for v in weights) + (len(weights) in (3, 5))  # weights of one layer, one way
        self.rec.stacked = len(weights) > one
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # to set the flags warns of a kind of card that is not asked for
                with torch.backends.mkldnn.flags(enabled=False):
                    return func(*args, **kwargs)
        finally:
            self.rec.stacked = False


RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


WHOLE: dict[Any, Callable[..., None]] = {
    TF.linear: weights.linear,
    TF.adaptive_avg_pool1d: pooling.adaptive(1),
    TF.adaptive_avg_pool2d: pooling.adaptive(2),
    TF.adaptive_avg_pool3d: pooling.adaptive(3),
    TF.instance_norm: norms.instance_norm,
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
