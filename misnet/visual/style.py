"""What pictures have in common: colours that the colour-blind can tell apart (Okabe and Ito), sizes, and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from misnet.pictures import picture_bytes
from snncore.files import replace_file

__all__ = ["COLOURS", "FONT", "OF_MODALITY", "WIDTH", "colour_of", "contents", "save"]

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
OF_MODALITY = {"audio": "#D55E00", "visual": "#0072B2"}
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
WIDTH = 7.0  # inches: two columns
FONT = 8


def colour_of(stream: str, streams: Sequence[str] = ()) -> str:
    """Return the colour of a stream: that of its name, or of its place among the streams; grey for one of none."""
    if stream in OF_MODALITY:
        return OF_MODALITY[stream]
    return OTHERS[list(streams).index(stream) % len(OTHERS)] if stream in streams else "#555555"


def contents(figure: Any, ending: str, dpi: int = 200) -> bytes:
    """Return a figure as the file of an ending, such as "png" or "svg"; the same figure is the same file."""
    return picture_bytes(figure, ending, dpi, bbox_inches="tight")


def save(figure: Any, path: Path) -> list[Path]:
    """Write a figure as PATH.png and PATH.svg and return the two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_name(f"{path.name}.{ending}") for ending in ("png", "svg")]
    for place in written:
        replace_file(place, contents(figure, place.suffix[1:]))
    return written
