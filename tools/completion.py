"""Completion of options and values in a shell: `misnet-train --print-completion bash` prints the script.

shtab makes the script from the parser once, so that a Tab starts no Python; a command typed as
`python tools/train.py` has no name that a shell could complete, so the script is that of `misnet-train`.
"""

import argparse
from pathlib import Path
from typing import Any

from misnet._checkout import how_to_install

__all__ = ["SHELLS", "script_for"]

SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")
FOLDERS = ("DIR", "RUN_DIR", "CACHE", "RUN")  # metavars of what is completed as a folder
FILES = ("FILE", "TABLE", "TABLE.csv", "FILE.nir")


class CompletionError(Exception):
    """The package that makes the script is not there, or does not know the shell."""


def script_for(parser: argparse.ArgumentParser, program: str, shell: str) -> str:
    """Return the script for a shell that completes the command `program`, whose parser is given.

    Raises CompletionError, with the command that installs it, where shtab is missing.
    """
    try:
        import shtab
    except ImportError:
        command = how_to_install("shtab", "completion")
        raise CompletionError(f"shtab is not installed; install it with: {command}") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        known = ", ".join(shtab.SUPPORTED_SHELLS)
        raise CompletionError(f"expected one of {known} with this version of shtab, found {shell!r}")
    for action in parser._actions:
        if kind := _completed_as(action):
            action.complete = getattr(shtab, kind)  # type: ignore[attr-defined]
    before, parser.prog = parser.prog, program
    try:
        return shtab.complete(parser, shell)
    finally:
        parser.prog = before


def _completed_as(action: argparse.Action) -> str | None:
    names: Any = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
    if any(name in FOLDERS for name in names):
        return "DIRECTORY"
    return "FILE" if action.type is Path or any(name in FILES for name in names) else None
