"""One modality of the MLIF: forward over T timesteps and backpropagation through time."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cuda.membrane import constants
from snncore.kernels.cuda.module import THREADS, blocks_for, defines_for, launch, put, ready
from snncore.kernels.cuda.reduce import sum_mlif
from snncore.kernels.cuda.surrogates import code_of
from snncore.surrogate import spike_dtype

NONE, PIXEL, CHANNEL = range(3)  # as in mlif.cu
FILLING = 2 * 132 * 2048  # threads that fill an H100 twice


def weight_kind(o: Array, w: Array | None) -> int | None:
    """Return which weight of Eq. 5 this is for o [T, N, ..., C], or None if the kernels have no such weight."""
    if w is None:
        return NONE
    if o.ndim >= 3 and w.shape == (*o.shape[2:-1], 1):
        return PIXEL
    return CHANNEL if w.shape == o.shape[-1:] else None


def _fits(o: Array, w: Array | None, alpha: Array, *others: Array | None) -> bool:
    return (
        ready(w, alpha, *others)
        and o.dtype in (np.uint8, np.float32)
        and o.ndim >= 2
        and o.size > 0
        and weight_kind(o, w) is not None
    )


def _suffix(o: Array) -> str:
    return "u8" if o.dtype == np.uint8 else "f32"


def mlif_forward(
    o: Array,
    w: Array | None,
    alpha: Array,
    u0: Array | None,
    firing: Firing,
) -> tuple[Array, Array]:
    """As `reference.mlif_forward`, bit for bit; one thread a neuron."""
    if not _fits(o, w, alpha, u0) or spike_dtype(alpha) != np.uint8:
        return reference.mlif_forward(o, w, alpha, u0, firing)
    xp = array_module(o)
    o = xp.ascontiguousarray(o)
    s, u = xp.empty(o.shape, np.uint8), xp.empty(o.shape[1:], alpha.dtype)
    n, pixels = o[0].size, math.prod(o.shape[2:-1])
    weight = alpha if w is None else xp.ascontiguousarray(w)
    first = alpha if u0 is None else xp.ascontiguousarray(u0)
    arrays = (o, weight, weight_kind(o, w), alpha, first, u0 is not None, s, u)
    settings = (len(o), np.int64(n), pixels, o.shape[-1], *constants(firing))
    name = f"mlif_forward_{_suffix(o)}"
    launch("mlif", name, blocks_for(n), (THREADS,), *arrays, *settings, defines=defines_for(len(o)))
    return s, u


def chunks_for(samples: int, threads: int) -> int:
    """Return in how many chunks of one size the samples are taken, with so many threads each, to fill the device."""
    wanted = min(samples, -(-FILLING // threads))
    return -(-samples // -(-samples // wanted))


def mlif_backward(
    gs: Array,
    gu: Array | None,
    o: Array,
    s: Array,
    w: Array | None,
    alpha: Array,
    u0: Array | None,
    firing: Firing,
    out: Any = None,
    also: Array | None = None,
) -> tuple[Array, Array | None, Array, Array]:
    """As `reference.mlif_backward`; a weight a channel is left to that.

    out: the gradient of alpha, or those of alpha and w where there is a w, to be filled. also: to be added to gs.
    A block takes one pixel in some samples, so that the gradient of its weight is a sum over the block. It finds the
    spikes s again by the same roundings.
    """
    code, kind = code_of(firing.surrogate), weight_kind(o, w)
    of_alpha, of_w = (out, None) if w is None else out or (None, None)
    if (
        not _fits(o, w, alpha, u0, gs, also, gu, of_alpha, of_w)
        or s.dtype != np.uint8
        or code is None
        or kind == CHANNEL
    ):
        gs = gs if also is None else gs + also
        go, gw, galpha, gu0 = reference.mlif_backward(gs, gu, o, s, w, alpha, u0, firing)
        galpha = galpha if of_alpha is None else put(galpha.reshape(of_alpha.shape), of_alpha)
        return go, None if gw is None else put(gw, of_w), galpha, gu0
    xp = array_module(o)
    o, gs = xp.ascontiguousarray(o), xp.ascontiguousarray(gs)
    go, gu0 = xp.empty(o.shape, alpha.dtype), xp.empty(o.shape[1:], alpha.dtype)
    samples, pixels = o.shape[1] if o.ndim > 2 else 1, math.prod(o.shape[2:-1])
    threads = min(THREADS, (o.shape[-1] + 31) // 32 * 32)  # whole warps for the channels of a pixel
    chunks = chunks_for(samples, pixels * threads)
    partial = xp.empty((chunks, 2, pixels), np.float64)
    weight = alpha if w is None else xp.ascontiguousarray(w)
    first = alpha if u0 is None else xp.ascontiguousarray(u0)
    last = alpha if gu is None else xp.ascontiguousarray(gu)
    second = gs if also is None else xp.ascontiguousarray(also)
    of_spikes = (gs, second, also is not None)
    arrays = (o, weight, kind, alpha, first, u0 is not None, *of_spikes, last, gu is not None, go, gu0, partial)
    neuron = (*constants(firing), *code, firing.detach_reset)
    sizes = (len(o), samples, pixels, o.shape[-1])
    name, defines = f"mlif_backward_{_suffix(o)}", defines_for(len(o), code[0])
    launch("mlif", name, (pixels, chunks), (threads,), *arrays, *sizes, *neuron, defines=defines)
    galpha = xp.empty((), np.float32) if of_alpha is None else of_alpha
    gw = None if w is None else xp.empty(w.shape, np.float32) if of_w is None else of_w
    sum_mlif(partial, gw, galpha)
    return go, gw, galpha, gu0
