"""Loggers: who else is told the row of each epoch that metrics.csv gets, such as TensorBoard.

A maker is called when a run begins or goes on, and returns what is called after every epoch from then on:

    def make_logger(folder, rows):                  # the run folder; rows of the epochs that are done already
        return lambda row: print(folder, row)       # {"epoch": 1, "train_loss": 0.12, ...}, as in metrics.csv

Where what it returns has a method `close`, that is called when the process leaves the run.
"""

import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from misnet.training.selection import Row
from misnet.training.tensorboard import TensorBoard

__all__ = ["BUILT_IN", "Logger", "Loggers", "Maker", "makers_of"]

Logger = Callable[[Row], Any]
Maker = Callable[[Path, Sequence[Row]], Logger]

BUILT_IN: dict[str, Maker] = {"tensorboard": TensorBoard}


class Loggers:
    """Tells every logger each epoch. One that fails is warned of once and ends no run; it is told later epochs too.

    makers: by the name that warnings call them. warn: called with the line of a warning.
    """

    def __init__(self, makers: Mapping[str, Maker], warn: Callable[[str], None]) -> None:
        self.makers, self.warn = dict(makers), warn
        self._loggers: dict[str, Logger] = {}
        self._failed: set[str] = set()

    def begin(self, folder: Path, rows: Sequence[Row]) -> None:
        """Make the loggers of a run that stands after `rows`."""
        for name, maker in self.makers.items():
            if (logger := self._guarded(name, maker, folder, [dict(row) for row in rows])) is not None:
                self._loggers[name] = logger

    def __call__(self, row: Row) -> None:
        """Tell an epoch; each logger gets a copy of its own."""
        for name, logger in self._loggers.items():
            self._guarded(name, logger, dict(row))

    def close(self) -> None:
        """Let loggers end what they keep open."""
        for name, logger in self._loggers.items():
            if callable(close := getattr(logger, "close", None)):
                self._guarded(name, close)
        self._loggers = {}

    def _guarded(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (Exception, SystemExit) as error:  # whatever the code of somebody else raises
            if name not in self._failed:
                self._failed.add(name)
                what = f"{type(error).__name__}: {error}".strip(": ")
                self.warn(f"--log {name} failed, and training goes on without it where it does: {what}")
            return None


def makers_of(text: str) -> dict[str, Maker]:
    """Return the makers that --log names, with commas: `tensorboard`, MODULE:FUNCTION or FILE.py:FUNCTION.

    Modules are looked for in the current folder too. Raises ValueError for a name that leads to no function, and for a
    package that is missing, which says how to install it.
    """
    return {name: _maker(name) for name in (part.strip() for part in text.split(",")) if name}


def _maker(name: str) -> Maker:
    if name in BUILT_IN:
        TensorBoard.check_installed()
        return BUILT_IN[name]
    place, colon, function = name.rpartition(":")
    if not (place and colon and function):
        known = ", ".join(BUILT_IN)
        raise ValueError(f"expected {known}, MODULE:FUNCTION or FILE.py:FUNCTION, found {name!r}")
    with _current_folder_first():
        try:
            found = runpy.run_path(place) if place.endswith(".py") else vars(importlib.import_module(place))
        except OSError as error:
            raise ValueError(f"{place}: {error.strerror or error}") from None
        except (Exception, SystemExit) as error:
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            at = f" at line {line}" if place.endswith(".py") else ""
            raise ValueError(f"{place}: running it failed{at}: {type(error).__name__}: {error}") from error
    maker = found.get(function)
    if not callable(maker):
        others = [key for key, value in found.items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{place}: expected a function {function}, found {', '.join(others) or 'no function'}")
    return maker


@contextmanager
def _current_folder_first() -> Iterator[None]:
    sys.path.insert(0, folder := os.getcwd())
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)
