"""The known name that a mistyped one is nearest to, for messages."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["nearest", "nearest_path", "nearest_words", "one_of"]

ALIKE = 0.5
"""Least ratio of equal letters, as `difflib` counts them, for a name to be worth a suggestion: `lif` for `lfi`."""


def nearest(name: object, known: Iterable[object], cutoff: float = ALIKE) -> str | None:
    """Return the known name that has most in common with `name`, capitals aside; None if none has enough."""
    by_lower = {str(other).lower(): str(other) for other in known}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def nearest_words(name: object, known: Iterable[object]) -> str:
    """Return "; nearest: NAME" to end a message with, or nothing if no known name is near."""
    found = nearest(name, known)
    return "" if found is None else f"; nearest: {found}"


def nearest_path(path: str | os.PathLike, folders: bool = False) -> str:
    """Return "; nearest: PATH" for a path that is not there, or nothing: each missing part gets its nearest name.

    folders: whether a folder is wanted. What is hidden is never meant.
    """
    parts = Path(path).parts
    here = Path(parts[0]) if Path(path).is_absolute() else Path()
    meant = parts[1:] if Path(path).is_absolute() else parts
    for k, name in enumerate(meant):
        if not (here / name).exists():
            near = nearest(name, _names(here, folders or k + 1 < len(meant)))
            if near is None:
                return ""
            name = near
        here /= name
    return f"; nearest: {here}" if meant else ""


def _names(folder: Path, folders: bool) -> list[str]:
    """Names of what lies in a folder that can be read."""
    try:
        return [x.name for x in folder.iterdir() if not x.name.startswith(".") and (x.is_dir() or not folders)]
    except OSError:
        return []


def one_of(found: object, known: Iterable[object]) -> str:
    """Return "expected one of A, B, found 'x'", and the nearest if one is near."""
    names = [str(name) for name in known]
    return f"expected one of {', '.join(names)}, found {found!r}{nearest_words(found, names)}"
