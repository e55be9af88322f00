"""How this software is cited; CITATION.cff and docs/auditing.md say the same."""

import snncore

__all__ = ["AUTHORS", "TITLE", "YEAR", "bibtex"]

AUTHORS = "The snncore authors"
TITLE = "snncore: a spiking-neural-network engine with exact operation counts, and MISNet on top of it"
YEAR = 2026


def bibtex() -> str:
    """Return the entry for a list of references."""
    return (
        "@software{snncore,\n"
        f"  author  = {{{{{AUTHORS}}}}},\n"
        f"  title   = {{{{{TITLE}}}}},\n"
        f"  version = {{{snncore.__version__}}},\n"
        f"  year    = {{{YEAR}}},\n"
        "}"
    )
