"""Cost of neurons: leak, charge, compare, reset, and the membrane that is read and written."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.opcount.cost import Facts, OpCount, Value, lead_of, times
from snncore.opcount.events import entries, events, traffic

__all__ = ["batch_norm_cost", "charged_entries", "neuron_backward", "neuron_cost", "neuron_lead"]


def neuron_lead(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Cells of currents [T, N, ...]. A neuron always has a time axis; [T, n] has no samples and is one piece."""
    lead = lead_of(shape)
    return lead if len(lead) == 2 else ()


def charged_entries(shape: tuple[int, ...], carried: bool) -> Value:
    """Entries of [T, ...] in each cell that find a membrane: all if one was carried in, else those after step 0."""
    lead = neuron_lead(shape)
    if lead == ():
        return entries(shape[1:], ()) * (shape[0] if carried else shape[0] - 1)
    later = np.full((shape[0], 1), entries(shape, lead), np.int64)
    if not carried:
        later[0] = 0
    return later


def neuron_cost(
    name: str,
    c: Array,
    s: Array,
    carried: bool,
    decay: float,
    v_reset: float | None,
    charge: Value | None = None,
    itemsize: int | None = None,
    membranes: int = 1,
) -> OpCount:
    """Cost of one spike train s from currents c, both [T, ...].

    A step that finds no membrane (the first, from rest) leaks and adds nothing. A decay of 1 (IF) multiplies nothing.
    A soft reset subtracts at each spike, a hard one assigns. charge: additions to the membrane in each cell, if they
    are not one an entry. itemsize: bytes of a membrane, of which a neuron has `membranes`.
    """
    lead = neuron_lead(c.shape)
    per = entries(c.shape, lead)
    moved = charged_entries(c.shape, carried)
    binary, graded, _ = events(s, lead)
    spikes = binary + graded
    size = (itemsize or c.dtype.itemsize) * membranes
    columns: dict[str, Any] = {
        "leak_mul": 0 if decay == 1 else moved,
        "charge_add": moved if charge is None else charge,
        "compare": per,
        "reset_add" if v_reset is None else "reset_set": spikes,
        "spikes": spikes,
        "places": per,
        "state_read_bytes": times(moved, size),
        "state_write_bytes": per * size,
    }
    columns |= traffic(c, lead, "read") | traffic(s, lead, "write")
    facts = Facts(
        "neuron",
        name,
        in_size=c.size,
        out_size=s.size,
        cells=math.prod(lead),
        events=spikes if isinstance(spikes, int) else int(spikes.sum()),
        leak=decay != 1,
    )
    return OpCount(lead, facts=(facts,), **columns)


def neuron_backward(
    c: Array, s: Array, carried: bool, decay: float, v_reset: float | None, detach_reset: bool
) -> OpCount:
    """Cost of BPTT through charge, fire and reset, as `kernels.reference.lif` writes it, entry by entry.

    The forward again (leak, charge, soft resets); gs + gv * dv/ds, unless detached; the surrogate derivative and its
    product; gv * dv/dh added; gv = decay * gc for steps that have one before. Factors of 1 and selections are free.
    """
    lead = neuron_lead(c.shape)
    per, soft = entries(c.shape, lead), v_reset is None
    moved = charged_entries(c.shape, carried)
    leaks: Value = 0 if decay == 1 else moved
    binary, graded, _ = events(s, lead)
    mul = per * (1 + (not detach_reset) + (not soft))
    add = per * (1 + (0 if detach_reset else 1 if soft else 2))
    resets: Value = binary + graded if soft else 0
    return OpCount(lead, back_special=per, back_mul=mul + leaks + leaks, back_add=add + moved + resets)


def batch_norm_cost(x: Array, training: bool) -> OpCount:
    """Cost of y = scale * x + shift with a scale and a shift a channel, and of the statistics in training.

    Statistics: n - 1 additions for the mean, then n subtractions, n squares and n - 1 additions for the variance, for
    each channel. What is done once a channel (scale, shift, running statistics) is not counted. Folding into the
    weights, possible in evaluation, leaves the shift. Training cannot fold: bn_folded_add then says what it would be.
    """
    lead = lead_of(x.shape)
    per, channels = entries(x.shape, lead), x.shape[-1]
    once = {}
    if training and x.size:
        once = {"bn_stat_mul": x.size, "bn_stat_add": 3 * x.size - 2 * channels}
    columns: dict[str, Any] = {"bn_mul": per, "bn_add": per, "bn_folded_add": per}
    columns |= traffic(x, lead, "read") | traffic(x, lead, "write")
    facts = Facts(
        "batch_norm", "BatchNorm", in_size=x.size, out_size=x.size, cells=math.prod(lead), channels=(channels,) * 2
    )
    return OpCount(lead, once, (facts,), **columns)


def batch_norm_backward_cost(x: Array, training: bool) -> OpCount:
    """Cost of going back: gbeta, ggamma and gx, as `BatchNorm` writes them; what is done once a channel is free.

    Training: z = (x - mean) / std (an addition, a product), two sums with n - 1 additions a channel and a product
    gy z, then z * ggamma / n, gy - gbeta / n - that, and the factor. Evaluation: the sums, and a product for gx.
    """
    n, channels = x.size, x.shape[-1]
    if training:
        return OpCount(back_mul=4 * n, back_add=5 * n - 2 * channels)
    return OpCount(back_mul=3 * n, back_add=3 * n - 2 * channels)


def clif_cost(c: Array, s: Array, carried_v: bool, carried_m: bool, decay: float) -> OpCount:
    """Cost of a CLIF: that of a soft-reset neuron, and of its second membrane m.

    Each entry that finds an m: h / tau (by 1 / tau), its sigmoid, the product with m. Each spike: +1 to m where there
    is one (else m is set), the sigmoid of m, and v_threshold + sigmoid(m), which the reset subtracts.
    """
    lead = neuron_lead(c.shape)
    with_m = charged_entries(c.shape, carried_m)
    binary, graded, _ = events(s, lead)
    spikes = binary + graded
    if carried_m:
        added: Value = spikes
    elif lead == ():
        first, more, _ = events(s[0], ())
        added = spikes - first - more
    else:
        added = np.array(spikes)
        added[0] = 0
    size = c.dtype.itemsize
    columns: dict[str, Any] = {
        "neuron_mul": with_m + with_m,
        "neuron_special": with_m + spikes,
        "neuron_add": added + spikes,
        "state_read_bytes": times(with_m, size),
        "state_write_bytes": entries(c.shape, lead) * size,
    }
    return neuron_cost("CLIF", c, s, carried_v, decay, None) + OpCount(lead, **columns)


def clif_backward(c: Array, s: Array, carried: bool, decay: float, detach_reset: bool) -> OpCount:
    """Cost of BPTT through a CLIF, as `kernels.reference.clif` writes it: both sigmoids again, and the way through m.

    Beyond a soft-reset neuron, an entry: two sigmoids; six products and three additions for gm, and two products and
    two additions for what it gives to gc; the forward of m again, a product and an addition.
    """
    size = c.size
    extra = OpCount(back_special=2 * size, back_mul=12 * size, back_add=8 * size)
    return neuron_backward(c, s, carried, decay, None, detach_reset) + extra
