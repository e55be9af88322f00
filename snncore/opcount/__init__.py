"""Exact operation counts: what is counted (columns), what an operation states (cost), and recording it."""

from snncore.opcount.cost import CostError, OpCount, UnresolvedWarning
from snncore.opcount.events import conv_taps
from snncore.opcount.record import Call, Ops, count_ops
from snncore.opcount.weights import weights_backward, weights_cost
from snncore.tape import at_timestep

__all__ = [
    "Call",
    "CostError",
    "OpCount",
    "Ops",
    "UnresolvedWarning",
    "at_timestep",
    "conv_taps",
    "count_ops",
    "weights_backward",
    "weights_cost",
]
