"""The switches of a model as command-line options: one for each field of its configuration.

A command line is read in two stages, since the options depend on the model: `first_look` finds out which model is
meant, `add_model_options` adds the switches of that one. What is parsed for a switch is kept apart from the other
options, so that a switch may have the name of one (`split` takes the two apart again).
"""

import argparse
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from misnet.models.config import ModelConfig, types_of
from misnet.models.registry import DEFAULT, MODELS, config_class

__all__ = ["add_model_options", "first_look", "model_config", "option_of", "split", "switches_of"]

KEPT = "model "  # begins the key of a switch in the namespace; no other option has a space in it
C = TypeVar("C", bound=ModelConfig)


def first_look(arguments: Sequence[str] | None, *names: str) -> dict[str, str]:
    """Return the values of --model and other options that were given, without a word on the rest of the line."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for name in ("model", *names):
        parser.add_argument(f"--{name}")
    return vars(parser.parse_known_args(arguments)[0])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


_numbers.__name__ = "list of integers"  # argparse prints this name


def _parser_of(hint: Any) -> Callable[[str], Any]:
    if isinstance(hint, types.UnionType):  # X | None
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is tuple:
        return _numbers
    return hint


def add_model_options(parser: argparse.ArgumentParser, model: str = DEFAULT) -> None:
    """Add --model, --preset if the model has presets, and an option for every switch.

    Options that are not given are absent from the parsed namespace. A switch with the name of an option that the parser
    has already is called --model-<name>. model: name of the model whose switches are added; one that does not exist
    gets those of the default model, and parsing refuses it.
    """
    kind = config_class(model if model in MODELS else DEFAULT)
    group = parser.add_argument_group("network", f"the model and its switches, here those of {model}")
    about = "; ".join(f"{name}: {entry.help}" for name, entry in MODELS.items())
    group.add_argument(
        "--model", choices=tuple(MODELS), default=argparse.SUPPRESS, help=f"{about} (default: {DEFAULT})"
    )
    if kind.PRESETS:
        group.add_argument(
            "--preset",
            choices=kind.PRESETS,
            dest=KEPT + "preset",
            default=argparse.SUPPRESS,
            help=f"set of switches to start from (default: {kind.PRESETS[0]})",
        )
    taken = set(parser._option_string_actions)
    for switch in fields(kind):
        hint, choices, text = types_of(kind)[switch.name], switch.metadata["choices"], switch.metadata["help"]
        if switch.default is not None:
            text += f" (default: {switch.default})"
        name = switch.name.replace("_", "-")
        option = f"--model-{name}" if f"--{name}" in taken else f"--{name}"
        settings: dict[str, Any] = {"dest": KEPT + switch.name, "default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction, **settings)
        elif choices:
            group.add_argument(option, choices=choices, **settings)
        else:
            group.add_argument(option, type=_parser_of(hint), metavar=switch.name.upper(), **settings)


def split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was parsed as (other options, switches of the model), `preset` among the switches."""
    others = {name: value for name, value in given.items() if not name.startswith(KEPT)}
    return others, {name.removeprefix(KEPT): value for name, value in given.items() if name.startswith(KEPT)}


def option_of(name: str) -> str:
    """Return a switch or option as it is typed."""
    return "--" + name.replace("_", "-")


def switches_of(kind: type[ModelConfig], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the switches of a preset with those that were given in their place; `preset` may be among the given."""
    switches = {name: value for name, value in given.items() if name != "preset"}
    preset = given.get("preset", kind.PRESETS[0] if kind.PRESETS else "")
    return kind.preset(preset, switches) | switches


def model_config(kind: type[C], given: Mapping[str, Any]) -> C:
    """Return the configuration for switches that were given; raises ConfigError for those that cannot be combined."""
    return kind.from_dict(switches_of(kind, given))
