"""Which cards take convolutions in float32 arithmetic on tensor cores, where they lose no accuracy.

| of a convolution            | on tensor cores                                     |
| --------------------------- | --------------------------------------------------- |
| forward, of spikes          | sums of integers, as in exact arithmetic (exact.py) |
| gradient of weights, spikes | sums of integers (exact_gradient.py)                |
| gradient of the input       | three products of halves for one (halves.py)        |
"""

import functools
from typing import Any

from snncore.kernels.choice import kernel_choice, tensor_cores_choice

SEEN = (90,)
"""Compute capabilities of the cards, with a point in between, on which all of them were seen right and quicker."""

BYTES = HALVES = 75
"""Compute capability, with a point in between, of the first cards whose tensor cores multiply bytes, and halves."""

TALL, BLACKWELL = 4, 100
"""Sixteens of rows of a warp, where bytes are multiplied, on the cards before this one: 4 or 2 (exact_mma.cu)."""


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


def tall_warps(xp: Any) -> tuple[tuple[int], str]:
    """Return (block, definitions) for the kernels that multiply bytes on the current card."""
    tall = tall_for(capability(xp))
    return (512 // tall,), defines_tall(tall)


def tall_for(card: int) -> int:
    """Return the sixteens of rows of a warp of a card of that compute capability."""
    return TALL if card < BLACKWELL else 2


def defines_tall(tall: int) -> str:
    """Return the definition of it; 4 is what the kernels have by themselves."""
    return "" if tall == 4 else f"#define TALL {tall}\n"


def capability(xp: Any) -> int:
    """Return the compute capability of the current card, with a point in between: 90 of 9.0."""
    return int(xp.cuda.Device().compute_capability)


@functools.cache
def multiprocessors(xp: Any, device: int) -> int:
    """Return how many the device has."""
    return int(xp.cuda.runtime.getDeviceProperties(device)["multiProcessorCount"])
