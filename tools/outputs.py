"""The files that an audit writes, seen to before anything is counted: each of its own, where it can be written."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from misnet.datasets import DataError
from misnet.models.options import option_of
from misnet.pictures import format_of
from misnet.tools.toolkit import UsageError
from misnet.training.missing import OF_A_RUN
from snncore.energy import TABLES
from snncore.files import is_device, replace_file

__all__ = ["check_output", "check_outputs", "picture_file", "write_outputs"]

OUTPUTS = ("csv", "json", "html", "latex", "nir_table", "picture")
INPUTS = ("layers", "spikes", "nir", "inputs", "prices")


def check_outputs(given: Mapping[str, Any]) -> None:
    """Raise UsageError for an output that is another one, or an input; DataError where a file cannot be written.

    given: the parsed options, by name.
    """
    inputs = {name: Path(given[name]) for name in INPUTS if given.get(name) and given[name] not in TABLES}
    known = {os.path.realpath(path): option_of(name) for name, path in inputs.items()}
    for name in OUTPUTS:
        path = given.get(name)
        if path is None:
            continue
        option = option_of(name)
        if other := known.get(os.path.realpath(path)):
            raise UsageError(f"{option}: expected a file of its own, found {path}, which is that of {other}")
        known[os.path.realpath(path)] = option
        check_output(option, path)


def check_output(option: str, path: Path) -> None:
    """Raise DataError, which names the option, where a file cannot be written, or is one that a run needs."""
    if path.is_dir():
        raise DataError(f"{option}: expected a file to write, found the folder {path}")
    if is_device(path):
        raise DataError(f"{option}: expected a file to write, found the device or pipe {path}")
    if not path.parent.is_dir():
        raise DataError(f"{option}: expected a file in a folder that exists, found {path}")
    if path.name in ("config.json", *OF_A_RUN) and (path.parent / "config.json").is_file():
        raise DataError(f"{option}: expected a file of its own, found {path}, which is part of a run")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"{option}: expected a file in a folder that can be written to, found {path}")


def picture_file(text: str) -> Path:
    """Return the path of an option that takes a picture; an ending of no known format is wrong usage of the option."""
    try:
        format_of(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def write_outputs(contents: Mapping[str, bytes], given: Mapping[str, Any]) -> None:
    """Write the files by name of their option; DataError, which names option and file, where that fails."""
    for name, content in contents.items():
        try:
            replace_file(given[name], content)
        except OSError as error:
            raise DataError(f"{option_of(name)}: {given[name]}: {error.strerror or error}") from None
