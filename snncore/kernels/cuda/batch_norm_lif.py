"""Batch normalisation and LIF in one pass over memory."""

from typing import NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cuda.batch_norm import BLOCK, apply_sums, put_both, room_for_largest
from snncore.kernels.cuda.binned import grid_of
from snncore.kernels.cuda.largest import remember
from snncore.kernels.cuda.membrane import constants
from snncore.kernels.cuda.module import MOST_STEPS, defines_for, grid_over_rows, launch, ready
from snncore.kernels.cuda.reduce import sum_partials
from snncore.kernels.cuda.surrogates import code_of
from snncore.surrogate import spike_dtype


def _fits(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array) -> bool:
    return ready(x, gamma, beta) and ready(mean, inv_std, dtype=np.float64)


def batch_norm_lif_forward(
    x: Array,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    beta: Array,
    firing: Firing,
) -> Array:
    """As `reference.batch_norm_lif_forward`, bit for bit, without storing the normalised currents."""
    if not _fits(x, mean, inv_std, gamma, beta) or spike_dtype(x) != np.uint8:
        return reference.batch_norm_lif_forward(x, mean, inv_std, gamma, beta, firing)
    xp = array_module(x)
    x, gamma, beta = (xp.ascontiguousarray(a) for a in (x, gamma, beta))
    s, channels = xp.empty(x.shape, np.uint8), x.shape[-1]
    pixels = x[0].size // channels
    settings = (len(x), np.int64(pixels), channels, *constants(firing))
    grid = grid_over_rows(pixels, channels)
    arrays = (x, mean, inv_std, gamma, beta, s)
    launch("batch_norm_lif", "bn_lif_forward", grid, BLOCK, *arrays, *settings, defines=defines_for(len(x)))
    return s


class Again(NamedTuple):
    """In the place of the gradient of the currents: what it is computed from again, rather than written and read."""

    spikes: tuple[Array, Array, bool]  # the gradient of the spikes, and another one if that is to be added
    beta: Array
    neuron: tuple
    defines: str


def batch_norm_lif_gradient_sums(
    gs: Array,
    x: Array,
    s: Array,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    beta: Array,
    firing: Firing,
    out: tuple[Array, Array] | None = None,
    also: Array | None = None,
) -> tuple[Array | Again, Array]:
    """As `reference.batch_norm_lif_gradient_sums`. The kernel finds the spikes s again by the same roundings.

    What is returned first is for `batch_norm_lif_backward` alone: gc, or an `Again`. The sums [2, C] are followed by a
    row of zeros, as those of `batch_norm_gradient_sums`. out: gbeta and ggamma, to be filled. also: to be added to gs.
    """
    code = code_of(firing.surrogate)
    taken = _fits(x, mean, inv_std, gamma, beta) and ready(gs, also, *(out or ())) and s.dtype == np.uint8
    if not taken or code is None:
        gs = gs if also is None else gs + also
        gc, sums = reference.batch_norm_lif_gradient_sums(gs, x, s, mean, inv_std, gamma, beta, firing)
        return gc, put_both(sums, out)
    xp = array_module(x)
    gs, x, gamma, beta = (xp.ascontiguousarray(a) for a in (gs, x, gamma, beta))
    second = gs if also is None else xp.ascontiguousarray(also)
    channels = x.shape[-1]
    pixels = x[0].size // channels
    grid = grid_over_rows(pixels, channels)
    partial = xp.empty((grid[0], 2 * channels), np.float64)
    neuron, defines = (*constants(firing), *code, firing.detach_reset), defines_for(len(x), code[0])
    spikes, sizes = (gs, second, also is not None), (len(x), np.int64(pixels), channels)
    given = (*spikes, x, mean, inv_std, gamma, beta)
    currents: Array | Again
    if defines and len(x) <= MOST_STEPS:  # then all timesteps are in registers
        currents = Again(spikes, beta, neuron, defines)
        launch("batch_norm_lif", "bn_lif_backward_sums", grid, BLOCK, *given, partial, *sizes, *neuron, defines=defines)
    else:
        currents = xp.empty(x.shape, x.dtype)
        results = (currents, partial)
        launch("batch_norm_lif", "bn_lif_backward", grid, BLOCK, *given, *results, *sizes, *neuron, defines=defines)
    return currents, sum_partials(partial, out, channels).reshape(3, channels)


def batch_norm_lif_backward(
    gc: Array | Again, x: Array, mean: Array, inv_std: Array, gamma: Array, sums: Array, count: int | None
) -> Array:
    """As `reference.batch_norm_lif_backward`, written over gc where that is an array."""
    if not isinstance(gc, Again):
        return apply_sums(gc, x, mean, inv_std, gamma, sums, count, gc if gc.flags.c_contiguous else None)
    xp, channels = array_module(x), x.shape[-1]
    x, gamma, sums = (xp.ascontiguousarray(a) for a in (x, gamma, sums))
    gx, (largest, finds) = xp.empty(x.shape, x.dtype), room_for_largest(sums)
    pixels = x[0].size // channels
    arrays = (*gc.spikes, x, mean, inv_std, gamma, gc.beta, sums, gx)
    settings = (len(x), np.int64(pixels), channels, *gc.neuron, np.int64(count or 0), count is not None, largest, finds)
    name, grid = "bn_lif_backward_gx", grid_of(pixels, channels)
    launch("batch_norm_lif", name, grid, BLOCK, *arrays, *settings, defines=gc.defines)
    if finds:
        remember(gx, largest)
    return gx
