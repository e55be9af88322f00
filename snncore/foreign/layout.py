"""Which of the first axes of an input are time and samples, where nobody said: decided once for all batches."""

from collections.abc import Sequence

__all__ = ["LAYOUTS", "WrongLayout", "chosen", "doubt", "reading"]

LAYOUTS = ("TN", "NT", "N")


class WrongLayout(ValueError):
    """The network takes an axis of its input for something else than what was said of it."""


def chosen(shapes: Sequence[Sequence[int]], timesteps: int | None, samples: int | None = None) -> str:
    """The layout of batches of these shapes: "TN" if the first axis of each has T entries, else "N"."""
    return "TN" if all(_may_be_time(shape, timesteps, samples) for shape in shapes) else "N"


def _may_be_time(shape: Sequence[int], timesteps: int | None, samples: int | None) -> bool:
    fits = bool(timesteps) and len(shape) >= 2 and shape[0] == timesteps
    return fits and (samples is None or shape[1] == samples or shape[0] != samples)


def reading(shape: Sequence[int], layout: str) -> str:
    """What a layout makes of a shape, in words."""
    found = f"{layout}, {shape[layout.index('N')]} samples"
    return f"{found} of {shape[layout.index('T')]} timesteps" if "T" in layout else f"{found} without an axis of time"


def doubt(shape: Sequence[int], layout: str, timesteps: int | None, confirmed: bool = False) -> str | None:
    """What to say of a layout that was chosen here: the other reading that fits; None if there is none.

    confirmed: the network itself took the first axis for time.
    """
    shape = tuple(shape)
    other = ""
    if layout == "TN" and not confirmed:
        other = "N"
    elif layout == "N" and timesteps and timesteps > 1 and len(shape) > 2 and shape[1] == timesteps:
        other = "NT"
    if not other:
        return None
    also = f"{reading(shape, other)}, fits as well: say which"
    return f"inputs of shape {shape} were read as {reading(shape, layout)}; {also}"
