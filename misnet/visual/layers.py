"""Which stream a layer is of, and which layers a picture has room for."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ALL", "by_place", "spread_out", "stream_of"]

ALL = "all"
"""Stands for the stream of a layer that is of no single one."""


def stream_of(path: str, streams: Sequence[str]) -> str:
    """Return the stream that the path of a layer names, as `encoders.audio.stem` does, or `cells.0.mlif.a` by a letter.

    A network of one stream has all its layers there. `ALL` where none is named, or more than one. A letter counts where
    no stream is named in full: `encoders.audio.attention.v` is of audio, as v may be the values of an attention.
    """
    return streams[0] if len(streams) == 1 else _named(path, streams)[0]


def _named(path: str, streams: Sequence[str]) -> tuple[str, str]:
    """The stream that a path names, and by which of its parts."""
    parts = path.partition("#")[0].split(".")
    letters = [name[0] for name in streams]
    for words in ({name: name for name in streams}, {n: n[0] for n in streams if letters.count(n[0]) == 1}):
        found = [name for name, word in words.items() if word in parts]
        if found:
            return (found[0], words[found[0]]) if len(found) == 1 else (ALL, "")
    return ALL, ""


def by_place(records: Mapping[str, Any], streams: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Put layers that differ in their stream alone together: by path, with `*` for the stream, what each stream has.

    In the order of the first of each. A layer that one stream alone has goes by its own path. `.neuron` at the end,
    which tells nothing, is left out.
    """
    paths: dict[str, dict[str, str]] = {}
    for path in records:
        stream, word = _named(path, streams) if len(streams) > 1 else (streams[0], "")
        place = ".".join("*" if word and part == word else part for part in path.split("."))
        paths.setdefault(place, {})[stream] = path
    found = {}
    for place, of in paths.items():
        name = place if len(of) > 1 else next(iter(of.values()))
        found[name.removesuffix(".neuron")] = {stream: records[path] for stream, path in of.items()}
    return found


def spread_out(names: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the names, from the first to the last, as evenly as it goes."""
    if len(names) <= most:
        return list(names)
    return [names[round(k * (len(names) - 1) / (most - 1))] for k in range(most)] if most > 1 else [names[-1]]
