"""The switches of the network as command-line options: one for each field of MISNetConfig."""

import argparse
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from misnet.models.misnet.config import PRESETS, MISNetConfig, preset

__all__ = ["add_model_options", "model_config"]

SWITCHES = {f.name: f for f in fields(MISNetConfig)}


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


_numbers.__name__ = "list of integers"  # argparse prints this name


def _parser_of(hint: Any) -> Callable[[str], Any]:
    if isinstance(hint, types.UnionType):  # X | None
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is tuple:
        return _numbers
    return hint


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --preset and an option for every switch; those not given are absent from the parsed namespace."""
    group = parser.add_argument_group("network", "switches of MISNet; numbers in brackets name the paper's equations")
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default=argparse.SUPPRESS,
        help="start from the paper's switches (default) or those of the authors' earlier public code",
    )
    hints = typing.get_type_hints(MISNetConfig)
    for name, switch in SWITCHES.items():
        text = switch.metadata["help"]
        if switch.default is not None:
            text += f" (default: {switch.default})"
        option = f"--{name.replace('_', '-')}"
        kind: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        if hints[name] is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction, **kind)
        elif switch.metadata["choices"]:
            group.add_argument(option, choices=switch.metadata["choices"], **kind)
        else:
            group.add_argument(option, type=_parser_of(hints[name]), metavar=name.upper(), **kind)


def model_config(values: Mapping[str, Any]) -> MISNetConfig:
    """Return the configuration for parsed options: the preset for the variant, then every switch that was given.

    Raises ConfigError for values that cannot be used together.
    """
    switches = {name: values[name] for name in SWITCHES if name in values and name != "variant"}
    return preset(values.get("preset", "paper"), values.get("variant", "S"), **switches)
