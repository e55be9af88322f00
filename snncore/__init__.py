"""A spiking-neural-network engine on NumPy and CuPy with hand-written autograd."""

from typing import TYPE_CHECKING, Any

from snncore import functions, nn, optim, schedules, surrogate
from snncore.backend import BackendError, to_device
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from snncore.gradcheck import GradientError, check_gradients
from snncore.kernels.choice import arithmetic
from snncore.layout import channels_first, channels_last
from snncore.monitor import MonitorError, monitor
from snncore.opcount import CostError, OpCount, Ops, at_timestep, count_ops
from snncore.rng import manual_seed, named_rng, training_step
from snncore.surrogate import relaxed
from snncore.tape import Function, GraphError, Tensor, bump, current_path, no_grad, observe

if TYPE_CHECKING:
    from snncore.foreign import audit_torch as audit_torch  # not in __all__: `import *` would import PyTorch

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "CheckpointError",
    "CostError",
    "Function",
    "GradientError",
    "GraphError",
    "MonitorError",
    "OpCount",
    "Ops",
    "Tensor",
    "arithmetic",
    "at_timestep",
    "bump",
    "channels_first",
    "channels_last",
    "check_gradients",
    "count_ops",
    "current_path",
    "functions",
    "load_checkpoint",
    "manual_seed",
    "monitor",
    "named_rng",
    "nn",
    "no_grad",
    "observe",
    "optim",
    "relaxed",
    "save_checkpoint",
    "schedules",
    "surrogate",
    "to_device",
    "training_step",
]


def __getattr__(name: str) -> Any:
    if name != "audit_torch":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from snncore import foreign  # only now: it needs PyTorch

    return foreign.audit_torch
