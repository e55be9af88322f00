"""What a run says: lines on the screen and in run.log, how long it will take, and the picture of its curves."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from misnet.models.contract import Model
from misnet.training.plots import plot_curves
from misnet.training.weights import WEIGHTS, add_weights, sizes_of
from snncore.files import refuse_pipe

__all__ = ["EVALUATED", "Journal", "duration"]

STEPS = 5
"""Steps that are timed before it is said how long a run takes; one more goes before them, which may compile kernels."""

EVALUATED = 0.4
"""What a batch of evaluation takes of a training step, as long as it is not measured: a forward without a tape."""

SPARING, DRAWING = 20, 0.5
"""Of the time that drawing took, what passes until it is drawn again; seconds that it takes as long as none was."""

WORTH_SAYING = 60.0
"""Seconds: nothing is said of a run that takes less."""


class Journal:
    """Prints the lines of a run and keeps them in run.log of its folder, each with the time of day.

    A run is not ended by a screen that is closed, by a full disk or a lost folder as far as this file and the picture
    are concerned: what cannot be written is said once and left out. (Checkpoints are another matter.)
    quiet: print warnings and results alone; run.log has every line all the same.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic, quiet: bool = False) -> None:
        self.folder, self.clock, self.quiet = folder, clock, quiet
        self._failed: set[str] = set()
        self._began: float | None = None  # of a whole epoch, None within one that was begun by another process
        self._measured = False
        self._to_draw: tuple[Sequence[Mapping[str, Any]], Mapping[str, str]] | None = None
        self._draws_from = clock() + SPARING * DRAWING

    def log(self, line: str, result: bool = False) -> None:
        """Print a line to standard output. result: it says what the run reached."""
        self._write(line)
        if self.quiet and not result:
            return
        try:
            print(line, flush=True)
        except (OSError, ValueError):  # its reader left, its terminal is gone, or it was closed
            _swallow_output()
            self._once("standard output", "standard output is closed; training goes on, see run.log")

    def warn(self, line: str) -> None:
        """Print a warning to standard error."""
        self._write(f"warning: {line}")
        with suppress(OSError, ValueError):
            print(f"warning: {line}", file=sys.stderr, flush=True)

    def curves(self, rows: Sequence[Mapping[str, Any]], heads: Mapping[str, str]) -> None:
        """Draw curves.png, or put it off until `draw` where drawing would take more than a twentieth of the time."""
        self._to_draw = (rows, heads)
        if self.clock() >= self._draws_from:
            self.draw()

    def draw(self) -> None:
        """Draw what was put off."""
        if self._to_draw is None:
            return
        (rows, heads), self._to_draw = self._to_draw, None
        began = self.clock()
        try:
            plot_curves(rows, self.folder / "curves.png", heads)
        except OSError as error:
            self._once("curves.png", f"{self.folder / 'curves.png'}: cannot be written: {error.strerror or error}")
        self._draws_from = self.clock() + SPARING * (self.clock() - began)

    def weights(self, epoch: int, model: Model) -> None:
        """Add a row to weights.csv: of an epoch that is done, or 0 for the start."""
        try:
            add_weights(self.folder, epoch, sizes_of(model))
        except OSError as error:
            self._once(WEIGHTS, f"{self.folder / WEIGHTS}: cannot be written: {error.strerror or error}")

    def timed(self, batches: Any, left: float) -> Iterator[Any]:
        """Pass batches of a first epoch on and say, after a few, when the run will be done.

        left: training steps of the whole run from here on, with `EVALUATED` for each batch of evaluation. Saving is not
        counted yet; `epoch_done` corrects both.
        """
        started = 0.0
        for done, batch in enumerate(batches, 1):
            yield batch  # the time until the next is asked for is that of the step
            if done == 1:
                started = self.clock()
            elif done == STEPS + 1:
                self._say_when((self.clock() - started) / STEPS * (left - done), "evaluation included")

    def epoch_begins(self) -> None:
        """Note the time: what is done until `epoch_done` is a whole epoch."""
        self._began = self.clock()

    def epoch_done(self, left: int) -> None:
        """Say, after the first whole epoch, when the run will be done; left: epochs from here on.

        What an epoch took is measured from end to end: training, evaluation, saving, and drawing curves.
        """
        if self._began is not None and not self._measured:
            self._measured = True
            self._say_when((self.clock() - self._began) * left, "evaluation and saving as in this epoch")
        self._began = self.clock()

    def _say_when(self, seconds: float, how: str) -> None:
        if seconds > WORTH_SAYING:
            end = time.strftime("%a %H:%M", time.localtime(time.time() + seconds))
            self.log(f"about {duration(seconds)} to go, {how}: done at about {end}")

    def _write(self, line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            if (self.folder / "run.log").exists():
                refuse_pipe(self.folder / "run.log")
            with open(self.folder / "run.log", "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("".join(f"{stamp} {part}\n" for part in line.splitlines()))
        except OSError as error:
            self._once("run.log", f"{self.folder / 'run.log'}: cannot be written: {error.strerror or error}")

    def _once(self, what: str, line: str) -> None:
        if what not in self._failed:
            self._failed.add(what)
            self.warn(line)


def _swallow_output() -> None:
    """Let what is printed from now on go nowhere, without an error."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # it is closed, or no file of the system
        sys.stdout = io.StringIO()


def duration(seconds: float) -> str:
    """Return a time in words: 45 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} days {minutes % 1440 // 60} h"
