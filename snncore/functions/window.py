"""Sizes of sliding windows, as pooling and convolution take them."""


def pair(name: str, value: int | tuple[int, int], least: int = 1) -> tuple[int, int]:
    """Return (vertical, horizontal) for a number or a pair; raises ValueError below `least`."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or any(not isinstance(n, int) or n < least for n in both):
        raise ValueError(f"{name}: expected an integer of at least {least}, or two of them, found {value!r}")
    return both
