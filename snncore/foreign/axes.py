"""Which axes of an array of others are time and samples, followed through views: torch folds and turns them at will."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Axes", "Laid", "guessed", "kept", "laid", "plain", "viewed"]

Factor = tuple[str, int]
"""A role ("T": timesteps, "N": samples, "": any other) and a size."""

Axes = tuple[tuple[Factor, ...], ...]
"""For each axis the factors that it is made of, the slowest first: ((T, 4), (N, 2)) is an axis of 8, time-major."""


class Laid(NamedTuple):
    """An array in the order of the engine: [T, N, ...], [N, ...], or as it was.

    leading: how many of its first axes are cells: 2, 1 or 0. places: for each axis of the array of others, the axes
    of this one that it is made of.
    """

    array: Any
    leading: int
    places: tuple[tuple[int, ...], ...]


def plain(shape: Sequence[int]) -> Axes:
    """Axes of `shape` of which none is time or samples."""
    return tuple((("", n),) for n in shape)


def guessed(shape: Sequence[int], timesteps: int | None, samples: int | None, layout: str = "") -> Axes:
    """Read the axes off a shape: [T, N, ...], [T N, ...] (time-major) or [N, ...], by the sizes that were told.

    layout: "TN", "NT" or "N" says it of an input.
    """
    rest = plain(shape)
    first = shape[0] if len(shape) else None
    second = shape[1] if len(shape) > 1 else None
    if layout == "NT" or (not layout and first is None):
        return ((("N", shape[0]),), (("T", shape[1]),), *rest[2:]) if layout else rest
    if layout == "TN" or (not layout and timesteps and first == timesteps and second == samples):
        return ((("T", shape[0]),), (("N", shape[1]),), *rest[2:])
    if layout == "N" or first == samples:
        return ((("N", shape[0]),), *rest[1:])
    if timesteps and samples and first == timesteps * samples:
        return ((("T", timesteps), ("N", samples)), *rest[1:])
    if first == 1 and second == samples and samples is not None:
        return ((("T", 1),), (("N", samples),), *rest[2:])
    return rest


def kept(axes: Axes, shape: Sequence[int]) -> Axes:
    """The axes of an output of `shape` that has as many: those of the input where the size is the same."""
    return tuple(
        axis if math.prod(n for _, n in axis) == size else (("", size),) for axis, size in zip(axes, shape, strict=True)
    )


def viewed(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The axes after the same entries were given another shape; None if that cuts time or samples in two."""
    shape = tuple(shape)
    factors = [f for axis in axes for f in axis if f != ("", 1)]
    made: list[tuple[Factor, ...]] = []
    for place, size in enumerate(shape):
        axis: list[Factor] = []
        need = size
        while need > 1 or (need == 1 and factors and factors[0][1] == 1 and not axis):
            if not factors:
                return None
            role, n = factors.pop(0)
            if need % n == 0:
                axis.append((role, n))
                need //= n
                if n == 1 and need == 1:
                    break
            elif role == "" and n % need == 0:
                axis.append(("", need))
                factors.insert(0, ("", n // need))
                need = 1
            else:
                return None
        while axis and factors and factors[0][1] == 1 and shape[place + 1 : place + 2] != (1,):
            axis.append(factors.pop(0))  # a single sample, folded into its timesteps
        made.append(tuple(axis) or (("", size),))
    if factors and made:  # of size 1, or the array is empty
        if math.prod(n for _, n in factors) != 1:
            return None
        made[-1] = (*made[-1], *factors)
    return tuple(made)


def laid(x: np.ndarray, axes: Axes) -> Laid:
    """Bring time and samples to the front: [T, N, ...], [N, ...], or x as it is where there are no samples."""
    flat = [(i, role, n) for i, axis in enumerate(axes) for role, n in axis]
    roles = [role for _, role, _ in flat]
    if roles.count("N") != 1 or roles.count("T") > 1:
        return Laid(x, 0, tuple((i,) for i in range(x.ndim)))
    front = [roles.index(role) for role in "TN" if role in roles]
    rest = [k for k, role in enumerate(roles) if role == ""]
    turned = x.reshape([n for _, _, n in flat]).transpose(front + rest)
    shape = [flat[k][2] for k in front]
    places: list[list[int]] = [[] for _ in axes]
    for place, k in enumerate(front):
        places[flat[k][0]].append(place)
    for i in range(len(axes)):
        own = [k for k in rest if flat[k][0] == i]
        if own:
            places[i].append(len(shape))
            shape.append(math.prod(flat[k][2] for k in own))
    return Laid(turned.reshape(shape), len(front), tuple(map(tuple, places)))
