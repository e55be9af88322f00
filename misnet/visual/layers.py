"""Which stream a layer is of, and which layers a picture has room for."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ALL", "by_place", "spread_out", "stream_of"]

ALL = "all"
"""Stands for the stream of a layer that is of no single one."""


def stream_of(path: str, streams: Sequence[str]) -> str:
    """Return the stream that the path of a layer names, as `encoders.audio.stem` does, or `cells.0.mlif.a` by a letter.

    A network of one stream has all its layers there. `ALL` where none is named, or more than one.
    """
    if len(streams) == 1:
        return streams[0]
    parts = path.partition("#")[0].split(".")
    letters = [name[0] for name in streams]
    found = [name for name in streams if name in parts or (letters.count(name[0]) == 1 and name[0] in parts)]
    return found[0] if len(found) == 1 else ALL


def by_place(records: Mapping[str, Any], streams: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Put layers that differ in their stream alone together: by path, with `*` for the stream, what each stream has.

    In the order of the first of each. `.neuron` at the end, which tells nothing, is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, record in records.items():
        stream = stream_of(path, streams)
        names = {stream, stream[0]} if len(streams) > 1 and stream != ALL else set()
        place = ".".join("*" if part in names else part for part in path.split(".")).removesuffix(".neuron")
        found.setdefault(place, {})[stream] = record
    return found


def spread_out(names: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the names, from the first to the last, as evenly as it goes."""
    if len(names) <= most:
        return list(names)
    return [names[round(k * (len(names) - 1) / (most - 1))] for k in range(most)] if most > 1 else [names[-1]]
