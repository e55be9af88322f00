"""Inputs of a network of others: brought to its device and float type, with what they are, events or analog values."""

from typing import Any

import numpy as np
import torch

from snncore.foreign.recorder import Recorder
from snncore.foreign.trail import small_whole

__all__ = ["Inputs", "tensor"]

ANALOG = (
    "float inputs that are all whole numbers from 0 to {top} were taken as analog values; if they are events, say so: "
    "events=True of audit_torch, --events of tools/audit.py, or an integer type"
)


class Inputs:
    """Hands tensors to the network, and remembers whether all floats among them could be events.

    events: True takes whole numbers for events whatever their type; False hands integers over as they are.
    """

    def __init__(self, model: Any, events: bool | None) -> None:
        self.events = events
        self.own = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
        indices = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        self.indices = any(isinstance(module, indices) for module in model.modules())
        self.top: int | None = 0  # of float inputs; None if one is no small whole number

    def take(self, rec: Recorder, x: Any, layout: str) -> Any:
        """x as the network takes it; tell the trail what it is. ValueError for no samples, NaN, or wrong events."""
        shape = tuple(x.shape)
        if x.numel() == 0:
            raise ValueError(f"inputs: expected at least one sample of at least one value, found shape {shape}")
        if x.is_complex():
            raise ValueError(f"inputs: expected real numbers, found {x.dtype}, shape {shape}")
        analog = x.is_floating_point()
        if analog and bool(torch.isnan(x).any()):
            raise ValueError(f"inputs: expected numbers, found NaN in shape {shape}")
        events = not analog if self.events is None else self.events
        if not analog and (self.events is False or (self.events is None and x.dtype == torch.int64 and self.indices)):
            events = False
        if analog:
            top = small_whole(x.detach().cpu().float().numpy())
            if events and top is None:
                raise ValueError(f"inputs: expected events, whole numbers from 0 to 255, found others, shape {shape}")
            self.top = None if top is None or self.top is None else max(self.top, top)
        elif events and x.dtype != torch.bool and bool((x < 0).any()):
            if self.events:
                raise ValueError(f"inputs: expected events, whole numbers of at least 0, found {int(x.min())}")
            events = False  # signed integers are numbers
        made = x.to(self.own.device, self.own.dtype) if events or self._is_number(x) else x.to(self.own.device)
        rec.trail.take(made, layout, events)
        return made

    def _is_number(self, x: Any) -> bool:
        """Whether x is integers that the network cannot mean as indices."""
        return not x.is_floating_point() and self.events is None and not (x.dtype == torch.int64 and self.indices)

    def note(self) -> str | None:
        """What to say of float inputs that could be events."""
        return ANALOG.format(top=self.top) if self.top and self.events is None else None


def tensor(x: Any) -> Any:
    """A tensor of what was handed over; ValueError if it is neither tensor nor array."""
    if torch.is_tensor(x):
        return x.detach()
    if isinstance(x, np.ndarray):
        native = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
        return torch.from_numpy(np.ascontiguousarray(native) if any(s < 0 for s in native.strides) else native)
    raise ValueError(
        f"inputs: expected a tensor or array, a tuple of them or a list of batches, found {type(x).__name__}"
    )
