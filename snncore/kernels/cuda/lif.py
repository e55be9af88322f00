"""LIF: forward over T timesteps and backpropagation through time."""

from dataclasses import replace

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cuda.membrane import constants
from snncore.kernels.cuda.module import THREADS, blocks_for, defines_for, launch, ready
from snncore.kernels.cuda.reduce import sum_partials
from snncore.kernels.cuda.surrogates import code_of
from snncore.surrogate import spike_dtype


def _read(firing: Firing, decay: Array | None) -> Firing:
    """The settings with the decay that is on the device, which the reference takes as a number."""
    return firing if decay is None else replace(firing, decay=decay.item())


def _decay_at(c: Array, decay: Array | None) -> tuple[Array, bool]:
    return (c, False) if decay is None else (decay.astype(c.dtype), True)


def lif_forward(c: Array, v0: Array | None, firing: Firing, decay: Array | None = None) -> tuple[Array, Array]:
    """As `reference.lif_forward`, bit for bit; one thread a neuron. decay: in place of that of firing."""
    if not ready(c, v0) or spike_dtype(c) != np.uint8:
        return reference.lif_forward(c, v0, _read(firing, decay))
    xp = array_module(c)
    c = xp.ascontiguousarray(c)
    first = c if v0 is None else xp.ascontiguousarray(v0)
    s, v = xp.empty(c.shape, np.uint8), xp.empty(c.shape[1:], c.dtype)
    n = c[0].size
    settings = (len(c), np.int64(n), *_decay_at(c, decay), *constants(firing))
    arrays = (c, first, v0 is not None, s, v)
    launch("lif", "lif_forward", blocks_for(n), (THREADS,), *arrays, *settings, defines=defines_for(len(c)))
    return s, v


def lif_backward(
    gs: Array,
    gv: Array | None,
    c: Array,
    s: Array,
    v0: Array | None,
    firing: Firing,
    decay: Array | None = None,
) -> tuple[Array, Array, Array]:
    """As `reference.lif_backward`; one thread a neuron, which finds the spikes s again by the same roundings.

    decay: in place of that of firing.
    """
    code = code_of(firing.surrogate)
    if not ready(gs, gv, c, v0) or s.dtype != np.uint8 or code is None:
        return reference.lif_backward(gs, gv, c, s, v0, _read(firing, decay))
    xp = array_module(c)
    c, gs = xp.ascontiguousarray(c), xp.ascontiguousarray(gs)
    first = c if v0 is None else xp.ascontiguousarray(v0)
    last = c if gv is None else xp.ascontiguousarray(gv)
    gc, gv0 = xp.empty(c.shape, c.dtype), xp.empty(c.shape[1:], c.dtype)
    n = c[0].size
    grid = blocks_for(n)
    partial = xp.empty(grid, np.float64)
    settings = (len(c), np.int64(n), *_decay_at(c, decay), *constants(firing), *code, firing.detach_reset)
    arrays = (gs, last, gv is not None, c, first, v0 is not None, gc, gv0, partial)
    launch("lif", "lif_backward", grid, (THREADS,), *arrays, *settings, defines=defines_for(len(c), code[0]))
    return gc, gv0, sum_partials(partial.reshape(-1, 1))[0]
