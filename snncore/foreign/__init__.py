"""Networks of others, counted by the rules of this engine: `audit_torch` (extra `torch`)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snncore.foreign.audit import TorchOps, audit_torch
    from snncore.foreign.neurons import Neuron

__all__ = ["Neuron", "TorchOps", "audit_torch"]


def __getattr__(name: str) -> Any:
    """Import PyTorch only when it is asked for; ImportError says how to install it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import torch as torch
    except ImportError as error:
        raise ImportError(
            'audit_torch needs PyTorch, which is not installed; install it with: pip install -e ".[torch]"'
        ) from error
    from snncore.foreign import audit, neurons

    return getattr(neurons if name == "Neuron" else audit, name)
