"""Which cards take convolutions in float32 arithmetic on tensor cores, where they lose no accuracy.

| of a convolution            | on tensor cores                                     |
| --------------------------- | --------------------------------------------------- |
| forward, of spikes          | sums of integers, as in exact arithmetic (exact.py) |
| gradient of weights, spikes | sums of integers (exact_gradient.py)                |
| gradient of the input       | three products of halves for one (halves.py)        |
"""

from typing import Any

from snncore.kernels.choice import kernel_choice, tensor_cores_choice

SEEN = (90,)
"""Compute capabilities of the cards, with a point in between, on which all of them were seen right and quicker."""


def wanted(xp: Any, first: int, pays: bool = True) -> bool:
    """Whether the current card is to take on tensor cores what cards from compute capability `first` on can.

    pays: whether that is worth it, as with few channels it is not; `on` does not ask. SNNCORE_KERNELS=event asks for
    lists of events instead.
    """
    choice = tensor_cores_choice()
    if choice == "off" or kernel_choice() == "event":
        return False
    found = capability(xp)
    return found >= first and (choice == "on" or (pays and found in SEEN))


def capability(xp: Any) -> int:
    """Return the compute capability of the current card, with a point in between: 90 of 9.0."""
    return int(xp.cuda.Device().compute_capability)
