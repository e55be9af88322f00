"""Cost of one modality of the MLIF: its spatial weight, alpha, and the neuron."""

from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.functions.neuron_cost import charged_entries, neuron_backward, neuron_cost, neuron_lead
from snncore.opcount.cost import OpCount, Value
from snncore.opcount.events import entries, events

__all__ = ["mlif_backward_cost", "mlif_cost"]


def mlif_cost(
    o: Array, s: Array, alpha: Array, w: Array | None, carried: bool, decay: float, v_reset: float | None
) -> OpCount:
    """Cost of u = decay * u + o * w, alpha * u >= v_threshold, reset.

    Spikes o charge where they are: an event of 1 picks w, one above 1 multiplies it, and is added to the membrane if
    there is one. Analog o multiplies and adds at every entry. alpha multiplies at every entry; hardware may divide
    the threshold by it once instead.
    """
    lead = neuron_lead(o.shape)
    per = entries(o.shape, lead)
    binary, graded, _ = events(o, lead)
    if o.dtype.kind == "f":
        picked: Value = 0
        multiplied: Value = per
        charge = charged_entries(o.shape, carried)
    else:
        picked, multiplied, charge = binary, graded, binary + graded
        if not carried and lead == ():
            first = events(o[0], ())
            charge = charge - first[0] - first[1]
        elif not carried:
            charge = np.array(charge)
            charge[0] = 0
    columns: dict[str, Any] = {"alpha_mul": per}
    once = {}
    if w is not None:
        columns |= {"w_select": picked, "w_mul": multiplied}
        columns["weight_bytes"] = (picked + multiplied) * w.dtype.itemsize
        once = {"weight_bytes_once": w.nbytes}
    neuron = neuron_cost("MLIF", o, s, carried, decay, v_reset, charge, alpha.dtype.itemsize)
    return neuron + OpCount(lead, once, **columns)


def mlif_backward_cost(
    o: Array, s: Array, weighted: bool, carried: bool, decay: float, v_reset: float | None, detach_reset: bool
) -> OpCount:
    """Cost of BPTT through one modality, as `kernels.reference.mlif` writes it.

    Beyond a neuron, an entry: alpha * h again, gfire * alpha, and gfire * h summed for alpha; with W, its product in
    the forward, gc * w, and gc * o summed for W.
    """
    extra = OpCount(back_mul=o.size * (6 if weighted else 3), back_add=o.size * (2 if weighted else 1))
    return neuron_backward(o, s, carried, decay, v_reset, detach_reset) + extra
