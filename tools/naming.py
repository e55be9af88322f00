"""How the command lines are called here: `python tools/train.py` in a checkout, `misnet-train` once installed."""

import argparse
import re
import sys
from pathlib import Path

from misnet._checkout import IS_CHECKOUT

COMMANDS = ("train", "evaluate", "predict", "compare", "audit", "prepare", "reproduce")  # as in pyproject.toml


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
    """A parser whose help calls the tools as they are called here."""

    def format_help(self) -> str:
        """Return the text of --help."""
        return here(super().format_help())
