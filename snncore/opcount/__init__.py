"""Exact operation counts: what is counted (columns), what an operation states (cost), and recording it."""

from snncore.opcount.cost import CostError, OpCount
from snncore.opcount.record import Call, Ops, count_ops
from snncore.tape import at_timestep

__all__ = ["Call", "CostError", "OpCount", "Ops", "at_timestep", "count_ops"]
