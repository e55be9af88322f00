"""Leaky integrate-and-fire neuron over T timesteps (Eqs. 1 and 2 of the paper)."""

import functools
import math
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.firing import Firing, firing_of
from snncore.functions.checks import check_currents
from snncore.functions.trace import Trace, lif_trace
from snncore.opcount.cost import Facts, OpCount, Value, later, lead_of, times
from snncore.opcount.events import Form, as_events, count, entries, events, form_of, traffic
from snncore.surrogate import Surrogate
from snncore.tape import Function


class LIF(Function):
    """Integrate current on a leaky membrane, fire at the threshold, reset.

        h[t] = decay * v[t-1] + c[t]                 charge; v[0] = 0 or v0
        s[t] = h[t] >= v_threshold                   fire
        v[t] = h[t] - v_threshold * s[t]             soft reset (v_reset=None)
        v[t] = h[t] * (1 - s[t]) + v_reset * s[t]    hard reset

    Going back in time, with g[t] the surrogate derivative at h[t] - v_threshold:

        gc[t] = (gs[t] + gv[t] * dv/ds) * g[t] + gv[t] * dv/dh
        gv[t-1] = decay * gc[t]                      gv[T] = 0

    where dv/ds is -v_threshold (soft) or v_reset - h[t] (hard), dv/dh is 1 or 1 - s[t].
    `detach_reset=True` drops the term with dv/ds. decay = 1 - 1 / tau; decay 1 is the IF neuron.

    Settings one by one, or `firing=Firing(...)` with all of them.
    c: float [T, ...], in units of the threshold. v0: membrane left by an earlier call, [...], or None.
    Returns s: uint8, shape of c; with `return_state=True` (s, v[T]).
    Raises TypeError if c is not float, ValueError if v0 has another shape or a setting is out of range.
    Kept for backward: c and s, which the next layer holds as well; h is recomputed, which costs less than storing it.
    """

    looks = True

    spiking = True

    def __init__(
        self,
        decay: float = 0.5,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        return_state: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        self.firing = firing_of(self.name, firing, decay, v_threshold, v_reset, surrogate, detach_reset)
        self.return_state = return_state

    def forward(self, c: Array, v0: Array | None = None) -> Any:
        check_currents(self.name, c, v0=v0)
        s, v = self.kernels.lif_forward(c, v0, self.firing)
        self.save(c, s, v0)
        return (s, v) if self.return_state else s

    def backward(self, gs: Array, gv: Array | None = None) -> Any:
        c, s, v0 = self.saved
        gc, gv0, _ = self.kernels.lif_backward(gs, gv, c, s, v0, self.firing)
        return gc, gv0

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0 = inputs
        return neuron_cost(self.name, c, outputs[0], v0 is not None, self.firing)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0 = inputs
        return neuron_backward(c, outputs[0], v0 is not None, self.firing)

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        c, v0 = inputs
        return (lif_trace(outputs[0], c, self.firing, v0),)


def neuron_lead(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Cells of currents [T, N, ...]. A neuron always has a time axis; [T, n] has no samples and is one piece."""
    lead = lead_of(shape)
    return lead if len(lead) == 2 else ()


@functools.lru_cache(maxsize=256)
def _later_entries(steps: int, per: int, carried: bool) -> np.ndarray:
    later = np.full((steps, 1), per, np.int64)
    if not carried:
        later[0] = 0
    later.flags.writeable = False  # it is shared by all that ask
    return later


def charged_entries(shape: tuple[int, ...], carried: bool, lead: tuple[int, ...] | None = None) -> Value:
    """Entries of [T, ...] in each cell that find a membrane: all if one was carried in, else those after step 0.

    lead: the cells, if they are known; by default `neuron_lead`, which tells them during a call only.
    """
    lead = neuron_lead(shape) if lead is None else lead
    if lead == ():
        return entries(shape[1:], ()) * (shape[0] if carried else shape[0] - 1)
    return _later_entries(shape[0], entries(shape, lead), carried)


def neuron_cost(
    name: str,
    c: Array,
    s: Array,
    carried: bool,
    firing: Firing,
    charge: Value | None = None,
    itemsize: int | None = None,
) -> OpCount:
    """Cost of leak, charge, compare and reset of one spike train s from currents c, both [T, ...].

    A step that finds no membrane (the first, from rest) leaks and adds nothing. A decay of 1 (IF) multiplies nothing.
    A soft reset subtracts at each spike, a hard one assigns. charge: additions to the membrane in each cell, if they
    are not one an entry. itemsize: bytes of a membrane, if they are not those of c.
    """
    lead = neuron_lead(c.shape)
    return later(state_neuron, name, form_of(c), form_of(s), lead, count(s, lead), carried, firing, charge, itemsize)


def state_neuron(
    name: str,
    c: Form,
    s: Form,
    lead: tuple[int, ...],
    counts: np.ndarray,
    carried: bool,
    firing: Firing,
    charge: Value | None,
    itemsize: int | None,
) -> OpCount:
    """State that cost. counts: of s, from `snncore.opcount.events.count`. c, s: by their forms. The rest as there."""
    per = entries(c.shape, lead)
    moved = charged_entries(c.shape, carried, lead)
    seen = as_events(counts, lead)
    spikes = seen.all
    size = itemsize or c.dtype.itemsize
    columns: dict[str, Any] = {
        "leak_mul": 0 if firing.decay == 1 else moved,
        "leak_shift": moved if is_shift(firing.decay) else 0,
        "charge_add": moved if charge is None else charge,
        "compare": per,
        "reset_add" if firing.v_reset is None else "reset_set": spikes,
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
        events=seen.sums[0] + seen.sums[1],
        leak=firing.decay != 1,
        hard=firing.v_reset is not None,
        rest=0 if carried or firing.v_reset else entries((min(1, c.shape[0]), *c.shape[1:]), ()),
    )
    return OpCount(lead, facts=(facts,), **columns)


def is_shift(decay: float) -> bool:
    """Whether a product by this decay is none, or a shift: 0, or a power of two below 1."""
    return decay < 1 and (decay == 0 or math.frexp(decay)[0] == 0.5)


def neuron_backward(c: Array, s: Array, carried: bool, firing: Firing) -> OpCount:
    """Cost of BPTT through charge, fire and reset, as `LIF` states it, entry by entry.

    The forward again (leak, charge, soft resets); gs + gv * dv/ds, unless detached; the surrogate derivative and its
    product; gv * dv/dh added; gv = decay * gc for steps that have one before. Factors of 1 and selections are free.
    """
    lead = neuron_lead(c.shape)
    per, soft, detached = entries(c.shape, lead), firing.v_reset is None, firing.detach_reset
    moved = charged_entries(c.shape, carried)
    leaks: Value = 0 if firing.decay == 1 else moved
    mul = per * (1 + (not detached) + (not soft))
    add = per * (1 + (0 if detached else 1 if soft else 2))
    resets: Value = events(s, lead).all if soft else 0
    return OpCount(lead, back_special=per, back_mul=mul + leaks + leaks, back_add=add + moved + resets)
