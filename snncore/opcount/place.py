"""What calls at the same place of several batches have in common: layer, operation, columns, axes."""

from typing import Any, NamedTuple

import numpy as np

from snncore.opcount.cost import OpCount

__all__ = ["LIMIT", "Block", "Place", "each_step", "fits", "places_of"]

LIMIT = 2**62


class Block(NamedTuple):
    """Columns of a place that lie over the same cells: 0 to 2 axes, `rows` timesteps of each sample.

    values: for each column what every sample has, one number or one for each timestep, or None where samples differ.
    starts: first of its `rows` rows in the table of the fold, 0 for columns that have none.
    """

    axes: int
    rows: int
    names: tuple[str, ...]
    values: tuple[int | tuple[int, ...] | None, ...]
    starts: tuple[int, ...]


class Place(NamedTuple):
    """What the calls at one place have in common. rows: those of its columns in the table."""

    layer: str
    function: str
    step: int | None
    foreign: bool
    blocks: tuple[Block, ...]
    rows: slice


def same_in_all_samples(value: Any, samples: int) -> int | tuple[int, ...] | None:
    """The number of every sample, one or one for each timestep; None if they differ, or if there is one sample only."""
    if isinstance(value, int):
        return value
    return tuple(value.ravel().tolist()) if value.shape[-1:] == (1,) and samples > 1 else None


def fits(cost: OpCount, place: Place, samples: int, arrays: list[np.ndarray], once: list[int]) -> bool:
    """Whether a cost is as a place has it; what samples differ in is appended to `arrays`, the rest to `once`."""
    if len(cost.blocks) != len(place.blocks):
        return False
    for (lead, columns), block in zip(cost.blocks, place.blocks, strict=True):
        if len(lead) != block.axes or tuple(columns) != block.names:
            return False
        if not lead:
            once.extend(map(int, columns.values()))
            continue
        if lead[-1] != samples or (block.axes == 2 and lead[0] != block.rows):
            return False
        value: Any
        for value, expected in zip(columns.values(), block.values, strict=True):
            if type(value) is int or expected is not None:
                if expected != (value if type(value) is int else same_in_all_samples(value, 2)):
                    return False
                continue
            if value.dtype != np.int64:
                if value.dtype.kind == "O" or int(value.max(initial=0)) >= LIMIT:
                    return False
                value = value.astype(np.int64)
            value = value if value.shape == lead else np.broadcast_to(value, lead)
            arrays.append(value if block.axes == 2 else value[None])
    return True


def each_step(value: int | tuple[int, ...], rows: int) -> list[int]:
    """The count of one sample in each of `rows` timesteps."""
    steps = (value,) if isinstance(value, int) else value
    return list(steps) if len(steps) == rows else [steps[0]] * rows


def places_of(calls: Any, samples: int) -> tuple[Place, ...]:
    """The places of the calls of one batch, in the order of execution."""
    places = list[Place]()
    row = 0
    for call in calls:
        begin, blocks = row, []
        for lead, columns in call.cost.blocks:
            rows = lead[0] if len(lead) == 2 else 1
            values = tuple(same_in_all_samples(value, samples) for value in columns.values())
            starts = []
            for value in values:
                starts.append(row if lead and value is None else 0)
                row += rows if lead and value is None else 0
            blocks.append(Block(len(lead), rows, tuple(columns), values, tuple(starts)))
        places.append(Place(call.layer, call.function, call.step, call.foreign, tuple(blocks), slice(begin, row)))
    return tuple(places)
