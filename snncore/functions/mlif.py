"""Multimodal leaky integrate-and-fire neuron with concat fusion (Eqs. 5 to 11 of the paper)."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.firing import Firing, firing_of
from snncore.functions.checks import check_broadcasts, check_one, check_shape
from snncore.functions.keeping import finds_spikes, kept_spikes
from snncore.functions.lif import charged_entries, neuron_backward, neuron_lead, state_neuron
from snncore.functions.trace import Trace
from snncore.graph import apart
from snncore.kernels.reference import mlif_forward
from snncore.opcount.cost import OpCount, Value, later, times
from snncore.opcount.events import Form, as_events, count, entries, form_of
from snncore.surrogate import Surrogate
from snncore.tape import Function


class MLIF(Function):
    """Charge a membrane per modality, fuse them by concatenation, fire together, reset each by its own spikes.

        c_m[t] = o_m[t] * w_m                           postsynaptic current        (Eq. 5)
        u_m[t] = decay * u_m[t-1] + c_m[t]              multimodal charge           (Eq. 6)
        u[t]   = [alpha_v u_v[t]; alpha_a u_a[t]]       multimodal fusion, concat   (Eq. 7)
        s[t]   = u[t] >= v_threshold                    multimodal fire             (Eq. 8)
        s_v[t], s_a[t] = split(s[t])                                                (Eq. 9)
        u_m[t] = u_m[t] - v_threshold * s_m[t]          multimodal reset            (Eq. 10)

    Concatenation couples nothing: modality m is exactly a LIF neuron with threshold v_threshold / alpha_m that
    resets by v_threshold (a test holds this). Each is therefore computed by itself, without building u[t].
    `v_reset` other than None makes the reset a hard one, u_m = v_reset where s_m = 1.

    Going back in time, with h[t] the charged membrane u_m[t] before its reset and g[t] the surrogate derivative at
    alpha_m h[t] - v_threshold:

        gfire[t] = (gs[t] + gu[t] * du/ds) * g[t]
        gc[t] = gfire[t] * alpha_m + gu[t] * du/dh;   gu[t-1] = decay * gc[t]       gu[T] = 0
        galpha_m = sum of gfire[t] * h[t];   go[t] = gc[t] * w_m;   gw_m = sum of gc[t] * o_m[t]

    where du/ds is -v_threshold (soft) or v_reset - h[t] (hard), du/dh is 1 or 1 - s[t], and the sum for w_m is over
    all that w_m is broadcast over. `detach_reset=True` drops the term with du/ds.

    Settings one by one, or `firing=Firing(...)` with all of them.
    o_a, o_v: [T, N, H, W, C], uint8 spikes or float. alpha_a, alpha_v: float, one entry each.
    w_a, w_v: float, [H, W, 1], [C] or None for none (all ones). u_a, u_v: membranes left by an earlier call, or None.
    Returns (s_a, s_v): uint8, shape of o; with `return_state=True` (s_a, s_v, u_a[T], u_v[T]).
    Kept for backward: o_m (uint8 if spikes, on the CPU as bits), w_m, alpha_m, and s_m for kernels that do not find it
    again (`FINDS_SPIKES`); the membranes are recomputed.
    Raises TypeError if an alpha or a w is not float, ValueError for no timesteps, an alpha of several entries, or a w
    or a membrane of a shape that does not fit.
    """

    looks = True

    spiking = True
    adds = True
    output_names = ("a", "v")

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

    def forward(
        self,
        o_a: Array,
        o_v: Array,
        alpha_a: Array,
        alpha_v: Array,
        w_a: Array | None = None,
        w_v: Array | None = None,
        u_a: Array | None = None,
        u_v: Array | None = None,
    ) -> Any:
        for name, o in (("o_a", o_a), ("o_v", o_v)):
            if o.ndim == 0 or len(o) == 0:
                raise ValueError(f"MLIF: expected {name} [T, ...] with at least one timestep, found {o.shape}")
        check_one("MLIF", alpha_a=alpha_a, alpha_v=alpha_v)
        check_broadcasts("MLIF", o_a.shape[1:], w_a=w_a)
        check_broadcasts("MLIF", o_v.shape[1:], w_v=w_v)
        check_shape("MLIF", o_a.shape[1:], u_a=u_a)
        check_shape("MLIF", o_v.shape[1:], u_v=u_v)
        self.alpha_shapes = alpha_a.shape, alpha_v.shape
        alpha_a, alpha_v = alpha_a.reshape(()), alpha_v.reshape(())
        s_a, after_a = self.kernels.mlif_forward(o_a, w_a, alpha_a, u_a, self.firing)
        s_v, after_v = self.kernels.mlif_forward(o_v, w_v, alpha_v, u_v, self.firing)
        spikes = (None if finds_spikes(self, s) else s for s in (s_a, s_v))
        self.save(kept_spikes(self, o_a), kept_spikes(self, o_v), *spikes, alpha_a, alpha_v, w_a, w_v, u_a, u_v)
        return (s_a, s_v, after_a, after_v) if self.return_state else (s_a, s_v)

    def backward(self, gs_a: Array, gs_v: Array, gu_a: Array | None = None, gu_v: Array | None = None) -> Any:
        o_a, o_v, s_a, s_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v = self.saved
        backward, unpacked = self.kernels.mlif_backward, self.kernels.unpacked_spikes
        into_a, into_v = (
            self.into(alpha, *(() if w is None else (w_at,))) for alpha, w, w_at in ((2, w_a, 4), (3, w_v, 5))
        )
        (gs_a, also_a), (gs_v, also_v) = apart(gs_a), apart(gs_v)
        more_a, more_v = {**into_a, **also_a}, {**into_v, **also_v}
        go_a, gw_a, galpha_a, gu_a = backward(gs_a, gu_a, unpacked(o_a), s_a, w_a, alpha_a, u_a, self.firing, **more_a)
        go_v, gw_v, galpha_v, gu_v = backward(gs_v, gu_v, unpacked(o_v), s_v, w_v, alpha_v, u_v, self.firing, **more_v)
        of_alpha = [
            g if g.shape == shape else g.reshape(shape)
            for g, shape in zip((galpha_a, galpha_v), self.alpha_shapes, strict=True)
        ]
        return go_a, go_v, *of_alpha, gw_a, gw_v, gu_a, gu_v

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        o_a, o_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v = inputs
        cost = mlif_cost(o_a, outputs[0], alpha_a, w_a, u_a is not None, self.firing)
        return cost + mlif_cost(o_v, outputs[1], alpha_v, w_v, u_v is not None, self.firing)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        o_a, o_v, _, _, w_a, w_v, u_a, u_v = inputs
        cost = mlif_backward_cost(o_a, outputs[0], w_a is not None, u_a is not None, self.firing)
        return cost + mlif_backward_cost(o_v, outputs[1], w_v is not None, u_v is not None, self.firing)

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        trains = zip(outputs[:2], *(inputs[k : k + 2] for k in (0, 2, 4, 6)), strict=True)
        return tuple(mlif_trace(s, o, alpha, w, u, self.firing) for s, o, alpha, w, u in trains)


def mlif_trace(s: Array, o: Array, alpha: Array, w: Array | None, u: Array | None, firing: Firing) -> Trace:
    """Return the trace of one modality; arguments as those of `mlif_cost`, u: the membrane at the start, or None."""
    by, weight = alpha.reshape(()).copy(), None if w is None else w.copy()  # training goes on changing them
    return Trace(
        s,
        o,
        firing,
        lambda c, u: mlif_forward(c, None, by, u, firing),
        (u,),
        lambda o: o.astype(by.dtype) if weight is None else o * weight,
        lambda h: by * h - firing.v_threshold,
        by,
    )


def mlif_cost(
    o: Array,
    s: Array,
    alpha: Array | None,
    w: Array | None,
    carried: bool,
    firing: Firing,
    folds: bool = True,
    name: str = "MLIF",
    on_current: bool = False,
) -> OpCount:
    """Cost of one modality: u = decay * u + o * w, alpha * u >= v_threshold, reset.

    Spikes o charge where they are: an event of 1 picks w, one above 1 multiplies it, and is added to the membrane if
    there is one. Analog o multiplies and adds at every entry. alpha multiplies at every entry, unless it is exactly 1,
    or None. folds: hardware may divide the threshold by it once instead (`alpha_folded_mul` is then 0), which it may
    not where a fusion with weights stands between alpha and the threshold. name: of the neuron, in its facts.
    on_current: alpha multiplies what comes in, where an event comes, and not the membrane.
    """
    lead = neuron_lead(o.shape)
    came = count(o, lead) if o.dtype.kind != "f" else None
    begun = came is not None and not carried and lead == ()  # then the first step is not among the cells
    first = as_events(count(o[0], ()), ()).all if begun else 0
    scales = alpha is not None and alpha.item() != 1
    weights = None if w is None else form_of(w)
    floats = (x.dtype for x in (alpha, w, o) if x is not None and x.dtype.kind == "f")
    size = next(floats, np.dtype(np.float32)).itemsize  # of a membrane
    neuron = functools.partial(state_neuron, name, form_of(o), form_of(s), lead, count(s, lead), carried, firing)
    return later(_state, neuron, form_of(o), lead, carried, came, first, weights, scales, folds, size, on_current)


def _state(
    neuron: Callable[[Value, int], OpCount],
    o: Form,
    lead: tuple[int, ...],
    carried: bool,
    came: np.ndarray | None,
    first: Value,
    w: Form | None,
    scales: bool,
    folds: bool,
    size: int,
    on_current: bool,
) -> OpCount:
    """State that cost. neuron: states that of the neuron, from additions to its membrane and the bytes of one.

    came: counts of spikes o, None for analog o. first: events of them that find no membrane, where timesteps are not
    told apart. scales: alpha is there, and not 1. size: bytes of a membrane. The rest as in `mlif_cost`.
    """
    per = entries(o.shape, lead)
    picked: Value
    multiplied: Value
    weighed: Value
    charge: Value
    if came is None:
        picked, multiplied, weighed = 0, per, per
        charge = charged_entries(o.shape, carried, lead)
    else:
        seen = as_events(came, lead)
        picked, multiplied, weighed = seen.ones, seen.graded, seen.all
        charge = weighed
        if not carried and lead:
            charge = np.array(weighed)
            charge[0] = 0
        elif not carried:
            charge = weighed - first
    scaled: Value = (weighed if on_current else per) if scales else 0
    columns: dict[str, Any] = {"alpha_mul": scaled, "alpha_folded_mul": 0 if folds else scaled}
    once = {}
    if w is not None:
        columns |= {"w_select": picked, "w_mul": multiplied, "weight_bytes": times(weighed, w.dtype.itemsize)}
        once = {"weight_bytes_once": w.nbytes}
    return neuron(charge, size) + OpCount(lead, once, **columns)


def mlif_backward_cost(o: Array, s: Array, weighted: bool, carried: bool, firing: Firing) -> OpCount:
    """Cost of BPTT through one modality, as `MLIF` states it.

    Beyond a neuron, an entry: alpha * h again, gfire * alpha, and gfire * h summed for alpha; with W, its product in
    the forward, gc * w, and gc * o summed for W.
    """
    extra = OpCount(back_mul=o.size * (6 if weighted else 3), back_add=o.size * (2 if weighted else 1))
    return neuron_backward(o, s, carried, firing) + extra
