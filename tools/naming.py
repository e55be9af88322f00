"""How the command lines are called here, and the parser that all of them share.

`python tools/train.py` in a checkout is `misnet-train` once installed. What every command has from the parser: nearest
names for mistyped options and values, examples and exit statuses under --help, --version and --print-completion.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from misnet._checkout import IS_CHECKOUT
from misnet.tools import loudness
from misnet.tools.completion import SHELLS, CompletionError, script_for
from snncore import __version__
from snncore.nearest import nearest, nearest_words

COMMANDS = (  # as in pyproject.toml
    "train",
    "evaluate",
    "predict",
    "compare",
    "report",
    "visualize",
    "audit",
    "prepare",
    "reproduce",
    "export",
    "adopt",
    "scale",
)
STATUSES = (
    "exit status: 0 done; 1 data, files or a run that are wrong; 2 wrong usage; 130 stopped by Ctrl-C or a signal"
)
ALIKE = 0.7  # of options, whose names have more letters in common by chance than other names have


def called(name: str) -> str:
    """Return what a user types here to run the tool of this name, such as "train"."""
    if IS_CHECKOUT and not Path(sys.argv[0]).name.startswith("misnet-"):
        return f"python tools/{name}.py"
    return f"misnet-{name}" if name in COMMANDS else f"python -m misnet.tools.{name}"


def here(text: str) -> str:
    """Return a text with every `python tools/NAME.py` and `tools/NAME.py` in it as they are called here."""
    in_script = called("train").startswith("python tools/")
    return text if in_script else re.sub(r"(?:python\s+)?\btools/(\w+)\.py", lambda found: called(found[1]), text)


class Parser(argparse.ArgumentParser):
    """A parser whose help calls the tools as they are called here, and whose errors name what was probably meant.

    examples: pairs (what it does, the command line), shown at the end of --help.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        hidden: dict[str, Any] = {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS}
        self.add_argument("--version", action="version", version=f"snncore {__version__}", default=argparse.SUPPRESS)
        text = f"print the script that completes this command with Tab: {', '.join(SHELLS)}"
        self.add_argument("--print-completion", action=_Print, choices=SHELLS, metavar="SHELL", help=text, **hidden)

    def format_help(self) -> str:
        """Return the text of --help."""
        lines = [line for what, command in self.examples for line in (f"  # {what}", f"  {command}")]
        shown = "".join(f"{line}\n" for line in ("examples:", *lines)) + "\n" if lines else ""
        return here(f"{super().format_help()}\n{shown}{STATUSES}\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the command line; an option that does not exist ends the process, with the nearest that does."""
        loudness.reset()
        found, extra = self._known(args, namespace)
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}{self._meant(extra)}")
        return found

    def _known(self, args: Any, namespace: Any) -> tuple[Any, list[str]]:
        """Return what was found and what is unknown; where options may stand anywhere, another method says so."""
        return self.parse_known_args(args, namespace)

    def _meant(self, extra: Sequence[str]) -> str:
        known = [name[2:] for name in self._option_string_actions if name.startswith("--")]
        typed = [text[2:].partition("=")[0] for text in extra if text.startswith("--")]
        near = [name for name in (nearest(text, known, ALIKE) for text in typed) if name is not None]
        if near:
            return f"; nearest: {', '.join(f'--{name}' for name in near)}"
        files = [text for text in extra if text.startswith("-") and Path(text).exists()]
        return f"; a file whose name begins with a dash is ./{files[0]}" if files else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += nearest_words(value, action.choices or ())
            raise


class _Print(argparse.Action):
    """Prints the script of a shell and ends the process."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, value: Any, option: Any = None) -> None:
        name = Path(sys.argv[0]).stem.removeprefix("misnet-")
        if name not in COMMANDS:
            parser.error(f"{option}: {name} is not installed as a command, so that no shell could complete its name")
        try:
            print(script_for(parser, f"misnet-{name}", value))
        except CompletionError as error:
            parser.error(f"{option}: {error}")
        parser.exit()
