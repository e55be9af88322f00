"""How much a command says: with --quiet its result alone, with --verbose also what it decided and why.

The level belongs to the process: the options set it, and every parser begins at NORMAL. Warnings and errors are said
at every level, and what goes into files does not depend on it.
"""

import argparse
from typing import Any

__all__ = ["NORMAL", "QUIET", "VERBOSE", "add_loudness_options", "is_quiet", "is_verbose", "no_bar", "reset", "say"]

QUIET, NORMAL, VERBOSE = -1, 0, 1
_level = NORMAL


class _SetLevel(argparse.Action):
    """Sets the level of the process; nothing is left in the namespace."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, value: Any, option: Any = None) -> None:
        global _level
        _level = self.const


def reset() -> None:
    """Go back to NORMAL, before a command line is parsed."""
    global _level
    _level = NORMAL


def add_loudness_options(parser: argparse.ArgumentParser, result: str, more: str) -> None:
    """Add --quiet and --verbose, of which one may be given; they leave nothing in the namespace.

    result: what is printed with --quiet. more: what is printed with --verbose and not without.
    """
    group = parser.add_mutually_exclusive_group()
    about = f"print {result} alone, with warnings and errors; no progress bar"
    for name, level, text in (("quiet", QUIET, about), ("verbose", VERBOSE, f"also print {more}")):
        kind: dict[str, Any] = {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "const": level}
        group.add_argument(f"--{name}", action=_SetLevel, nargs=0, help=text, **kind)


def is_quiet() -> bool:
    """Whether --quiet was given."""
    return _level == QUIET


def is_verbose() -> bool:
    """Whether --verbose was given."""
    return _level == VERBOSE


def no_bar() -> bool | None:
    """What tqdm's `disable` takes: True with --quiet, None otherwise: no bar where standard error is no terminal."""
    return True if is_quiet() else None


def say(line: str) -> None:
    """Print a line that is not the result, unless --quiet was given."""
    if not is_quiet():
        print(line, flush=True)
