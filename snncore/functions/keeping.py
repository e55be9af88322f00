"""What an operation keeps of spikes for its backward pass."""

from typing import Any

from snncore.backend import Array
from snncore.tape import Function

__all__ = ["finds_spikes", "kept_spikes"]


def kept_spikes(function: Function, x: Array) -> Any:
    """Return x as its kernels keep it, for `kernels.unpacked_spikes`; x itself where nothing will go back."""
    return function.kernels.packed_spikes(x) if any(function.needs) else x


def finds_spikes(function: Function, s: Array) -> bool:
    """Whether the kernels find the spikes s of a neuron again as they go back, and take None for them."""
    return s.dtype.kind == "u" and getattr(function.kernels, "FINDS_SPIKES", False)
