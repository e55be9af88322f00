"""What pictures have in common: files, whose ending is the format, and colours that most eyes can tell apart."""

import io
import warnings
from pathlib import Path
from typing import Any

__all__ = ["COLOURS", "ENDINGS", "FORMATS", "format_of", "picture_bytes"]

FORMATS = ("png", "svg", "pdf", "jpg", "jpeg")
"""Endings of the files that can be written."""

ENDINGS = f"{', '.join(f'.{name}' for name in FORMATS[:-1])} or .{FORMATS[-1]}"
"""The same in words."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's, which most people with a colour vision deficiency can tell apart."""

UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # the same figure is the same file


def format_of(path: Path) -> str:
    """Return the format that the ending of a name asks for, capitals aside; raises ValueError for any other."""
    if (ending := path.suffix[1:].lower()) in FORMATS:
        return ending
    raise ValueError(f"expected a name that ends with {ENDINGS}, found {path}")


def picture_bytes(figure: Any, kind: str = "png", dpi: int = 120, **options: Any) -> bytes:
    """Return a Matplotlib figure as the file of a format, one of `FORMATS`; the same figure is the same file.

    options: of `Figure.savefig`.
    """
    import matplotlib  # takes half a second: not before there is something to draw

    content = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "snncore"}):  # else ids are drawn by chance
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # names in other scripts; boxes are drawn
        figure.savefig(content, format=kind, dpi=dpi, metadata=UNDATED.get(kind), **options)
    return content.getvalue()
